//! SHA-256 with a domain tag for message identities, HMAC-SHA256 where the input could be guessed.

use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};

use crate::bytes::B32;

/// A SHA-256 over a domain tag and fields, each preceded by its length, so that no two lists of fields
/// have the same input.
#[derive(Clone)]
pub struct Digest(Sha256);

impl Digest {
    /// Starts a digest in the domain `tag`.
    #[must_use]
    pub fn new(tag: &str) -> Digest {
        Digest(Sha256::new()).field(tag.as_bytes())
    }

    /// Absorbs one field.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Digest {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// Absorbs one integer as eight big-endian bytes.
    #[must_use]
    pub fn integer(self, value: u64) -> Digest {
        self.field(&value.to_be_bytes())
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> B32 {
        B32::new(self.0.finalize().into())
    }
}

/// HMAC-SHA256 of `bytes`. A dead letter carries this instead of a plain digest: vital signs have so few
/// values that whoever holds a plain digest finds the content by trying them all.
#[must_use]
pub fn keyed_digest(key: &[u8; 32], bytes: &[u8]) -> B32 {
    B32::new(hmac(key).chain_update(bytes).finalize().into_bytes().into())
}

pub(crate) fn hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let split = |a: &str, b: &str| Digest::new("t").field(a.as_bytes()).field(b.as_bytes()).finish();
        assert_ne!(split("ab", "c"), split("a", "bc"));
        assert_ne!(split("abc", ""), Digest::new("t").field(b"abc").finish());
        assert_ne!(Digest::new("t").finish(), Digest::new("u").finish());
        assert_eq!(split("ab", "c"), split("ab", "c"));
    }

    /// RFC 4231 has no 32-byte key; its test case 2 padded with zeros is the same key to HMAC.
    #[test]
    fn keyed_digest_is_hmac_sha256() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            keyed_digest(&key, b"what do ya want for nothing?").to_string(),
            "0x5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
