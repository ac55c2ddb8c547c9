//! Byte strings that travel in JSON as `0x` and lower-case hex digits.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

/// Exactly `N` bytes: a hash, an address, a signature. Public values only, so `Debug` prints them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FixedBytes<const N: usize>([u8; N]);

/// A hash, an id, a field element (big-endian).
pub type B32 = FixedBytes<32>;
/// The address of an account or a contract.
pub type Address = FixedBytes<20>;
/// A recoverable ECDSA signature: r, s, v.
pub type Signature = FixedBytes<65>;

/// Bytes of any length, such as a proof. `Debug` prints the length only.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct HexBytes(Vec<u8>);

/// The salt of a commitment. `Debug` prints no content, and the memory is wiped when it is dropped:
/// without the salt nobody can tie a commitment to a patient.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt([u8; 16]);

impl<const N: usize> FixedBytes<N> {
    /// Wraps the bytes.
    #[must_use]
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// The bytes, by value.
    #[must_use]
    pub const fn into_bytes(self) -> [u8; N] {
        self.0
    }

    /// The bytes as hex digits without a prefix, as a message id needs it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl<const N: usize> From<[u8; N]> for FixedBytes<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> fmt::Display for FixedBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl<const N: usize> fmt::Debug for FixedBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

/// The text is not `0x` and the right number of hex digits. The text itself is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 0x and hex digits of the right length")]
pub struct HexError;

impl<const N: usize> std::str::FromStr for FixedBytes<N> {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        fixed(text).map(Self)
    }
}

impl HexBytes {
    /// Wraps the bytes.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> HexBytes {
        HexBytes(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, by value.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HexBytes({} bytes)", self.0.len())
    }
}

impl Salt {
    /// Wraps 128 bits that the caller drew from a cryptographic source.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Salt {
        Salt(bytes)
    }

    /// The bytes, for computing the commitment; never for a log.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

impl Drop for Salt {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> Serialize for FixedBytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for FixedBytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexVisitor(fixed)).map(Self)
    }
}

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexVisitor(any_length)).map(Self)
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexVisitor(fixed)).map(Self)
    }
}

struct HexVisitor<T>(fn(&str) -> Result<T, HexError>);

impl<T> Visitor<'_> for HexVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&HexError, f)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn fixed<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let mut bytes = [0; N];
    let digits = text.strip_prefix("0x").ok_or(HexError)?;
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| HexError)?;
    Ok(bytes)
}

fn any_length(text: &str) -> Result<Vec<u8>, HexError> {
    let digits = text.strip_prefix("0x").ok_or(HexError)?;
    hex::decode(digits).map_err(|_| HexError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips() {
        let value = FixedBytes::new([0, 1, 0xab, 0xff]);
        assert_eq!(serde_json::to_string(&value).unwrap(), r#""0x0001abff""#);
        assert_eq!(serde_json::from_str::<FixedBytes<4>>(r#""0x0001abff""#).unwrap(), value);
        assert_eq!("0x0001ABFF".parse::<FixedBytes<4>>(), Ok(value));
        let proof = HexBytes::new(vec![7; 3]);
        assert_eq!(serde_json::to_string(&proof).unwrap(), r#""0x070707""#);
        assert_eq!(serde_json::from_str::<HexBytes>(r#""0x070707""#).unwrap(), proof);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "0x", "0x00", "0x0001abf", "0x0001abff00", "0x0001abfg", "0001abff", "0X0001abff"] {
            assert_eq!(text.parse::<FixedBytes<4>>(), Err(HexError), "{text}");
            assert!(serde_json::from_value::<FixedBytes<4>>(text.into()).is_err(), "{text}");
        }
        for text in ["", "0x0", "0x0g", "00"] {
            assert!(serde_json::from_value::<HexBytes>(text.into()).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<HexBytes>("[1,2]").is_err());
    }

    #[test]
    fn salts_and_long_bytes_are_not_printed() {
        assert_eq!(format!("{:?}", Salt::new([7; 16])), "Salt(..)");
        assert_eq!(format!("{:?}", HexBytes::new(vec![7; 16])), "HexBytes(16 bytes)");
    }
}
