//! Chains of the journal on a real broker: writers beside each other and after each other, and everything that is done to
//! a chain is found.

mod support;

use std::sync::Arc;

use hygeia_node::bus::Bus;
use hygeia_node::demo::processes::NatsServer;
use hygeia_node::journal::{self, AUDITOR, Journal, PROVER, STEWARD, Walked};
use hygeia_node::telemetry::Metrics;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::journal::{BrokenLink, ChainEnd, Fact};
use hygeia_protocol::subject::{self, Stream};

async fn broker(dir: &std::path::Path) -> (NatsServer, Bus) {
    let nats = NatsServer::start(&support::tools(), dir).await.unwrap();
    let bus = Bus::connect(nats.url(), std::time::Duration::from_secs(5)).await.unwrap();
    bus.ensure_streams().await.unwrap();
    (nats, bus)
}

fn fact(n: u8) -> Fact {
    Fact::ProofAccepted { alert: B32::new([n; 32]), message: B32::new([n; 32]) }
}

async fn writer(bus: &Bus, chain: &'static str) -> Journal {
    Journal::open(bus, chain, Metrics::default()).await.unwrap()
}

async fn walked(bus: &Bus, chain: &str) -> Result<ChainEnd, BrokenLink> {
    let all = journal::verify(bus).await.unwrap();
    all.into_iter().find(|walked: &Walked| walked.chain == chain).expect("every chain is walked").outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_one_chain_never_fork_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut nats, bus) = broker(dir.path()).await;
    let mut writing = tokio::task::JoinSet::new();
    for writer_number in 0..4 {
        let journal = Arc::new(writer(&bus, PROVER).await);
        // Two tasks of one process share a writer.
        for _ in 0..2 {
            let journal = journal.clone();
            writing.spawn(async move {
                for n in 0..10 {
                    journal.note(fact(writer_number * 10 + n)).await.unwrap();
                }
            });
        }
    }
    writing.join_all().await;
    assert_eq!(walked(&bus, PROVER).await.unwrap().entries, 80);
    assert_eq!(walked(&bus, STEWARD).await, Ok(ChainEnd::START), "each chain stands for itself");

    // The broker ends and comes again; so does the writer.
    nats.restart().await.unwrap();
    let again = writer(&bus, PROVER).await;
    again.note(fact(99)).await.unwrap();
    assert_eq!(walked(&bus, PROVER).await.unwrap().entries, 81);
    nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_to_a_chain_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (nats, bus) = broker(dir.path()).await;
    let jetstream = async_nats::jetstream::new(bus.client().clone());
    let steward = writer(&bus, STEWARD).await;
    let prover = writer(&bus, PROVER).await;
    for n in 0..5 {
        steward.note(fact(n)).await.unwrap();
        prover.note(fact(n)).await.unwrap();
    }
    assert_eq!(walked(&bus, STEWARD).await.unwrap().entries, 5);

    // The last entry is cut off: nothing that follows is missing, but the anchor is further.
    let stream = jetstream.get_stream(Stream::Journal.name()).await.unwrap();
    let last = stream.get_last_raw_message_by_subject(&subject::journal(STEWARD)).await.unwrap();
    stream.delete_message(last.sequence).await.unwrap();
    assert_eq!(walked(&bus, STEWARD).await, Err(BrokenLink::CutOff { entries: 4, anchored: 5 }));
    // The writer goes on, and the cut shows for good. So it does to a writer that was not there before.
    steward.note(fact(9)).await.unwrap();
    writer(&bus, STEWARD).await.note(fact(10)).await.unwrap();
    assert_eq!(walked(&bus, STEWARD).await, Err(BrokenLink::Misplaced { index: 4, found: 0 }));

    // Something that is no entry: found, and nobody is stopped by it.
    let auditor = writer(&bus, AUDITOR).await;
    auditor.note(fact(1)).await.unwrap();
    jetstream.publish(subject::journal(AUDITOR), "{}".into()).await.unwrap().await.unwrap();
    auditor.note(fact(2)).await.unwrap();
    assert_eq!(walked(&bus, AUDITOR).await, Err(BrokenLink::Unreadable { index: 1 }));

    // One in the middle of the other chain.
    stream.delete_message(4).await.unwrap();
    assert_eq!(walked(&bus, PROVER).await, Err(BrokenLink::Misplaced { index: 1, found: 2 }));
    nats.stop().await;
}
