//! One stream: messages by place, by subject and by id.

use std::collections::HashMap;
use std::rc::Rc;

use hygeia_protocol::subject::Partition;

use super::{DUPLICATE_WINDOW_MS, Entry, Filter, Subject};

#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
    on_disk: usize,
    // These three are looked up and never walked, so that their order does not matter.
    ids: HashMap<Rc<str>, u64>,
    last_of: HashMap<Subject, u64>,
    of_partition: HashMap<Partition, Vec<u64>>,
}

impl Log {
    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn at(&self, sequence: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(sequence.checked_sub(1)?).ok()?)
    }

    /// The place of the newest message on a subject; 0 where there is none.
    pub(super) fn last_of(&self, subject: &Subject) -> u64 {
        self.last_of.get(subject).copied().unwrap_or(0)
    }

    /// Where a message of this id stands that is not too old to be remembered.
    pub(super) fn remembered(&self, id: &str, now_ms: u64) -> Option<u64> {
        let entry = self.at(*self.ids.get(id)?)?;
        (entry.stored_at_ms + DUPLICATE_WINDOW_MS > now_ms).then_some(entry.sequence)
    }

    pub(super) fn read(&self, filter: Filter, from: u64, max: usize) -> Vec<Entry> {
        match filter {
            Filter::All => {
                let from = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
                let is_message = |entry: &&Entry| !matches!(entry.subject, Subject::Fence(_));
                self.entries.iter().skip(from).filter(is_message).take(max).cloned().collect()
            }
            Filter::Of(partition) => {
                let places = self.of_partition.get(&partition).map_or(&[][..], Vec::as_slice);
                let from = places.partition_point(|&place| place < from);
                places[from..].iter().take(max).filter_map(|&place| self.at(place).cloned()).collect()
            }
        }
    }

    pub(super) fn add(&mut self, entry: Entry) {
        if !entry.id.is_empty() {
            self.ids.insert(entry.id.clone(), entry.sequence);
        }
        if let Subject::Of(partition) = entry.subject {
            self.of_partition.entry(partition).or_default().push(entry.sequence);
        }
        self.last_of.insert(entry.subject.clone(), entry.sequence);
        self.entries.push(entry);
    }

    pub(super) fn write_down(&mut self) {
        self.on_disk = self.entries.len();
    }

    /// Loses what is not on disk; whether that was anything.
    pub(super) fn cut(&mut self) -> bool {
        if self.on_disk == self.entries.len() {
            return false;
        }
        let Log { mut entries, on_disk, .. } = std::mem::take(self);
        entries.truncate(on_disk);
        entries.into_iter().for_each(|entry| self.add(entry));
        self.on_disk = on_disk;
        true
    }
}
