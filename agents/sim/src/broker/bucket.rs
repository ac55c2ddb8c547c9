//! Key-value pairs: each write has a revision, may ask for the one before it, and is seen by who watches.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

/// A bucket. Of each key it keeps the newest value.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    written: u64,
    values: BTreeMap<Rc<str>, Value>,
}

#[derive(Clone, Debug)]
struct Value {
    revision: u64,
    /// Nothing where the key was removed.
    bytes: Option<Rc<[u8]>>,
    /// When the broker removes it by itself.
    until_ms: u64,
}

/// The newest write of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Rc<str>,
    /// Revision of the write.
    pub revision: u64,
    /// What it wrote; nothing where it removed the key.
    pub bytes: Option<Rc<[u8]>>,
}

impl Bucket {
    /// The value under a key, and its revision.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<(u64, Rc<[u8]>)> {
        let value = self.values.get(key)?;
        Some((value.revision, value.bytes.clone()?))
    }

    /// Writes or removes a value, if `after` is the key's revision (0 where it was never written) or is not given. The
    /// revision of the write; none where another came first. The value is kept until an instant.
    pub fn write(&mut self, key: &Rc<str>, bytes: Option<Rc<[u8]>>, after: Option<u64>, until_ms: u64) -> Option<u64> {
        let stands = self.values.get(key).map_or(0, |value| value.revision);
        if after.is_some_and(|after| after != stands) {
            return None;
        }
        self.written += 1;
        self.values.insert(key.clone(), Value { revision: self.written, bytes, until_ms });
        Some(self.written)
    }

    /// Forgets every key that begins with `prefix`, those that begin with `but` excepted.
    pub fn purge(&mut self, prefix: &str, but: &str) {
        let keys = self.starting_with(prefix).map(|(key, _)| key.clone()).filter(|key| !key.starts_with(but));
        let gone: Vec<Rc<str>> = keys.collect();
        gone.iter().for_each(|key| drop(self.values.remove(key)));
    }

    /// Changes the first byte of every value under keys that begin with `prefix`, as a disk does that fails. Gives how many
    /// those were.
    pub fn spoil(&mut self, prefix: &str) -> u64 {
        let keys: Vec<Rc<str>> = self.starting_with(prefix).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            if let Some(bytes) = self.values.get_mut(key).and_then(|value| value.bytes.as_mut()) {
                *bytes = bytes.iter().enumerate().map(|(place, byte)| byte ^ u8::from(place == 0)).collect();
            }
        }
        keys.len() as u64
    }

    /// What was written since a revision under keys that begin with `prefix`, oldest first.
    #[must_use]
    pub fn changes(&self, prefix: &str, since: u64, now_ms: u64) -> Vec<Change> {
        let newer = self.starting_with(prefix).filter(|(_, value)| value.revision > since && value.until_ms > now_ms);
        let change = |(key, value): (&Rc<str>, &Value)| Change {
            key: key.clone(),
            revision: value.revision,
            bytes: value.bytes.clone(),
        };
        let mut changes: Vec<Change> = newer.map(change).collect();
        changes.sort_by_key(|change| change.revision);
        changes
    }

    fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a Rc<str>, &'a Value)> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        self.values.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(prefix))
    }
}
