//! Selector columns of the audit circuit. As in the alert circuit one column carries several codes, told apart by
//! [`is`](crate::circuit::codes::is); here the codes of one column share the degree that their gates leave.
//!
//! `full` and `four` are columns of their own: they stand before gates of degree 4. On their rows they hold the code of
//! the row's node instead of 1, because the gates they switch add up with others that are scaled by that code.

use super::window::{Bus, Feed, HashRow, Unit, WindowRow};

/// What the node of a row is. Codes of the column `unit`; 0 beyond the windows.
pub mod unit {
    /// A neuron, or nothing.
    pub const NEURON: u64 = 1;
    /// Two features.
    pub const INPUTS: u64 = 2;
    /// Greatest code.
    pub const LAST: u64 = 2;
}

/// Rounds and absorptions out of the ordinary. Codes of the column `feed`, all on rows whose unit is a neuron.
pub mod feed {
    /// Nothing of these.
    pub const NONE: u64 = 0;
    /// One partial round.
    pub const SINGLE: u64 = 1;
    /// The leaf begins with commitment and score.
    pub const LEAF: u64 = 2;
    /// The salt is absorbed alone.
    pub const SALT: u64 = 3;
    /// Greatest code.
    pub const LAST: u64 = 3;
}

/// What a row does for the window's sums. Codes of the column `bus`, all on rows whose unit is a neuron.
pub mod bus {
    /// Nothing.
    pub const NONE: u64 = 0;
    /// Adds two elements.
    pub const ABSORB: u64 = 1;
    /// Adds two children.
    pub const CHILDREN: u64 = 2;
    /// Adds a digest.
    pub const OUT: u64 = 3;
    /// Greatest code.
    pub const LAST: u64 = 3;
}

/// Where sums begin and end. Codes of the column `stage`.
pub mod stage {
    /// The first window: its sums begin at 0.
    pub const START: u64 = 1;
    /// The rows after the last window, which hold the totals.
    pub const TOTALS: u64 = 2;
    /// First and last row of the balance.
    pub const EDGE: u64 = 3;
    /// Greatest code.
    pub const LAST: u64 = 3;
}

/// Code of a row's node.
pub fn unit_code(row: &WindowRow) -> u64 {
    match row.unit {
        Unit::Neuron(_) => unit::NEURON,
        Unit::Inputs(_) => unit::INPUTS,
    }
}

/// Code of a row's round or absorption.
pub fn feed_code(row: &WindowRow) -> u64 {
    match (row.hash, row.feed) {
        (HashRow::Single(_), _) => feed::SINGLE,
        (_, Feed::BeginLeaf) => feed::LEAF,
        (_, Feed::Salt) => feed::SALT,
        _ => feed::NONE,
    }
}

/// Code of a row's link to the sums.
pub fn bus_code(row: &WindowRow) -> u64 {
    match row.bus {
        Bus::None => bus::NONE,
        Bus::Absorb => bus::ABSORB,
        Bus::Children => bus::CHILDREN,
        Bus::Out => bus::OUT,
    }
}
