//! A simulated ward: who is there, what is measured when, and the messages that come of it, in the order of sending.
//!
//! Pure and endless: the same seed gives the same messages. It never reads a clock; whoever publishes paces it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use hygeia_protocol::code::Code;
use hygeia_protocol::identity::{DeviceId, IdentifierError, PatientId};
use hygeia_protocol::observation::{Observation, Rejection};
use hygeia_protocol::time::Timestamp;

use super::course::{Course, LABS, VITALS};
use super::rng::Rng;
use super::sensor::{Fault, MESSAGES_PER_VALUE, Monitor, SILENT_SHARE};

const HOUR_S: f64 = 3_600.0;
/// Hours from one blood sample to the next.
const LABS_EVERY_H: [f64; 2] = [4.0, 8.0];
/// Minutes until the laboratory answers: the result counts from when the blood was drawn.
const LABS_TAKE_MIN: [f64; 2] = [25.0, 110.0];
/// Laboratory results of a patient in an hour.
const LABS_PER_HOUR: f64 = LABS as f64 * 2.0 / (LABS_EVERY_H[0] + LABS_EVERY_H[1]);
/// Messages that come of one charting, on average.
const VITALS_CHARTED: f64 = VITALS as f64 * MESSAGES_PER_VALUE * (1.0 - SILENT_SHARE);
/// A monitor charts this much earlier or later than it should, as a share of the interval.
const JITTER: f64 = 0.1;
/// Intervals that a value is held back at most: 42 sequence numbers, of the 64 that a window remembers.
const HELD_BACK_INTERVALS: f64 = 6.0;
/// And in seconds: a window waits 300 for what is late.
const HELD_BACK_S_MAX: f64 = 240.0;
/// How far back a replayed sequence number lies: further than a window remembers.
const REPLAYED_BACK: u64 = 100;
/// How old a value is whose windows are all closed: results count for four hours after their window.
const TOO_LATE_S: u64 = 6 * 3_600;
/// A patient has been there for this long before a value can be too late.
const TOO_LATE_AFTER_H: f64 = 2.5;
/// What devices send for "no value".
const SENTINELS: [f64; 3] = [-100.0, 32_767.0, 8_388_607.0];

/// How patients' clocks stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clocks {
    /// Each is behind by its own part of an hour, so that windows close at all times alike.
    Spread,
    /// All are the same: every window of the ward closes with the hour.
    Together,
}

/// What a ward is made of.
#[derive(Debug, Clone)]
pub struct WardConfig {
    /// Patients.
    pub patients: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Middle of the pseudonyms, so that those of two runs differ.
    pub tag: String,
    /// Seconds from one charting of a monitor to the next, on the patients' clocks.
    pub chart_every_s: f64,
    /// When the ward's time begins.
    pub begin: Timestamp,
    /// How the patients' clocks stand to each other.
    pub clocks: Clocks,
    /// Whether sensors and networks have faults.
    pub faults: bool,
}

impl WardConfig {
    /// Observations in an hour of the patients' time, of all of them, with monitors that chart so often.
    pub fn per_hour(patients: u32, chart_every_s: f64) -> f64 {
        f64::from(patients) * (VITALS_CHARTED * HOUR_S / chart_every_s + LABS_PER_HOUR)
    }

    /// Seconds between two chartings with which this many patients give `per_hour` observations in an hour of their time;
    /// `None` where laboratory results alone are more.
    pub fn chart_every_s(patients: u32, per_hour: f64) -> Option<f64> {
        let vitals = per_hour / f64::from(patients) - LABS_PER_HOUR;
        (vitals > 0.0).then(|| HOUR_S * VITALS_CHARTED / vitals)
    }
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    /// When, in milliseconds of the ward's time since its beginning.
    pub at_ms: u64,
    /// Number of the patient.
    pub patient: u32,
    /// The bytes.
    pub message: Vec<u8>,
    /// What should become of it.
    pub expected: Expected,
}

/// What should become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The oracle takes it.
    Accepted,
    /// The broker holds it already and drops it.
    Dropped,
    /// The oracle refuses it.
    Refused(Rejection),
}

/// The ward. An iterator without end over its messages.
pub struct Ward {
    config: WardConfig,
    patients: Vec<Patient>,
    due: BinaryHeap<Reverse<Due>>,
    /// Messages of the event at hand.
    ready: VecDeque<Emission>,
    devices: Devices,
}

struct Patient {
    id: PatientId,
    rng: Rng,
    course: Course,
    monitor: Monitor,
    /// How far this patient's clock is behind the ward's, in milliseconds.
    behind_ms: u64,
    monitor_seq: u64,
    laboratory_seq: u64,
}

struct Devices {
    monitor: DeviceId,
    laboratory: DeviceId,
    register: DeviceId,
}

/// Something that is due. What is due at the same time comes in the order of the patients.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at_ms: u64,
    patient: u32,
    what: What,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Admission,
    Charting,
    /// Blood drawn at this time of the ward.
    Results {
        drawn_at_ms: u64,
    },
    /// A message that was held back.
    Late(Vec<u8>),
}

impl Ward {
    /// A ward at the beginning of its time.
    pub fn new(config: WardConfig) -> Result<Self, IdentifierError> {
        let devices = Devices {
            monitor: DeviceId::new("monitor")?,
            laboratory: DeviceId::new("laboratory")?,
            register: DeviceId::new("register")?,
        };
        let mut ward = Self { patients: Vec::new(), due: BinaryHeap::new(), ready: VecDeque::new(), devices, config };
        for number in 0..ward.config.patients {
            ward.admit(number)?;
        }
        Ok(ward)
    }

    /// The pseudonyms, by number.
    pub fn patients(&self) -> impl ExactSizeIterator<Item = &PatientId> {
        self.patients.iter().map(|patient| &patient.id)
    }

    /// What it is made of.
    pub fn config(&self) -> &WardConfig {
        &self.config
    }

    /// Moves the beginning of the ward's time, before the first message is taken: enrolment may have taken minutes.
    pub fn begin_at(&mut self, begin: Timestamp) {
        self.config.begin = begin;
    }

    fn admit(&mut self, number: u32) -> Result<(), IdentifierError> {
        let mut rng = Rng::of(self.config.seed, u64::from(number));
        let behind_ms = match self.config.clocks {
            Clocks::Spread => rng.between(0.0, HOUR_S * 1e3) as u64,
            Clocks::Together => 0,
        };
        let begin_h = hours(self.config.begin.as_millis().saturating_sub(behind_ms));
        self.patients.push(Patient {
            id: PatientId::new(&format!("load-{}-{number:06}", self.config.tag))?,
            course: Course::new(&mut rng, begin_h),
            monitor: Monitor::default(),
            behind_ms,
            monitor_seq: 0,
            laboratory_seq: 0,
            rng: rng.clone(),
        });
        let first_ms = (rng.unit() * self.config.chart_every_s * 1e3) as u64;
        let [least, most] = LABS_EVERY_H;
        // The first results are of a sample that was drawn before the patient came.
        let results_ms = first_ms + (rng.between(0.0, (least + most) / 2.0) * HOUR_S * 1e3) as u64;
        let due = |at_ms, what| Reverse(Due { at_ms, patient: number, what });
        self.due.push(due(first_ms, What::Admission));
        self.due.push(due(first_ms + 1, What::Charting));
        self.due.push(due(
            results_ms + 2,
            What::Results { drawn_at_ms: first_ms.max(results_ms.saturating_sub(1_800_000)) },
        ));
        Ok(())
    }

    /// Works off what is due next, into `ready`.
    fn advance(&mut self) {
        let Some(Reverse(due)) = self.due.pop() else { return };
        match due.what {
            What::Admission => self.register(due.at_ms, due.patient),
            What::Charting => self.chart(due.at_ms, due.patient),
            What::Results { drawn_at_ms } => self.report(due.at_ms, due.patient, drawn_at_ms),
            What::Late(message) => self.emit(due.at_ms, due.patient, message, Expected::Accepted),
        }
    }

    /// The facts of the stay.
    fn register(&mut self, at_ms: u64, number: u32) {
        let Some(patient) = self.patients.get_mut(number as usize) else { return };
        let at = self.config.begin.plus_millis_behind(at_ms, patient.behind_ms);
        let rng = &mut patient.rng;
        let facts = [
            (Code::Age, rng.between(19.0, 94.0).floor()),
            (Code::Sex, f64::from(u8::from(rng.chance(0.55)))),
            (Code::IcuUnit, f64::from(u8::from(rng.chance(0.5)))),
            (Code::HoursBeforeIcu, rng.exponential(30.0).floor().min(700.0)),
        ];
        let id = patient.id.clone();
        for (seq, (code, value)) in (0..).zip(facts) {
            let device = self.devices.register.clone();
            if let Ok(fact) = Observation::new(id.clone(), device, seq, code, (value * 1e3) as i32, at) {
                self.emit(at_ms, number, fact.encode(), Expected::Accepted);
            }
        }
    }

    /// One charting of a monitor, and the next one into the queue.
    fn chart(&mut self, at_ms: u64, number: u32) {
        let every_s = self.config.chart_every_s;
        let Some(patient) = self.patients.get_mut(number as usize) else { return };
        let next_ms = at_ms + (every_s * 1e3 * patient.rng.between(1.0 - JITTER, 1.0 + JITTER)).max(1.0) as u64;
        let at = self.config.begin.plus_millis_behind(at_ms, patient.behind_ms);
        let now_h = hours(at.as_millis());
        let truth = patient.course.vitals(&mut patient.rng, now_h);
        let values = match self.config.faults {
            true => patient.monitor.read(&mut patient.rng, truth, now_h, every_s / HOUR_S),
            false => truth.map(|(code, value)| (code, value, None)).to_vec(),
        };
        for (code, value, fault) in values {
            self.send_vital(at_ms, number, at, (code, value), fault);
        }
        self.due.push(Reverse(Due { at_ms: next_ms, patient: number, what: What::Charting }));
    }

    fn send_vital(&mut self, at_ms: u64, number: u32, at: Timestamp, (code, value): (Code, i32), fault: Option<Fault>) {
        let Some(patient) = self.patients.get_mut(number as usize) else { return };
        let seq = patient.monitor_seq;
        let vital = |seq, at| {
            Observation::new(patient.id.clone(), self.devices.monitor.clone(), seq, code, value, at)
                .map(|vital| vital.encode())
        };
        let Ok(message) = vital(seq, at) else { return };
        let refused = fault.and_then(Fault::refusal).map_or(Expected::Accepted, Expected::Refused);
        let there_h = hours(at_ms);
        let beside = match fault {
            None | Some(Fault::HeldBack | Fault::NoValue) => None,
            Some(Fault::Copied) => Some((message.clone(), Expected::Dropped)),
            Some(Fault::Truncated) => Some((cut(message.clone()), refused)),
            Some(Fault::Retransmitted) => vital(seq, at.plus_seconds(1)).ok().map(|again| (again, refused)),
            Some(Fault::Replayed) => {
                seq.checked_sub(REPLAYED_BACK).and_then(|old| vital(old, at).ok()).map(|again| (again, refused))
            }
            // The sequence number is used up although the value is refused.
            Some(Fault::TooLate) if there_h > TOO_LATE_AFTER_H => {
                patient.monitor_seq += 1;
                vital(seq + 1, at.minus_seconds(TOO_LATE_S)).ok().map(|old| (old, refused))
            }
            Some(Fault::TooLate) => None,
        };
        patient.monitor_seq += 1;
        match fault {
            Some(Fault::NoValue) => {
                let sentinel = patient.rng.pick(&SENTINELS);
                self.emit(at_ms, number, with_value(&message, sentinel), refused);
            }
            Some(Fault::HeldBack) => {
                let most_s = HELD_BACK_S_MAX.min(HELD_BACK_INTERVALS * self.config.chart_every_s * (1.0 - JITTER));
                let late_ms = at_ms + (patient.rng.between(0.0, most_s) * 1e3) as u64;
                self.due.push(Reverse(Due { at_ms: late_ms, patient: number, what: What::Late(message) }));
            }
            _ => self.emit(at_ms, number, message, Expected::Accepted),
        }
        if let Some((message, expected)) = beside {
            self.emit(at_ms, number, message, expected);
        }
    }

    /// The laboratory's answer, and the next sample into the queue.
    fn report(&mut self, at_ms: u64, number: u32, drawn_at_ms: u64) {
        let Some(patient) = self.patients.get_mut(number as usize) else { return };
        let drawn_at = self.config.begin.plus_millis_behind(drawn_at_ms, patient.behind_ms);
        let values = patient.course.labs(&mut patient.rng, hours(drawn_at.as_millis()));
        let id = patient.id.clone();
        let first_seq = patient.laboratory_seq;
        patient.laboratory_seq += LABS as u64;
        let [least, most] = LABS_EVERY_H;
        let next_drawn_ms = drawn_at_ms + (patient.rng.between(least, most) * HOUR_S * 1e3) as u64;
        let [least, most] = LABS_TAKE_MIN;
        let next_ms = (next_drawn_ms + (patient.rng.between(least, most) * 60e3) as u64).max(at_ms + 1);
        for (seq, (code, value)) in (first_seq..).zip(values) {
            let device = self.devices.laboratory.clone();
            if let Ok(result) = Observation::new(id.clone(), device, seq, code, value, drawn_at) {
                self.emit(at_ms, number, result.encode(), Expected::Accepted);
            }
        }
        let what = What::Results { drawn_at_ms: next_drawn_ms };
        self.due.push(Reverse(Due { at_ms: next_ms, patient: number, what }));
    }

    fn emit(&mut self, at_ms: u64, patient: u32, message: Vec<u8>, expected: Expected) {
        self.ready.push_back(Emission { at_ms, patient, message, expected });
    }
}

impl Iterator for Ward {
    type Item = Emission;

    fn next(&mut self) -> Option<Emission> {
        // A gap of a monitor gives nothing to send: the next event is tried then.
        while self.ready.is_empty() && !self.due.is_empty() {
            self.advance();
        }
        self.ready.pop_front()
    }
}

/// The ward's clock, read by a patient who is behind it.
trait Behind {
    fn plus_millis_behind(self, at_ms: u64, behind_ms: u64) -> Timestamp;
}

impl Behind for Timestamp {
    fn plus_millis_behind(self, at_ms: u64, behind_ms: u64) -> Timestamp {
        Timestamp::from_millis((self.as_millis() + at_ms).saturating_sub(behind_ms))
    }
}

fn hours(ms: u64) -> f64 {
    ms as f64 / (HOUR_S * 1e3)
}

/// Half of a message, as a connection that broke leaves it.
fn cut(mut message: Vec<u8>) -> Vec<u8> {
    message.truncate(message.len() / 2);
    message
}

/// The message with another value, one that an observation of ours cannot hold.
fn with_value(message: &[u8], value: f64) -> Vec<u8> {
    let parsed: Result<serde_json::Value, _> = serde_json::from_slice(message);
    parsed.map_or_else(
        |_| message.to_vec(),
        |mut parsed| {
            parsed["value"] = value.into();
            parsed.to_string().into_bytes()
        },
    )
}

#[cfg(test)]
mod tests;
