//! Who owns a partition's outputs: who put up its newest fence.

use std::collections::BTreeMap;

use hygeia_protocol::subject::{Partition, Stream};

use super::Violation;
use crate::broker::Subject;
use crate::process::Process;

#[derive(Debug, Default)]
pub(super) struct Owners {
    of: BTreeMap<(Stream, Partition), (Process, u64)>,
}

impl Owners {
    /// Takes a fence in, and holds an output against the newest one.
    pub(super) fn stored(&mut self, stream: Stream, subject: &Subject, by: (Process, u64)) -> Result<(), Violation> {
        match subject {
            Subject::Fence(partition) => drop(self.of.insert((stream, *partition), by)),
            Subject::Of(partition) => {
                let owner = self.of.get(&(stream, *partition));
                if owner.is_some_and(|owner| *owner != by) {
                    return Err(Violation::StaleOwner { stream: stream.name(), partition: partition.0 });
                }
            }
            Subject::Named(_) => {}
        }
        Ok(())
    }
}
