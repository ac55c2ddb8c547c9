//! What the model answers, next to what the server answers.

use super::*;

const FENCE: Subject = Subject::Fence(Partition(0));

fn message(id: &str, after: Option<After>) -> Publication {
    let (stream, subject) = (Stream::Alerts, Subject::Of(Partition(0)));
    Publication { stream, subject, id: id.into(), payload: [1].into(), after }
}

fn after(subject: &Subject, sequence: u64) -> Option<After> {
    Some(After { subject: subject.clone(), sequence })
}

#[test]
fn an_id_is_remembered_for_as_long_as_the_window() {
    let mut broker = Broker::new(Sync::Always);
    assert_eq!(broker.publish(&message("a", None), 0), Stored::New(1));
    assert_eq!(broker.publish(&message("a", None), DUPLICATE_WINDOW_MS - 1), Stored::Duplicate(1));
    assert_eq!(broker.publish(&message("a", None), DUPLICATE_WINDOW_MS), Stored::New(2));
}

#[test]
fn of_two_messages_that_would_follow_one_the_first_is_taken() {
    let mut broker = Broker::new(Sync::Always);
    let own = Subject::Of(Partition(0));
    assert_eq!(broker.publish(&message("a", after(&own, 0)), 0), Stored::New(1));
    assert_eq!(broker.publish(&message("b", after(&own, 0)), 0), Stored::WrongLast);
    assert_eq!(broker.publish(&message("b", after(&own, 1)), 0), Stored::New(2));
}

#[test]
fn a_fence_keeps_out_who_was_there_before_even_what_it_stored() {
    let mut broker = Broker::new(Sync::Always);
    let fence = Publication { subject: FENCE, ..message("", after(&FENCE, 0)) };
    assert_eq!(broker.publish(&fence, 0), Stored::New(1));
    assert_eq!(broker.publish(&message("a", after(&FENCE, 1)), 0), Stored::New(2));
    assert_eq!(broker.publish(&message("a", after(&FENCE, 1)), 0), Stored::Duplicate(2));
    assert_eq!(broker.publish(&fence, 0), Stored::WrongLast);
    let next = Publication { after: after(&FENCE, 1), ..fence };
    assert_eq!(broker.publish(&next, 0), Stored::New(3));
    assert_eq!(broker.publish(&message("a", after(&FENCE, 1)), 0), Stored::WrongLast);
    assert_eq!(broker.publish(&message("b", after(&FENCE, 1)), 0), Stored::WrongLast);
    assert_eq!(broker.publish(&message("b", after(&FENCE, 3)), 0), Stored::New(4));
    for filter in [Filter::All, Filter::Of(Partition(0))] {
        let read: Vec<u64> = broker.read(Stream::Alerts, filter, 1, 9).iter().map(|entry| entry.sequence).collect();
        assert_eq!(read, [2, 4], "no reader sees a fence");
    }
}

#[test]
fn a_write_that_names_another_revision_is_refused() {
    let mut bucket = Bucket::default();
    let key: Rc<str> = "a.1".into();
    let mut write = |byte: Option<u8>, after| bucket.write(&key, byte.map(|byte| [byte].into()), after, 100);
    assert_eq!(write(Some(1), Some(0)), Some(1));
    assert_eq!(write(Some(2), Some(0)), None);
    assert_eq!(write(Some(2), Some(1)), Some(2));
    assert_eq!(write(None, None), Some(3));
    assert_eq!(write(Some(4), Some(0)), None);
    assert_eq!(write(Some(4), Some(3)), Some(4));
    assert_eq!(bucket.get(&key), Some((4, [4].into())));
    let changes = |prefix, since, now_ms| bucket.changes(prefix, since, now_ms).len();
    assert_eq!((changes("a.", 3, 99), changes("a.", 4, 99), changes("b.", 0, 99)), (1, 0, 0));
    assert_eq!(changes("a.", 3, 100), 0, "it is kept until then");
}

#[test]
fn a_crash_takes_what_was_not_written() {
    for (sync, left) in [(Sync::Always, 2), (Sync::Interval, 1)] {
        let mut broker = Broker::new(sync);
        broker.publish(&message("a", None), 0);
        broker.write_down();
        broker.publish(&message("b", None), 1);
        let lost = broker.crash(2);
        assert_eq!(lost.is_empty(), sync == Sync::Always);
        assert_eq!(broker.len(Stream::Alerts), left);
        assert_eq!(broker.publish(&message("b", None), 3) == Stored::Duplicate(2), sync == Sync::Always);
    }
}

#[test]
fn a_job_comes_again_until_it_is_acknowledged() {
    let mut broker = Broker::new(Sync::Always);
    broker.publish(&message("a", None), 0);
    let prover = Process::Prover(0);
    let fetch = |broker: &mut Broker, now_ms| {
        let jobs = broker.fetch(Stream::Alerts, prover, 8, now_ms);
        jobs.iter().map(|job| job.deliveries).collect::<Vec<_>>()
    };
    assert_eq!(fetch(&mut broker, 0), [1]);
    assert_eq!(fetch(&mut broker, 0), [0; 0], "it is held");
    assert_eq!(broker.is_overdue(Stream::Alerts, 1, 1, |_| true), Some(true));
    broker.work_on(Stream::Alerts, 1, prover, true);
    assert_eq!(broker.is_overdue(Stream::Alerts, 1, 1, |_| true), Some(false));
    assert_eq!(broker.is_overdue(Stream::Alerts, 1, 1, |_| false), Some(true), "who worked on it is gone");
    assert!(broker.give_back(Stream::Alerts, 1, 5));
    assert_eq!(fetch(&mut broker, 4), [0; 0], "not before its pause is over");
    assert_eq!(fetch(&mut broker, 5), [2]);
    broker.ack(Stream::Alerts, 1, 6);
    broker.crash(10_000);
    assert_eq!(fetch(&mut broker, 10_000), [0; 0]);
}
