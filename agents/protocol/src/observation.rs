//! One measurement of one patient: wire JSON on one side, a checked value on the other.
//!
//! ```json
//! {"v":1,"patient":"p-1","device":"monitor-7","seq":123,
//!  "code":{"system":"http://loinc.org","code":"8867-4"},"value":72.5,"unit":"/min",
//!  "effective":"2026-01-01T00:00:00Z"}
//! ```
//!
//! Unknown fields are refused, so that a sender learns of a misspelt one. A refusal says why and never
//! what: the content may identify a patient.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::code::Code;
use crate::decimal;
use crate::digest::Digest;
pub use crate::identity::{DeviceId, PatientId};
use crate::time::{TimeError, Timestamp};
use crate::wire;

/// The version of the wire format that this build reads and writes.
pub const VERSION: u64 = 1;

/// A measurement that passed every check that needs no memory of earlier ones. `Debug` prints neither
/// the value nor an identifier.
#[derive(Clone, PartialEq, Eq)]
pub struct Observation {
    patient: PatientId,
    device: DeviceId,
    seq: u64,
    code: Code,
    value_milli: i32,
    effective: Timestamp,
}

/// What an observation is held against besides the ranges of its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest message, in bytes.
    pub bytes_max: usize,
    /// How far the sender's clock may run ahead of ours, in seconds.
    pub ahead_s_max: u64,
    /// How long ago the measurement may be, in seconds; guards against a device whose clock was reset.
    pub age_s_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            // An observation takes about 250 bytes; 64 KiB is the format's own bound.
            bytes_max: 64 * 1024,
            // Hospital clocks follow NTP; five minutes is what Kerberos allows them.
            ahead_s_max: 300,
            // A year and a day: longer than any stay whose history is read in.
            age_s_max: 366 * 86_400,
        }
    }
}

/// Why an observation becomes a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Rejection {
    /// More bytes than the limit; nothing of it was read.
    #[error("the message is larger than the limit")]
    TooLarge,
    /// Not the JSON of the format: truncated, a missing, doubled or unknown field, a wrong type.
    #[error("the message is not an observation")]
    Malformed,
    /// Another version of the format.
    #[error("the version of the message is not supported")]
    UnsupportedVersion,
    /// A code system or a code that is not ours.
    #[error("the code is unknown")]
    UnknownCode,
    /// Not the unit of this code.
    #[error("the unit is not the unit of the code")]
    WrongUnit,
    /// No patient has this value; a sentinel for "no value" is one of these.
    #[error("the value is outside the plausible range of the code")]
    ImplausibleValue,
    /// Measured later than now, beyond the clock skew allowed.
    #[error("the time of the measurement lies in the future")]
    FutureTime,
    /// This device's sequence number was seen before.
    #[error("the sequence number was seen before")]
    Duplicate,
    /// Further back in the device's sequence than what is remembered of it.
    #[error("the sequence number is older than what is remembered of the device")]
    ReplayedSequence,
    /// Measured before the windows that are still open.
    #[error("the measurement is too late for any open window")]
    TooLate,
    /// A patient or device identifier outside its alphabet or length.
    #[error("an identifier is not of the accepted form")]
    BadIdentifier,
}

impl Rejection {
    /// Every reason.
    pub const ALL: [Rejection; 11] = [
        Rejection::TooLarge,
        Rejection::Malformed,
        Rejection::UnsupportedVersion,
        Rejection::UnknownCode,
        Rejection::WrongUnit,
        Rejection::ImplausibleValue,
        Rejection::FutureTime,
        Rejection::Duplicate,
        Rejection::ReplayedSequence,
        Rejection::TooLate,
        Rejection::BadIdentifier,
    ];

    /// The stable label: last part of the dead letter's subject and metric label.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Rejection::TooLarge => "too_large",
            Rejection::Malformed => "malformed",
            Rejection::UnsupportedVersion => "unsupported_version",
            Rejection::UnknownCode => "unknown_code",
            Rejection::WrongUnit => "wrong_unit",
            Rejection::ImplausibleValue => "implausible_value",
            Rejection::FutureTime => "future_time",
            Rejection::Duplicate => "duplicate",
            Rejection::ReplayedSequence => "replayed_sequence",
            Rejection::TooLate => "too_late",
            Rejection::BadIdentifier => "bad_identifier",
        }
    }
}

impl Observation {
    /// An observation from values that are already of our types, as the gateway and the replayer make it.
    ///
    /// # Errors
    /// [`Rejection::ImplausibleValue`] outside the range of the code.
    pub fn new(
        patient: PatientId,
        device: DeviceId,
        seq: u64,
        code: Code,
        value_milli: i32,
        effective: Timestamp,
    ) -> Result<Observation, Rejection> {
        if !code.is_plausible(value_milli) {
            return Err(Rejection::ImplausibleValue);
        }
        Ok(Observation { patient, device, seq, code, value_milli, effective })
    }

    /// Reads the wire format; `received` is the time of arrival.
    ///
    /// # Errors
    /// The first reason, in the order size, form, version, identifiers, code, unit, value, time.
    pub fn decode(bytes: &[u8], received: Timestamp, limits: &Limits) -> Result<Observation, Rejection> {
        if bytes.len() > limits.bytes_max {
            return Err(Rejection::TooLarge);
        }
        match wire::version(bytes) {
            None => return Err(Rejection::Malformed),
            Some(VERSION) => {}
            Some(_) => return Err(Rejection::UnsupportedVersion),
        }
        let wire: Wire<'_> = serde_json::from_slice(bytes).map_err(|_| Rejection::Malformed)?;
        let observation = wire.checked()?;
        observation.check_time(received, limits)?;
        Ok(observation)
    }

    /// Writes the wire format.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            v: VERSION,
            patient: self.patient.expose().into(),
            device: self.device.expose().into(),
            seq: self.seq,
            code: WireCode { system: self.code.system().into(), code: self.code.code().into() },
            value: WireValue::Number(decimal::from_milli(self.value_milli)),
            unit: self.code.ucum().into(),
            effective: self.effective.to_string().into(),
        };
        serde_json::to_vec(&wire).expect("strings and finite numbers are JSON")
    }

    /// Digest of the encoded message, in hex. Two messages that differ in anything have different ones,
    /// so the broker drops exact copies only and the window judges the rest.
    #[must_use]
    pub fn message_id(&self) -> String {
        Self::message_id_of(&self.encode())
    }

    /// The same of a message that is encoded already, or that is none: whoever publishes needs not encode it again.
    #[must_use]
    pub fn message_id_of(encoded: &[u8]) -> String {
        Digest::new("hygeia/observation/v1").field(encoded).finish().to_hex()
    }

    /// Whose measurement it is.
    #[must_use]
    pub const fn patient(&self) -> &PatientId {
        &self.patient
    }

    /// What measured or reported it.
    #[must_use]
    pub const fn device(&self) -> &DeviceId {
        &self.device
    }

    /// The device's own count of its messages.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// What was measured.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The value in thousandths of the unit of the code.
    #[must_use]
    pub const fn value_milli(&self) -> i32 {
        self.value_milli
    }

    /// When it was true of the patient.
    #[must_use]
    pub const fn effective(&self) -> Timestamp {
        self.effective
    }

    fn check_time(&self, received: Timestamp, limits: &Limits) -> Result<(), Rejection> {
        if self.effective > received.plus_seconds(limits.ahead_s_max) {
            return Err(Rejection::FutureTime);
        }
        if self.effective < received.minus_seconds(limits.age_s_max) {
            return Err(Rejection::TooLate);
        }
        Ok(())
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation").field("code", &self.code).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    v: u64,
    #[serde(borrow)]
    patient: Cow<'a, str>,
    #[serde(borrow)]
    device: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    code: WireCode<'a>,
    value: WireValue,
    #[serde(borrow)]
    unit: Cow<'a, str>,
    #[serde(borrow)]
    effective: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCode<'a> {
    #[serde(borrow)]
    system: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
}

impl Wire<'_> {
    fn checked(&self) -> Result<Observation, Rejection> {
        let patient = PatientId::new(&self.patient).map_err(|_| Rejection::BadIdentifier)?;
        let device = DeviceId::new(&self.device).map_err(|_| Rejection::BadIdentifier)?;
        let code = Code::from_coding(&self.code.system, &self.code.code).ok_or(Rejection::UnknownCode)?;
        if self.unit != code.ucum() {
            return Err(Rejection::WrongUnit);
        }
        let value_milli = self.value.to_milli().ok_or(Rejection::ImplausibleValue)?;
        let effective = Timestamp::parse_rfc3339(&self.effective).map_err(|error| match error {
            TimeError::BeforeEpoch => Rejection::TooLate,
            TimeError::NotRfc3339 | TimeError::AfterMax => Rejection::Malformed,
        })?;
        Observation::new(patient, device, self.seq, code, value_milli, effective)
    }
}

/// A JSON number, or one of the ways in which senders write "not a number" although JSON has none:
/// `null` (JavaScript) and the strings NaN and Infinity. Those are values that no patient has, told
/// apart from a message that is not of the format.
#[derive(Serialize)]
#[serde(untagged)]
enum WireValue {
    Number(f64),
    NotANumber,
}

impl WireValue {
    fn to_milli(&self) -> Option<i32> {
        match self {
            WireValue::Number(value) => decimal::to_milli(*value),
            WireValue::NotANumber => None,
        }
    }

    fn integer(value: impl TryInto<i32>) -> WireValue {
        value.try_into().map_or(WireValue::NotANumber, |v| WireValue::Number(f64::from(v)))
    }
}

impl<'de> Deserialize<'de> for WireValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WireValueVisitor)
    }
}

struct WireValueVisitor;

impl Visitor<'_> for WireValueVisitor {
    type Value = WireValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<WireValue, E> {
        Ok(WireValue::Number(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<WireValue, E> {
        Ok(WireValue::integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<WireValue, E> {
        Ok(WireValue::integer(value))
    }

    fn visit_unit<E: Error>(self) -> Result<WireValue, E> {
        Ok(WireValue::NotANumber)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<WireValue, E> {
        match text {
            "NaN" | "nan" | "Infinity" | "-Infinity" | "inf" | "-inf" => Ok(WireValue::NotANumber),
            _ => Err(E::custom("expected a number")),
        }
    }
}
