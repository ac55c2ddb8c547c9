//! The wire format of Protocol Buffers, as much of it as ONNX files use.
//!
//! Reading borrows from the file: a length that a file claims is compared with the bytes that are there before anything
//! is taken, so a claim alone allocates nothing.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WireError {
    /// A field is longer than what is left.
    #[error("it ends in the middle of a field")]
    Truncated,
    /// A variable-length number does not fit into 64 bits.
    #[error("a number has more than 64 bits")]
    Number,
    /// A field has no number, or a wire type that ONNX does not use.
    #[error("a field starts with an invalid key")]
    Key,
    /// A field has another wire type than ONNX gives it.
    #[error("field {0} is of another type than ONNX gives it")]
    Type(u32),
    /// A name or text is not UTF-8.
    #[error("field {0} is not UTF-8")]
    Text(u32),
}

/// The fields of a message, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// One field: its number and what follows it.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    /// Which field of the message it is.
    pub number: u32,
    content: Content<'a>,
}

#[derive(Clone, Copy)]
enum Content<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field, or nothing at the end of the message.
    pub fn next(&mut self) -> Result<Option<Field<'a>>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|&number| number != 0).ok_or(WireError::Key)?;
        let content = match key & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(self.array()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Content::Bytes(self.take(length)?)
            }
            5 => Content::Fixed32(self.array()?),
            _ => return Err(WireError::Key),
        };
        Ok(Some(Field { number, content }))
    }

    /// Seven bits a byte, the least significant first; the highest bit says that more follow.
    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in (0u32..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            let placed = bits.checked_shl(shift).ok_or(WireError::Number)?;
            if placed.checked_shr(shift) != Some(bits) {
                return Err(WireError::Number);
            }
            value |= placed;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Number)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.take(N)?.try_into().map_err(|_| WireError::Truncated)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

impl<'a> Field<'a> {
    pub fn int(self) -> Result<i64, WireError> {
        match self.content {
            Content::Varint(value) => Ok(value.cast_signed()),
            _ => Err(WireError::Type(self.number)),
        }
    }

    pub fn float(self) -> Result<f64, WireError> {
        match self.content {
            Content::Fixed32(bytes) => Ok(f64::from(f32::from_le_bytes(bytes))),
            _ => Err(WireError::Type(self.number)),
        }
    }

    pub fn bytes(self) -> Result<&'a [u8], WireError> {
        match self.content {
            Content::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::Type(self.number)),
        }
    }

    pub fn text(self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Text(self.number))
    }

    pub fn message(self) -> Result<Reader<'a>, WireError> {
        self.bytes().map(Reader::new)
    }

    /// Appends a repeated integer, packed or single.
    pub fn ints(self, to: &mut Vec<i64>) -> Result<(), WireError> {
        match self.content {
            Content::Varint(value) => to.push(value.cast_signed()),
            Content::Bytes(bytes) => {
                let mut packed = Reader::new(bytes);
                while !packed.rest.is_empty() {
                    to.push(packed.varint()?.cast_signed());
                }
            }
            _ => return Err(WireError::Type(self.number)),
        }
        Ok(())
    }

    /// Appends a repeated `float`, packed or single.
    pub fn floats(self, to: &mut Vec<f64>) -> Result<(), WireError> {
        match self.content {
            Content::Fixed32(bytes) => to.push(f64::from(f32::from_le_bytes(bytes))),
            Content::Bytes(bytes) => to.extend(numbers(bytes)?.map(|bytes| f64::from(f32::from_le_bytes(bytes)))),
            _ => return Err(WireError::Type(self.number)),
        }
        Ok(())
    }

    /// Appends a repeated `double`, packed or single.
    pub fn doubles(self, to: &mut Vec<f64>) -> Result<(), WireError> {
        match self.content {
            Content::Fixed64(bytes) => to.push(f64::from_le_bytes(bytes)),
            Content::Bytes(bytes) => to.extend(numbers(bytes)?.map(f64::from_le_bytes)),
            _ => return Err(WireError::Type(self.number)),
        }
        Ok(())
    }
}

/// Numbers of `N` bytes each that fill `bytes` wholly.
pub(super) fn numbers<const N: usize>(bytes: &[u8]) -> Result<impl Iterator<Item = [u8; N]>, WireError> {
    match bytes.as_chunks::<N>() {
        (chunks, []) => Ok(chunks.iter().copied()),
        _ => Err(WireError::Truncated),
    }
}

/// Builds one message.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub fn int(&mut self, field: u32, value: i64) -> &mut Self {
        self.key(field, 0);
        self.varint(value.cast_unsigned());
        self
    }

    pub fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        self.key(field, 2);
        self.varint(value.len().try_into().unwrap_or(u64::MAX));
        self.0.extend_from_slice(value);
        self
    }

    pub fn text(&mut self, field: u32, value: &str) -> &mut Self {
        self.bytes(field, value.as_bytes())
    }

    pub fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0)
    }

    /// Appends the fields of another.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u32, wire_type: u64) {
        self.varint((u64::from(field) << 3) | wire_type);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(low_byte(value) | 0x80);
            value >>= 7;
        }
        self.0.push(low_byte(value));
    }
}

fn low_byte(value: u64) -> u8 {
    let [low, ..] = value.to_le_bytes();
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Result<usize, WireError> {
        let (mut reader, mut count) = (Reader::new(bytes), 0);
        while reader.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.int(1, -1).int(2, 300).text(3, "score").message(16, |inner| {
            inner.int(1, i64::MIN);
        });
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes);
        let mut next = || reader.next().unwrap().unwrap();
        assert_eq!(next().int(), Ok(-1));
        assert_eq!(next().int(), Ok(300));
        let text = next();
        assert_eq!((text.text(), text.int()), (Ok("score"), Err(WireError::Type(3))));
        let inner = next();
        assert_eq!(inner.number, 16);
        assert_eq!(inner.message().unwrap().next().unwrap().unwrap().int(), Ok(i64::MIN));
    }

    #[test]
    fn packed_and_single_numbers_read_alike() {
        let read = |bytes: &[u8]| {
            let (mut reader, mut ints) = (Reader::new(bytes), Vec::new());
            while let Some(field) = reader.next().unwrap() {
                field.ints(&mut ints).unwrap();
            }
            ints
        };
        assert_eq!(read(&[0x08, 5, 0x08, 0xac, 0x02]), [5, 300]);
        assert_eq!(read(&[0x0a, 3, 5, 0xac, 0x02]), [5, 300]);
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        let huge = [0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f];
        for (bytes, error) in [
            (&[0x0a, 0x02, 0x00][..], WireError::Truncated),
            (&huge, WireError::Truncated),
            (&[0x08, 0x80], WireError::Truncated),
            (&[0x09, 0, 0], WireError::Truncated),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], WireError::Number),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], WireError::Number),
            (&[0x0b], WireError::Key),
            (&[0x00, 0x00], WireError::Key),
        ] {
            assert_eq!(fields(bytes), Err(error), "{bytes:02x?}");
        }
        assert_eq!(fields(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Ok(1));
        let text = Field { number: 7, content: Content::Bytes(&[0xff]) };
        assert_eq!(text.text(), Err(WireError::Text(7)));
        let odd = Field { number: 4, content: Content::Bytes(&[0; 7]) };
        assert_eq!(odd.floats(&mut Vec::new()), Err(WireError::Truncated));
    }
}
