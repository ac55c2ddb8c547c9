//! The ward: what patients' devices send, and what stands in for schema, model, commitment and enrolment.

use std::num::NonZeroU16;
use std::rc::Rc;

pub use hygeia_protocol::bytes::B32;
use hygeia_protocol::bytes::Salt;
use hygeia_protocol::code::Code;
use hygeia_protocol::digest::Digest;
use hygeia_protocol::message::{Message as _, ScoredWindow};
use hygeia_protocol::observation::{DeviceId, Observation, PatientId};
use hygeia_protocol::subject::{Partition, Partitioner};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::TriagePolicy;
use hygeia_protocol::window::WindowSnapshot;

use crate::rng::Rng;

/// An hour.
pub const HOUR_MS: u64 = 3_600_000;
/// The instant that a run begins at: a midnight, so that hours read as such.
pub const START: Timestamp = Timestamp::from_seconds(1_767_225_600);
/// The models: one that runs from the start, one that is approved on the way.
pub const MODELS: [B32; 2] = [B32::new([1; 32]), B32::new([2; 32])];
/// Partitions of the ward.
pub const PARTITIONS: u16 = 8;
/// Hash of the feature schema.
pub const SCHEMA: B32 = B32::new([3; 32]);
/// Hash of the circuit.
pub const CIRCUIT: B32 = B32::new([4; 32]);
/// When to call; a cool-down of four hours fits several times into a day.
pub const TRIAGE: TriagePolicy =
    TriagePolicy { threshold: 1_500, clear_below: 1_244, cool_down_s: 4 * 3_600, escalation_step: 800 };
/// What draws the ward, as a key for random numbers.
const KEY: u64 = 0x3a;

/// One message of a device.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When the gateway has it, in milliseconds after the start.
    pub at_ms: u64,
    /// Where it goes.
    pub partition: Partition,
    /// Its identity.
    pub id: Rc<str>,
    /// The message.
    pub payload: Rc<[u8]>,
}

/// Everything that the devices of a ward send, in the order of arrival.
#[must_use]
pub fn observations(seed: u64, patients: u64, hours: u64) -> Vec<Sent> {
    let mut sent: Vec<Sent> = (0..patients).flat_map(|patient| stay(seed, patient, hours)).collect();
    sent.sort_by_key(|sent| sent.at_ms);
    sent
}

/// The mandate that a patient is enrolled under.
#[must_use]
pub fn mandate(patient: &PatientId) -> B32 {
    Digest::new("hygeia-sim/mandate").field(patient.expose().as_bytes()).finish()
}

/// The partitions of the ward.
#[must_use]
pub fn partitioner() -> Partitioner {
    Partitioner::new([7; 32], NonZeroU16::new(PARTITIONS).expect("there are some"))
}

/// What stands in for the features: enough of a window to tell two windows apart.
#[must_use]
pub fn features(snapshot: &WindowSnapshot) -> Vec<i32> {
    let heart_rate = snapshot.readings[Code::HeartRate.slot().unwrap_or_default()];
    let of = |value: Option<i32>| value.unwrap_or_default();
    let sum = snapshot.readings.iter().flatten().fold(0_i32, |sum, r| sum.wrapping_add(r.value_milli ^ r.delta_milli));
    vec![of(heart_rate.map(|r| r.value_milli)), of(heart_rate.map(|r| r.delta_milli)), sum]
}

/// The policy that names a model.
#[must_use]
pub const fn policy(model: &B32) -> B32 {
    let mut bytes = *model.as_bytes();
    bytes[0] = 9;
    B32::new(bytes)
}

/// What stands in for the models: to the first one a heart rate of 120 is worth the threshold, to the second one of 118.
#[must_use]
pub fn score(model: &B32, features: &[i32]) -> i64 {
    let calm = if *model == MODELS[0] { 90_000 } else { 88_000 };
    features.first().map_or(0, |&heart_rate| (i64::from(heart_rate) - calm) / 20)
}

/// The identity of the ledger's line about a window and a model.
#[must_use]
pub fn line_id(window: &B32, model: &B32) -> String {
    Digest::new(ScoredWindow::TYPE).field(window.as_bytes()).field(model.as_bytes()).finish().to_hex()
}

/// The salt of a window, derived as the oracle's is.
#[must_use]
pub fn salt(mandate: &B32, end_s: u64) -> Salt {
    let digest = Digest::new("hygeia-sim/salt").field(mandate.as_bytes()).integer(end_s).finish().into_bytes();
    Salt::new(std::array::from_fn(|index| digest[index]))
}

/// What stands in for the commitment.
#[must_use]
pub fn commitment(features: &[i32], salt: &Salt) -> B32 {
    let start = Digest::new("hygeia-sim/commitment").field(salt.expose());
    features.iter().fold(start, |digest, feature| digest.field(&feature.to_be_bytes())).finish()
}

/// What the contract burns: one per mandate, policy and period of the cool-down.
#[must_use]
pub fn nullifier(mandate: &B32, policy: &B32, end_s: u64) -> B32 {
    let period = end_s / u64::from(TRIAGE.cool_down_s);
    Digest::new("hygeia-sim/nullifier").field(mandate.as_bytes()).field(policy.as_bytes()).integer(period).finish()
}

/// One patient: a monitor that reports now and then, a laboratory that reports late, and an episode in most stays.
fn stay(seed: u64, number: u64, hours: u64) -> Vec<Sent> {
    let mut rng = Rng::of(seed, &[KEY, number]);
    let mut bed = Bed::new(number);
    let calm = rng.between(70, 95);
    let begins_ms = rng.between(0, hours) * HOUR_MS;
    let ends_ms = if rng.once_in(4) { begins_ms } else { begins_ms + rng.between(1, 8) * HOUR_MS };
    let mut at_ms = rng.between(0, HOUR_MS);
    while at_ms < hours * HOUR_MS {
        let is_ill = (begins_ms..ends_ms).contains(&at_ms);
        let beats = if is_ill { rng.between(115, 165) } else { calm + rng.between(0, 15) };
        // Some values arrive out of order, within what a window waits for.
        let ago_s = if rng.once_in(6) { rng.between(1, 280) } else { 0 };
        bed.send(at_ms, ago_s, Code::HeartRate, beats * 1_000);
        if rng.once_in(3) {
            bed.send(at_ms + 40, 0, Code::RespiratoryRate, rng.between(12, 28) * 1_000);
        }
        if rng.once_in(12) {
            bed.send(at_ms + 80, rng.between(900, 3 * 3_600), Code::Creatinine, rng.between(600, 2_500));
        }
        if rng.once_in(30) {
            bed.repeat(at_ms + 1_500);
        }
        at_ms += rng.between(12 * 60_000, 28 * 60_000);
    }
    bed.sent
}

struct Bed {
    patient: PatientId,
    device: DeviceId,
    partition: Partition,
    seq: u64,
    sent: Vec<Sent>,
}

impl Bed {
    fn new(number: u64) -> Bed {
        let patient = PatientId::new(&format!("p-{number}")).expect("a letter and digits");
        let device = DeviceId::new(&format!("d-{number}")).expect("a letter and digits");
        let partition = partitioner().of(&patient);
        Bed { patient, device, partition, seq: 0, sent: Vec::new() }
    }

    fn send(&mut self, at_ms: u64, ago_s: u64, code: Code, value_milli: u64) {
        self.seq += 1;
        let effective = Timestamp::from_millis(START.as_millis() + at_ms).minus_seconds(ago_s);
        let value_milli = i32::try_from(value_milli).expect("vital signs are small");
        let made = Observation::new(self.patient.clone(), self.device.clone(), self.seq, code, value_milli, effective);
        let observation = made.expect("the ward's values are plausible");
        self.sent.push(Sent {
            at_ms,
            partition: self.partition,
            id: observation.message_id().into(),
            payload: observation.encode().into(),
        });
    }

    /// A device that did not hear that its last message was taken: another id, the same sequence number.
    fn repeat(&mut self, at_ms: u64) {
        let Some(last) = self.sent.last().cloned() else { return };
        self.sent.push(Sent { at_ms, id: format!("{}-again", last.id).into(), ..last });
    }
}
