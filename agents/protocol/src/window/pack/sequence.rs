//! The devices: name, highest number, which of the numbers below it were seen, and when it was last heard.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::collections::BTreeMap;

use super::super::sequence::{DEVICES_MAX, Sequence, Sequences};
use crate::identity::DeviceId;
use crate::pack::{PackError, Reader, Writer};

/// Its length, a character, its highest number, what was seen, when it was heard.
const DEVICE_BYTES_MIN: usize = 5;

/// Observations of a patient, counted: more than any stay has, far below where the count would overflow.
const RECORDED_MAX: u64 = u64::MAX >> 1;

impl Sequences {
    pub(super) fn pack(&self, out: &mut Writer) {
        out.number(self.recorded);
        out.len(self.devices.len());
        for (device, sequence) in &self.devices {
            let name = device.expose().as_bytes();
            out.len(name.len());
            out.bytes(name);
            sequence.pack(self.recorded, out);
        }
    }

    pub(super) fn unpack(input: &mut Reader<'_>) -> Result<Sequences, PackError> {
        let recorded = input.number()?;
        if recorded > RECORDED_MAX {
            return Err(PackError::OutOfRange);
        }
        let count = input.number()?;
        let count = input.count(count, DEVICE_BYTES_MIN)?;
        if count > DEVICES_MAX {
            return Err(PackError::TooMany);
        }
        let mut devices = BTreeMap::new();
        for _ in 0..count {
            let device = unpack_device(input)?;
            if devices.last_key_value().is_some_and(|(last, _)| *last >= device) {
                return Err(PackError::BadDevice);
            }
            devices.insert(device, Sequence::unpack(recorded, input)?);
        }
        Ok(Sequences { devices, recorded })
    }
}

impl Sequence {
    fn pack(&self, recorded: u64, out: &mut Writer) {
        out.number(self.highest);
        // Sixty-four numbers in a row are -1, the first few of a device a small positive number.
        out.signed(self.seen.cast_signed());
        out.number(recorded.saturating_sub(self.used));
    }

    fn unpack(recorded: u64, input: &mut Reader<'_>) -> Result<Sequence, PackError> {
        let highest = input.number()?;
        let seen = input.signed()?.cast_unsigned();
        let used = recorded.checked_sub(input.number()?);
        match used {
            Some(used) if seen & 1 == 1 => Ok(Sequence { highest, seen, used }),
            _ => Err(PackError::OutOfRange),
        }
    }
}

fn unpack_device(input: &mut Reader<'_>) -> Result<DeviceId, PackError> {
    let len = input.number()?;
    let len = input.count(len, 1)?;
    let name = str::from_utf8(input.bytes(len)?).map_err(|_| PackError::BadDevice)?;
    DeviceId::new(name).map_err(|_| PackError::BadDevice)
}
