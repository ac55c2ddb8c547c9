//! Which sequence numbers of each device were seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::DeviceId;
use crate::observation::Rejection;

/// Sequence numbers remembered below the highest of a device: the bits of a word.
const REMEMBERED: u64 = 64;

/// Devices remembered for a patient. A bed has about ten; the one unused for longest is forgotten first.
pub(super) const DEVICES_MAX: usize = 64;

#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Sequences {
    pub(super) devices: BTreeMap<DeviceId, Sequence>,
    /// Observations recorded so far: the clock of `Sequence::used`.
    pub(super) recorded: u64,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sequence {
    pub(super) highest: u64,
    /// Bit i: `highest - i` was seen.
    pub(super) seen: u64,
    pub(super) used: u64,
}

impl Sequences {
    /// Whether this number is new.
    pub(super) fn check(&self, device: &DeviceId, seq: u64) -> Result<(), Rejection> {
        self.devices.get(device).map_or(Ok(()), |sequence| sequence.check(seq))
    }

    /// Remembers a number that was new.
    pub(super) fn record(&mut self, device: &DeviceId, seq: u64) {
        self.recorded += 1;
        let used = self.recorded;
        if let Some(sequence) = self.devices.get_mut(device) {
            sequence.record(seq);
            sequence.used = used;
            return;
        }
        if self.devices.len() == DEVICES_MAX {
            self.forget_one();
        }
        self.devices.insert(device.clone(), Sequence { highest: seq, seen: 1, used });
    }

    fn forget_one(&mut self) {
        let oldest = self.devices.iter().min_by_key(|(_, sequence)| sequence.used);
        if let Some(device) = oldest.map(|(device, _)| device.clone()) {
            self.devices.remove(&device);
        }
    }
}

impl Sequence {
    fn check(&self, seq: u64) -> Result<(), Rejection> {
        match self.highest.checked_sub(seq) {
            None => Ok(()),
            Some(back) if back >= REMEMBERED => Err(Rejection::ReplayedSequence),
            Some(back) if self.seen >> back & 1 == 1 => Err(Rejection::Duplicate),
            Some(_) => Ok(()),
        }
    }

    fn record(&mut self, seq: u64) {
        match self.highest.checked_sub(seq) {
            Some(back) => self.seen |= 1 << back,
            None => {
                let forward = seq - self.highest;
                self.seen = if forward < REMEMBERED { self.seen << forward } else { 0 } | 1;
                self.highest = seq;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> DeviceId {
        DeviceId::new(name).unwrap()
    }

    fn offer(sequences: &mut Sequences, name: &str, seq: u64) -> Result<(), Rejection> {
        let device = device(name);
        sequences.check(&device, seq).inspect(|()| sequences.record(&device, seq))
    }

    #[test]
    fn each_number_is_new_once() {
        let mut sequences = Sequences::default();
        for (seq, verdict) in [
            (100, Ok(())),
            (100, Err(Rejection::Duplicate)),
            (98, Ok(())),
            (98, Err(Rejection::Duplicate)),
            (37, Ok(())),
            (37, Err(Rejection::Duplicate)),
            (36, Err(Rejection::ReplayedSequence)),
            (0, Err(Rejection::ReplayedSequence)),
            (101, Ok(())),
            (37, Err(Rejection::ReplayedSequence)),
            (98, Err(Rejection::Duplicate)),
            (99, Ok(())),
            (u64::MAX, Ok(())),
            (u64::MAX, Err(Rejection::Duplicate)),
            (u64::MAX - 63, Ok(())),
            (u64::MAX - 64, Err(Rejection::ReplayedSequence)),
        ] {
            assert_eq!(offer(&mut sequences, "a", seq), verdict, "{seq}");
        }
        assert_eq!(offer(&mut sequences, "b", 100), Ok(()));
    }

    #[test]
    fn the_device_unused_for_longest_is_forgotten() {
        let mut sequences = Sequences::default();
        for index in 0..DEVICES_MAX {
            assert_eq!(offer(&mut sequences, &format!("d{index}"), 1), Ok(()));
        }
        assert_eq!(offer(&mut sequences, "d0", 2), Ok(()));
        assert_eq!(offer(&mut sequences, "new", 1), Ok(()));
        assert_eq!(sequences.devices.len(), DEVICES_MAX);
        assert_eq!(offer(&mut sequences, "d0", 2), Err(Rejection::Duplicate));
        assert_eq!(offer(&mut sequences, "d1", 1), Ok(()));
    }
}
