//! The bytes of a partition's state: a version and records, each behind its length. They come back from the broker, so
//! reading them never takes anything for granted.

/// Writes records.
pub struct Writer(Vec<u8>);

/// Reads what a [`Writer`] wrote. Every answer is `None` once the bytes do not fit.
pub struct Reader<'a>(&'a [u8]);

impl Writer {
    /// Begins with the version of the layout.
    pub fn new(version: u8) -> Self {
        Self(vec![version])
    }

    /// A record of up to 4 GiB.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A number.
    pub fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

impl<'a> Reader<'a> {
    /// Reads a layout of this version.
    pub fn new(bytes: &'a [u8], version: u8) -> Option<Self> {
        bytes.split_first().filter(|(found, _)| **found == version).map(|(_, rest)| Self(rest))
    }

    /// The next record.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next record, of exactly so many bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes()?.try_into().ok()
    }

    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    /// Whether nothing follows.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let mut writer = Writer::new(3);
        writer.bytes(b"abc");
        writer.number(7);
        writer.bytes(&[9; 4]);
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes, 3).unwrap();
        assert_eq!((reader.bytes(), reader.number(), reader.array()), (Some(&b"abc"[..]), Some(7), Some([9; 4])));
        assert!(reader.is_at_end() && reader.number().is_none());

        assert!(Reader::new(&bytes, 4).is_none(), "another version");
        assert!(Reader::new(&[], 3).is_none());
        for len in 1..bytes.len() {
            let mut reader = Reader::new(&bytes[..len], 3).unwrap();
            let whole = reader.bytes().is_some() && reader.number().is_some() && reader.bytes().is_some();
            assert!(!whole, "cut at {len}");
        }
        let mut huge = vec![3];
        huge.extend(u64::MAX.to_le_bytes());
        assert!(Reader::new(&huge, 3).unwrap().bytes().is_none());
    }
}
