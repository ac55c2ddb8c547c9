//! Subjects and partitions.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use expect_test::expect;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::identity::PatientId;
use hygeia_protocol::observation::Rejection;
use hygeia_protocol::subject::{self, Partition, Partitioner, Stream};
use proptest::prelude::*;

fn partitioner(key: u8, partitions: u16) -> Partitioner {
    Partitioner::new([key; 32], NonZeroU16::new(partitions).unwrap())
}

/// NATS: `*` stands for exactly one token.
fn matches(filter: &str, subject: &str) -> bool {
    let (filter, subject): (Vec<_>, Vec<_>) = (filter.split('.').collect(), subject.split('.').collect());
    filter.len() == subject.len() && filter.iter().zip(&subject).all(|(f, s)| *f == "*" || f == s)
}

#[test]
fn names() {
    let names: Vec<_> = Stream::ALL.iter().map(|s| format!("{} {}", s.name(), s.filter())).collect();
    expect![[r#"
        HYGEIA_OBS obs.v1.*
        HYGEIA_WINDOW window.v1.*
        HYGEIA_ALERT alert.v1.*
        HYGEIA_PROVE prove.v1.request
        HYGEIA_RECEIPT receipt.v1
        HYGEIA_SETTLEMENT settlement.v1
        HYGEIA_OUTCOME outcome.v1
        HYGEIA_LEDGER ledger.v1.*
        HYGEIA_AUDIT_ORDER audit-order.v1.*
        HYGEIA_AUDIT audit.v1.*.*
        HYGEIA_DEAD dead.v1.*
        HYGEIA_SHADOW shadow.v1.*
        HYGEIA_JOURNAL journal.v1.*"#]]
    .assert_eq(&names.join("\n"));
}

#[test]
fn every_subject_is_stored_by_exactly_one_stream() {
    let partition = Partition(7);
    let mut subjects = vec![
        subject::observation(partition),
        subject::window(partition),
        subject::alert(partition),
        subject::ledger(partition),
        subject::PROVE_REQUEST.into(),
        subject::RECEIPT.into(),
        subject::SETTLEMENT.into(),
        subject::OUTCOME.into(),
        subject::audit_order(&B32::new([7; 32])),
        subject::audited_batch(&B32::new([7; 32])),
        subject::window_receipt(partition),
        subject::journal("steward"),
        subject::shadow(&B32::new([7; 32])),
    ];
    subjects.extend(Rejection::ALL.into_iter().map(|why| subject::dead_letter(why.reason())));
    for subject in subjects {
        let streams = Stream::ALL.iter().filter(|stream| matches(stream.filter(), &subject)).count();
        assert_eq!(streams, 1, "{subject}");
    }
}

#[test]
fn a_partition_is_read_back_from_its_subject() {
    for partition in [0, 1, 10, u16::MAX].map(Partition) {
        for of in [subject::observation, subject::window, subject::alert, subject::ledger] {
            assert_eq!(subject::partition_of(&of(partition)), Some(partition));
        }
    }
    for other in [
        "",
        "obs.v1",
        "obs.v1.",
        "obs.v1.x",
        "obs.v1.-1",
        "obs.v1.+1",
        "obs.v1.01",
        "obs.v1.65536",
        "obs.v2.1",
        "obs.v1.1.1",
        "dead.v1.1",
        "prove.v1.request",
        "receipt.v1",
    ] {
        assert_eq!(subject::partition_of(other), None, "{other}");
    }
}

#[test]
fn partitions_are_stable() {
    let partitioner = partitioner(7, 16);
    let of = |id: &str| partitioner.of(&PatientId::new(id).unwrap()).0;
    let partitions: Vec<_> = ["p-1", "p-2", "p-3", "p-4", "p-5", "p-6"].into_iter().map(of).collect();
    expect!["[4, 0, 8, 13, 9, 8]"].assert_eq(&format!("{partitions:?}"));
}

#[test]
fn patients_spread_over_all_partitions_and_another_key_spreads_them_otherwise() {
    let (one, other) = (partitioner(1, 16), partitioner(2, 16));
    let patients: Vec<_> = (0..1000).map(|i| PatientId::new(&format!("p{i}")).unwrap()).collect();
    let mut counts = [0; 16];
    patients.iter().for_each(|patient| counts[usize::from(one.of(patient).0)] += 1);
    assert!(counts.iter().all(|count| (30..=100).contains(count)), "{counts:?}");
    let moved = patients.iter().filter(|patient| one.of(patient) != other.of(patient)).count();
    assert!(moved > 850, "{moved}");
    assert_eq!(one.all().collect::<BTreeSet<_>>().len(), 16);
}

#[test]
fn the_key_is_not_printed() {
    assert_eq!(format!("{:?}", partitioner(0xab, 4)), "Partitioner { partitions: 4, .. }");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_partition_is_stable_and_in_range(key: [u8; 32], partitions in 1..=u16::MAX, id in "[A-Za-z0-9_-]{1,64}") {
        let partitions = NonZeroU16::new(partitions).unwrap();
        let patient = PatientId::new(&id).unwrap();
        let partition = Partitioner::new(key, partitions).of(&patient);
        prop_assert!(partition.0 < partitions.get());
        prop_assert_eq!(Partitioner::new(key, partitions).of(&patient), partition);
    }
}

/// A reader of windows, alerts or the ledger never comes upon a mark, and a mark names its partition's subject alone.
#[test]
fn marks_of_fences_stand_beside_the_streams_own_subjects() {
    let fenced: Vec<Stream> = Stream::ALL.into_iter().filter(|stream| stream.fence_filter().is_some()).collect();
    assert_eq!(fenced, [Stream::Windows, Stream::Alerts, Stream::Ledger]);
    for stream in Stream::ALL {
        let Some(mark) = subject::fence(stream, Partition(7)) else {
            assert!(!fenced.contains(&stream));
            continue;
        };
        assert_eq!(mark, format!("fence.{}7", stream.filter().trim_end_matches('*')));
        assert_eq!(subject::partition_of(&mark), None, "{mark}");
        assert!(!mark.starts_with(stream.filter().trim_end_matches('*')));
    }
}
