//! Hop 3: from observations to attested windows, inside the hospital's trust domain.
//!
//! Reads each partition's observations strictly in order, keeps one window machine per patient, and signs what comes out
//! of it. A window made again after a restart is the same window, because its salt is derived and its order of
//! observations is the stream's.

mod attest;
mod patients;
mod work;

use std::sync::Arc;

use anyhow::Result;
use hygeia_protocol::digest::keyed_digest;
use hygeia_protocol::observation::Limits;
use hygeia_protocol::subject::{self, Partition, Stream};

use super::{Site, patience, required};
use crate::chain::registry::Registries;
use crate::chain::signing::OracleSigner;
use crate::chain::{load_secret, load_signer};
use crate::cli::OracleArgs;
use crate::enrolment::{EnrolmentChanges, Enrolments};
use crate::models;
use crate::models::schemas::Schemas;
use crate::partition::{self, Role};
use crate::telemetry::Loop;

pub use work::OracleWork;

/// Runs the oracle until the site stops.
pub async fn run(site: Site, args: OracleArgs) -> Result<()> {
    let key_file = required(args.oracle_key_file, "--oracle-key-file", "the oracle signs every window it attests")?;
    let network_key = load_secret(&required(
        site.connect.network_key_file.clone(),
        "--network-key-file",
        "patients are spread over partitions by it",
    )?)?;
    let chain = site.chain(None).await?;
    let (registries, store) = models::follow(&site, chain).await?;
    let metrics = site.metrics_of(Oracle::NAME);
    let schemas = Schemas::follow(registries.clone(), store, patience(&site.connect), metrics, site.stop.clone()).await;
    let enrolments = Enrolments::open(&site.bus, network_key).await?;
    let oracle = Oracle {
        signer: OracleSigner::new(load_signer(&key_file)?, &site.deployment),
        changes: enrolments.changes(site.stop.clone()).await?,
        enrolments,
        registries,
        schemas,
        dead_letter_key: keyed_digest(&network_key, b"hygeia/dead-letter-key/v1").into_bytes(),
        limits: Limits::default(),
        site: site.clone(),
    };
    tracing::info!(oracle = %oracle.signer.address(), "oracle follows the observations");
    partition::run(site.replica(), Arc::new(oracle)).await
}

/// What the partitions of one oracle share.
pub struct Oracle {
    site: Site,
    signer: OracleSigner,
    enrolments: Enrolments,
    changes: EnrolmentChanges,
    registries: Registries,
    schemas: Schemas,
    /// A key of its own: a message made up to be refused must not draw out a digest that names something else.
    dead_letter_key: [u8; 32],
    limits: Limits,
}

/// The role, as its partitions' tasks see it.
impl Role for Oracle {
    const NAME: &'static str = "oracle";
    const LOOP: Loop = Loop::Oracle;
    const INPUT: Stream = Stream::Observations;
    const OUTPUTS: &'static [Stream] = &[Stream::Windows, Stream::DeadLetters];
    type Work = OracleWork;

    fn input(partition: Partition) -> String {
        subject::observation(partition)
    }

    fn output(stream: Stream, partition: Partition) -> String {
        match stream {
            Stream::Windows => subject::window(partition),
            other => other.filter().to_owned(),
        }
    }

    fn work(self: &Arc<Self>, partition: Partition) -> OracleWork {
        OracleWork::new(self.clone(), partition)
    }
}
