//! Names on the broker. Several care networks may share one: each then has its own streams, subjects and buckets, told
//! apart by a prefix. Nothing outside this module knows it; a subject that was read has lost it again.

use std::sync::Arc;

use hygeia_protocol::subject::Stream;
use thiserror::Error;

/// Longest name of a network: stream names stay well below the broker's bound.
const NETWORK_LEN_MAX: usize = 32;

/// The text cannot name a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a network's name is 1 to 32 characters out of A-Z, a-z, 0-9, '_' and '-'")]
pub struct NetworkNameError;

/// The name of a care network on a broker that several share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkName(Arc<str>);

impl std::str::FromStr for NetworkName {
    type Err = NetworkNameError;

    fn from_str(text: &str) -> Result<Self, NetworkNameError> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        let is_name = (1..=NETWORK_LEN_MAX).contains(&text.len()) && text.bytes().all(allowed);
        if is_name { Ok(Self(text.into())) } else { Err(NetworkNameError) }
    }
}

/// How this network's names are written on the broker.
#[derive(Debug, Clone, Default)]
pub struct Names {
    network: Option<NetworkName>,
}

impl Names {
    /// The names of `network`; bare ones for the only network of a broker.
    pub fn of(network: Option<NetworkName>) -> Self {
        Self { network }
    }

    /// Name of a stream.
    pub fn stream(&self, stream: Stream) -> String {
        self.join("_", stream.name())
    }

    /// Name of a bucket.
    pub fn bucket(&self, bucket: &str) -> String {
        self.join("_", bucket)
    }

    /// A subject, or a filter of subjects.
    pub fn subject(&self, subject: &str) -> String {
        self.join(".", subject)
    }

    /// The subject as the roles know it.
    pub fn strip<'a>(&self, subject: &'a str) -> &'a str {
        let Some(NetworkName(network)) = &self.network else { return subject };
        let rest = subject.strip_prefix(&**network).and_then(|rest| rest.strip_prefix('.'));
        rest.unwrap_or(subject)
    }

    fn join(&self, separator: &str, name: &str) -> String {
        match &self.network {
            Some(NetworkName(network)) => format!("{network}{separator}{name}"),
            None => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_names_of_its_own_and_reads_them_as_the_roles_know_them() {
        let names = Names::of(Some("north-1".parse().unwrap()));
        assert_eq!(names.stream(Stream::Observations), "north-1_HYGEIA_OBS");
        assert_eq!(names.bucket("hygeia_lease"), "north-1_hygeia_lease");
        assert_eq!(names.subject("obs.v1.3"), "north-1.obs.v1.3");
        assert_eq!(names.strip("north-1.obs.v1.3"), "obs.v1.3");
        assert_eq!(names.strip("north-12.obs.v1.3"), "north-12.obs.v1.3", "another network's");
        let bare = Names::default();
        assert_eq!((bare.subject("obs.v1.3").as_str(), bare.strip("obs.v1.3")), ("obs.v1.3", "obs.v1.3"));
    }

    #[test]
    fn a_name_that_would_change_a_subject_is_refused() {
        for text in ["", "a.b", "a b", "*", ">", "é", &"x".repeat(33)] {
            assert_eq!(text.parse::<NetworkName>(), Err(NetworkNameError), "{text}");
        }
    }
}
