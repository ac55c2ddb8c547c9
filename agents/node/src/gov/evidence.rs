//! What a vote should have before it: the package itself, and how the candidate did beside the approved model.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hygeia_protocol::bytes::B32;
use sha2::{Digest as _, Sha256};

use crate::bus::Bus;
use crate::cli::gov::BusArgs;
use crate::models;
use crate::models::store::ModelStore;
use crate::shadow::report::{self, Evidence};

/// How long the broker may take to answer its first call.
const PATIENCE: Duration = Duration::from_secs(20);

/// Publishes a package under its content hash.
pub async fn publish_model(model: &Path, broker: &BusArgs) -> Result<()> {
    let package = models::load(Some(model))?;
    let bus = Bus::open(&broker.access.settings(&broker.nats), PATIENCE).await?;
    let is_new = ModelStore::open(&bus, None, None).await?.publish(&package).await?;
    let bytes = package.to_archive().len();
    println!(
        "model      {} ({})\npublished  {bytes} bytes{}",
        hex::encode(package.hash()),
        package.card().name,
        if is_new { "" } else { ", before" }
    );
    Ok(())
}

/// Writes what was published about a candidate, added up.
pub async fn shadow_report(candidate: [u8; 32], out: &Path, broker: &BusArgs) -> Result<()> {
    let bus = Bus::open(&broker.access.settings(&broker.nats), PATIENCE).await?;
    let evidence = report::collect(&bus, &B32::new(candidate)).await?;
    let mut bytes = serde_json::to_vec_pretty(&evidence)?;
    bytes.push(b'\n');
    std::fs::write(out, &bytes).with_context(|| format!("writing {}", out.display()))?;
    for part in &evidence {
        println!("{}", part.text());
    }
    println!("wrote      {}\nsha256     {}", out.display(), hex::encode(Sha256::digest(&bytes)));
    Ok(())
}

/// What a proposal says of a comparison: its hash, and what it counted. Refuses one that is of another candidate.
pub fn of_shadow(path: &Path, candidate: &[u8; 32]) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let unusable = || format!("{} is no report of `hygeia gov shadow-report`", path.display());
    let evidence: Vec<Evidence> = serde_json::from_slice(&bytes).with_context(unusable)?;
    ensure!(!evidence.is_empty(), unusable());
    let is_of_it = evidence.iter().all(|part| part.candidate.as_bytes() == candidate);
    ensure!(is_of_it, "{} is about another candidate than the model proposed", path.display());
    let windows: u64 = evidence.iter().map(|part| part.comparison.windows).sum();
    let agreed: u64 = evidence.iter().map(|part| part.comparison.agreed()).sum();
    let hash = hex::encode(Sha256::digest(&bytes));
    Ok(format!(
        "\n\nCompared in shadow mode over {windows} windows; the decisions agree on {agreed}. Report sha256 {hash}."
    ))
}

#[cfg(test)]
mod tests {
    use hygeia_protocol::shadow::Comparison;

    use super::*;

    fn written(evidence: &[Evidence]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), serde_json::to_vec(evidence).unwrap()).unwrap();
        file
    }

    fn evidence() -> Evidence {
        Evidence {
            candidate: B32::new([1; 32]),
            approved: B32::new([2; 32]),
            policy: B32::new([3; 32]),
            approved_threshold: 0,
            candidate_threshold: 100,
            from_ms: 0,
            to_ms: 1,
            reports: Vec::new(),
            comparison: Comparison { windows: 7, both_over: 2, neither_over: 3, ..Comparison::default() },
        }
    }

    #[test]
    fn a_proposal_names_the_report_by_its_hash() {
        let file = written(&[evidence()]);
        let said = of_shadow(file.path(), &[1; 32]).unwrap();
        let hash = hex::encode(Sha256::digest(std::fs::read(file.path()).unwrap()));
        assert!(said.contains(&hash) && said.contains("7 windows") && said.contains("agree on 5"), "{said}");
    }

    #[test]
    fn a_report_of_another_candidate_or_of_nothing_is_refused() {
        let another = of_shadow(written(&[evidence()]).path(), &[9; 32]).unwrap_err();
        assert!(another.to_string().contains("another candidate"));
        let nothing = of_shadow(written(&[]).path(), &[1; 32]).unwrap_err();
        assert!(nothing.to_string().contains("no report"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{}").unwrap();
        assert!(of_shadow(file.path(), &[1; 32]).unwrap_err().to_string().contains("no report"));
    }
}
