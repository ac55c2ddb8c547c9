//! What governance approves and patients consent to, followed along a chain that may take back its newest blocks.
//!
//! [`Watch`] is told of blocks with the registries' events in them. An approval counts once a number of blocks stand on top
//! of it; a suspension or a revocation counts at once. Where the chain takes blocks back, approvals in them are gone at
//! once, and suspensions stay in force until the chain has grown past where they stood, so that no node can lift one by
//! showing a short branch. [`View`] is what holds at the head: cheap to clone, never changed.
//!
//! This module never asks a node anything: whoever drives it reads blocks and events, and checks that they are complete.

mod mandates;
mod view;
mod watch;

use crate::bytes::{Address, B32};

pub use mandates::{Mandate, Mandates};
pub use view::{Policy, View};
pub use watch::{Adopted, BranchError, HISTORY_BLOCKS, Step, Watch};

/// A block's place on its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub number: u64,
    /// Its hash.
    pub hash: B32,
    /// The hash of the block before it.
    pub parent: B32,
    /// Its time, in seconds since the epoch.
    pub time_s: u64,
}

/// What is fixed of a model as it is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its identifier.
    pub id: B32,
    /// Content hash of its package.
    pub package: B32,
    /// Hash of its circuit.
    pub circuit: B32,
    /// Hash of its verifying key.
    pub verifying_key: B32,
    /// Identifier of the proof system.
    pub proof_system: [u8; 4],
}

/// What is fixed of a care policy as it is approved, as far as agents act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Its identifier.
    pub id: B32,
    /// The model that it names.
    pub model: B32,
    /// Score from which it applies; nothing where it is outside of what a score can be.
    pub threshold: Option<i64>,
    /// Least time between two triggers under one mandate.
    pub cool_down_s: u32,
}

/// An event of one of the registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A model's hashes are fixed.
    ModelRegistered(Model),
    /// A model may be acted on, over windows of this feature schema.
    ModelApproved {
        /// The model.
        id: B32,
        /// Hash of its feature schema.
        schema: B32,
    },
    /// A model or a policy is out of service.
    Suspended(B32),
    /// It is back in service.
    Reinstated(B32),
    /// It is out of service for good.
    Ended(B32),
    /// A care policy may be acted on.
    PolicyApproved(Terms),
    /// A patient consents.
    MandateGranted {
        /// The mandate.
        id: B32,
        /// The one policy consented to.
        policy: B32,
        /// The one oracle that may attest.
        oracle: Address,
        /// First second at which the consent no longer holds.
        expires_s: u64,
    },
    /// A patient takes the consent back.
    MandateRevoked(B32),
}
