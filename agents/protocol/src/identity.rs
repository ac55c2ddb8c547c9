//! Pseudonyms of patients and devices: checked once, never printed.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest identifier, in characters: room for a UUID with a prefix.
pub const IDENTIFIER_LEN_MAX: usize = 64;

/// The text is not an identifier. The text itself is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identifier is 1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'")]
pub struct IdentifierError;

/// The pseudonym of a patient, known inside the care network only. `Debug` prints no content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PatientId(Box<str>);

/// The identity of a device or of a feed; each has its own sequence numbers. A device that starts its
/// numbers again takes a new identity. `Debug` prints no content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(Box<str>);

macro_rules! identifier {
    ($name:ident) => {
        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// [`IdentifierError`] unless it is 1 to 64 characters out of `[A-Za-z0-9_-]`.
            pub fn new(text: &str) -> Result<Self, IdentifierError> {
                if is_identifier(text) { Ok(Self(text.into())) } else { Err(IdentifierError) }
            }

            /// The content, for the wire and for keyed hashing; never for a log.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdentifierError;

            fn try_from(text: String) -> Result<Self, IdentifierError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

identifier!(PatientId);
identifier!(DeviceId);

pub(crate) fn is_identifier(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    (1..=IDENTIFIER_LEN_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_and_the_length_are_checked() {
        for good in ["a", "A-9_z", &"x".repeat(64)] {
            assert_eq!(PatientId::new(good).unwrap().expose(), good);
            assert_eq!(DeviceId::new(good).unwrap().expose(), good);
        }
        for bad in ["", " ", "a b", "a.b", "a*", ">", "é", "a\0", "a\n", &"x".repeat(65)] {
            assert_eq!(PatientId::new(bad), Err(IdentifierError));
            assert_eq!(DeviceId::new(bad), Err(IdentifierError));
            assert!(serde_json::from_value::<PatientId>(bad.into()).is_err());
        }
    }

    #[test]
    fn debug_prints_no_content() {
        let patient = PatientId::new("jane-doe-1961").unwrap();
        assert_eq!(format!("{patient:?}"), "PatientId(..)");
        let error = serde_json::from_value::<PatientId>("jane doe".into()).unwrap_err();
        assert!(!error.to_string().contains("jane"));
    }
}
