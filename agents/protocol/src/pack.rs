//! Compact bytes of a state machine: how a patient lies in memory between two observations, and in a snapshot.
//!
//! Numbers are little-endian groups of seven bits (LEB128), so that a small one takes a byte; signed ones are folded
//! (zig-zag) first. The first byte is the version of the layout. Reading never panics and never allocates more than a
//! small multiple of what it was given. An error never says what the bytes held.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

/// Bytes set aside before writing: more than a chart needs, so that the buffer does not grow.
const CAPACITY: usize = 1_536;

/// Set in every byte of a number but its last.
const MORE: u8 = 0x80;

/// Why bytes are not a machine that this build can go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PackError {
    /// The bytes end inside the machine.
    #[error("the packed state is truncated")]
    Truncated,
    /// The bytes go on after the machine.
    #[error("bytes follow the packed state")]
    TrailingBytes,
    /// Another version of the layout.
    #[error("the version of the packed state is not supported")]
    UnsupportedVersion,
    /// Packed under another configuration than the one that it is to go on with.
    #[error("the state was packed under another configuration")]
    OtherConfig,
    /// A variable that this build does not know.
    #[error("the packed state has a variable that is unknown")]
    UnknownSlot,
    /// More items than the rest of the bytes, or the machine, can hold.
    #[error("the packed state counts more items than it can hold")]
    TooMany,
    /// A number that no machine reaches.
    #[error("a number of the packed state is out of range")]
    OutOfRange,
    /// A device that is none, or not in its place in the order of devices.
    #[error("a device of the packed state is malformed or out of order")]
    BadDevice,
}

/// Writes numbers one after the other.
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

/// Reads what [`Writer`] wrote.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl Writer {
    pub(crate) fn new(version: u8) -> Writer {
        let mut bytes = Vec::with_capacity(CAPACITY);
        bytes.push(version);
        Writer { bytes }
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                return self.bytes.push(low);
            }
            self.bytes.push(low | MORE);
        }
    }

    pub(crate) fn len(&mut self, len: usize) {
        self.number(u64::try_from(len).expect("no target's addresses have more than 64 bits"));
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.number((number << 1 ^ number >> 63).cast_unsigned());
    }

    /// The bytes in a block of exactly their size: shrinking the buffer instead would scatter its remainder.
    pub(crate) fn finish(self) -> Box<[u8]> {
        Box::from(self.bytes.as_slice())
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], version: u8) -> Result<Reader<'a>, PackError> {
        let mut reader = Reader { rest: bytes };
        if reader.byte()? == version { Ok(reader) } else { Err(PackError::UnsupportedVersion) }
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, PackError> {
        let (&byte, rest) = self.rest.split_first().ok_or(PackError::Truncated)?;
        self.rest = rest;
        Ok(byte)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], PackError> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(PackError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn number(&mut self) -> Result<u64, PackError> {
        let mut number = 0;
        for shift in [0, 7, 14, 21, 28, 35, 42, 49, 56, 63] {
            let byte = self.byte()?;
            let bits = u64::from(byte & !MORE);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & MORE == 0 {
                return Ok(number);
            }
        }
        Err(PackError::OutOfRange)
    }

    pub(crate) fn signed(&mut self) -> Result<i64, PackError> {
        let folded = self.number()?;
        let sign = if folded & 1 == 1 { -1 } else { 0 };
        Ok((folded >> 1).cast_signed() ^ sign)
    }

    /// Checks that `count` items can follow, each of which takes at least `bytes_min` bytes.
    pub(crate) fn count(&self, count: u64, bytes_min: usize) -> Result<usize, PackError> {
        let count = usize::try_from(count).map_err(|_| PackError::TooMany)?;
        let bytes = count.checked_mul(bytes_min).ok_or(PackError::TooMany)?;
        if bytes <= self.remaining() { Ok(count) } else { Err(PackError::TooMany) }
    }

    /// Nothing may follow.
    pub(crate) fn finish(self) -> Result<(), PackError> {
        if self.rest.is_empty() { Ok(()) } else { Err(PackError::TrailingBytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(write: impl FnOnce(&mut Writer)) -> Box<[u8]> {
        let mut out = Writer::new(7);
        write(&mut out);
        out.finish()
    }

    #[test]
    fn numbers_round_trip_in_as_few_bytes_as_they_need() {
        for (number, bytes) in
            [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX >> 1, 9), (u64::MAX, 10)]
        {
            let packed = packed(|out| out.number(number));
            assert_eq!(packed.len(), 1 + bytes, "{number}");
            let mut input = Reader::new(&packed, 7).unwrap();
            assert_eq!((input.number(), input.finish()), (Ok(number), Ok(())));
        }
        for (number, bytes) in [(0, 1), (-1, 1), (63, 1), (-64, 1), (64, 2), (i64::MAX, 10), (i64::MIN, 10)] {
            let packed = packed(|out| out.signed(number));
            assert_eq!(packed.len(), 1 + bytes, "{number}");
            assert_eq!(Reader::new(&packed, 7).unwrap().signed(), Ok(number));
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_refused() {
        let number = |bytes: &[u8]| Reader { rest: bytes }.number();
        assert_eq!(number(&[]), Err(PackError::Truncated));
        assert_eq!(number(&[MORE]), Err(PackError::Truncated));
        assert_eq!(number(&[[0xff; 9].as_slice(), &[1]].concat()), Ok(u64::MAX));
        assert_eq!(number(&[[0xff; 9].as_slice(), &[2]].concat()), Err(PackError::OutOfRange));
        assert_eq!(number(&[[MORE; 9].as_slice(), &[MORE, 0]].concat()), Err(PackError::OutOfRange));
    }

    #[test]
    fn ends_and_counts_are_checked() {
        let packed = packed(|out| out.bytes(b"abcd"));
        assert_eq!(Reader::new(&packed, 8).err(), Some(PackError::UnsupportedVersion));
        assert_eq!(Reader::new(&[], 7).err(), Some(PackError::Truncated));
        let mut input = Reader::new(&packed, 7).unwrap();
        assert_eq!(input.count(2, 2), Ok(2));
        for count in [3, u64::MAX] {
            assert_eq!(input.count(count, 2), Err(PackError::TooMany));
        }
        assert_eq!(input.bytes(5), Err(PackError::Truncated));
        assert_eq!(input.bytes(3), Ok(b"abc".as_slice()));
        assert_eq!(input.finish(), Err(PackError::TrailingBytes));
    }
}
