//! The patients of one partition: each a packed window machine and, once needed, an enrolment.
//!
//! Packed, a patient takes about a kilobyte. Who is observed is unpacked for the inputs at hand and packed again after
//! them. What is written into a snapshot never holds an enrolment: its salt key must vanish with its record.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use hygeia_protocol::identity::PatientId;
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig};

use crate::enrolment::Enrolment;
use crate::partition::bytes::{Reader, Writer};

/// Patients of one partition at a time: more than a hospital group's beds in all, and a bound on the role's memory.
const PATIENTS_MAX: usize = 50_000;
/// Layout of the state.
const VERSION: u8 = 1;

/// The patients of one partition.
#[derive(Default)]
pub struct Patients {
    packed: HashMap<PatientId, Patient>,
    /// Those of the inputs at hand.
    open: HashMap<PatientId, PatientWindow>,
}

struct Patient {
    window: Box<[u8]>,
    // Of a patient who was never attested there is none yet.
    enrolment: Option<Box<Enrolment>>,
}

impl Patients {
    /// The window machine of a patient, new where none is known. `now` is the time of the observation at hand.
    pub fn window(&mut self, patient: &PatientId, now: Timestamp) -> Result<&mut PatientWindow> {
        if !self.open.contains_key(patient) {
            let window = match self.packed.get(patient) {
                Some(known) => unpack(&known.window)?,
                None => {
                    self.make_room(now)?;
                    PatientWindow::new(WindowConfig::default())
                }
            };
            self.open.insert(patient.clone(), window);
        }
        self.open.get_mut(patient).context("the machine was just unpacked")
    }

    /// The enrolment that is remembered of a patient.
    pub fn enrolment(&self, patient: &PatientId) -> Option<Enrolment> {
        self.packed.get(patient)?.enrolment.as_deref().cloned()
    }

    /// Remembers the enrolment of a patient.
    pub fn enrol(&mut self, patient: &PatientId, enrolment: Option<Enrolment>) {
        let enrolment = enrolment.map(Box::new);
        match self.packed.get_mut(patient) {
            Some(known) => known.enrolment = enrolment,
            None => {
                let window = self.open.get(patient).map(PatientWindow::pack).unwrap_or_default();
                self.packed.insert(patient.clone(), Patient { window, enrolment });
            }
        }
    }

    /// Packs whoever is unpacked.
    pub fn close(&mut self) {
        for (patient, window) in self.open.drain() {
            let packed = window.pack();
            match self.packed.get_mut(&patient) {
                Some(known) => known.window = packed,
                None => drop(self.packed.insert(patient, Patient { window: packed, enrolment: None })),
            }
        }
    }

    /// The state, for a snapshot.
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        for (patient, known) in &self.packed {
            writer.bytes(patient.expose().as_bytes());
            writer.bytes(&known.window);
        }
        writer.finish()
    }

    /// The patients in a snapshot; nothing where it is not one of this layout.
    pub fn read(state: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(state, VERSION)?;
        let mut packed = HashMap::new();
        while !reader.is_at_end() {
            let patient = PatientId::new(std::str::from_utf8(reader.bytes()?).ok()?).ok()?;
            let window: Box<[u8]> = reader.bytes()?.into();
            unpack(&window).ok()?;
            packed.insert(patient, Patient { window, enrolment: None });
        }
        Some(Self { packed, open: HashMap::new() })
    }

    /// Forgets patients whose windows hold nothing any more, when there is no room for another.
    fn make_room(&mut self, now: Timestamp) -> Result<()> {
        if self.packed.len() + self.open.len() >= PATIENTS_MAX {
            self.packed.retain(|_, known| unpack(&known.window).is_ok_and(|window| !window.is_spent(now)));
        }
        ensure!(
            self.packed.len() + self.open.len() < PATIENTS_MAX,
            "more than {PATIENTS_MAX} patients in one partition: the network needs more partitions"
        );
        Ok(())
    }
}

fn unpack(bytes: &[u8]) -> Result<PatientWindow> {
    PatientWindow::unpack(bytes, WindowConfig::default()).context("a patient's packed window")
}

#[cfg(test)]
mod tests {
    use hygeia_protocol::code::Code;
    use hygeia_protocol::identity::DeviceId;
    use hygeia_protocol::observation::Observation;

    use super::*;

    fn observe(patients: &mut Patients, name: &str, hour: u64) -> usize {
        let patient = PatientId::new(name).unwrap();
        let at = Timestamp::from_seconds(1_700_000_000 + hour * 3_600);
        let device = DeviceId::new("monitor").unwrap();
        let observation = Observation::new(patient.clone(), device, hour, Code::HeartRate, 80_000, at).unwrap();
        let snapshots = patients.window(&patient, at).unwrap().observe(&observation).unwrap().len();
        patients.close();
        snapshots
    }

    #[test]
    fn patients_go_on_from_a_snapshot_as_they_would_have_without() {
        let mut patients = Patients::default();
        (0..3).for_each(|hour| _ = observe(&mut patients, "a", hour));
        observe(&mut patients, "b", 0);
        let mut restored = Patients::read(&patients.write()).unwrap();
        assert_eq!(restored.packed.len(), 2);
        for hour in 3..6 {
            assert_eq!(observe(&mut restored, "a", hour), observe(&mut patients, "a", hour));
        }
        for (patient, known) in &patients.packed {
            assert_eq!(known.window, restored.packed[patient].window);
        }
    }

    #[test]
    fn a_snapshot_that_is_not_one_is_refused() {
        let mut patients = Patients::default();
        observe(&mut patients, "a", 0);
        let state = patients.write();
        assert!(Patients::read(&state).is_some());
        for len in 0..state.len() {
            // After the version alone a snapshot of nobody ends.
            assert_eq!(Patients::read(&state[..len]).is_some(), len == 1, "cut at {len}");
        }
        let mut other = state.clone();
        other[0] += 1;
        assert!(Patients::read(&other).is_none(), "another version");
        let mut nobody = state;
        nobody[9] = b' ';
        assert!(Patients::read(&nobody).is_none(), "no pseudonym");
    }

    #[test]
    fn a_snapshot_holds_no_enrolment() {
        let mut patients = Patients::default();
        observe(&mut patients, "a", 0);
        let before = patients.write();
        let key = format!("0x{}", "5a".repeat(32));
        let enrolment = format!(r#"{{"mandate":"{key}","salt_key":"{key}"}}"#);
        let patient = PatientId::new("a").unwrap();
        patients.enrol(&patient, Some(serde_json::from_str(&enrolment).unwrap()));
        assert!(patients.enrolment(&patient).is_some());
        assert_eq!(patients.write(), before);
    }
}
