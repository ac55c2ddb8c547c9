//! `hygeia replay`: one alert computed anew on another machine, bit for bit: window, commitment, signature, score, decision,
//! proof. From the streams and the chain, or from a bundle with neither.
//!
//! A replay changes nothing and believes nothing that it can compute: it takes what the agents wrote as claims. The model
//! is held to the content hash in the alert, the verifying key to the one that the chain approved.

mod bundle;
mod check;
mod gather;
mod proof;
mod rebuild;

use anyhow::{Result, bail};

pub use bundle::{Approved, Bundle, BundleError, Judged, PackageFile, StoredObservation};
pub use check::check;

use crate::cli::ReplayArgs;

/// One step of a replay, and how it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was computed anew.
    pub step: Step,
    /// How it came out.
    pub verdict: Verdict,
}

/// What a replay computes anew, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The ids of window and alert, from what they are about.
    Identity,
    /// The ledger's line says what the alert says.
    Ledger,
    /// The package has the hash that the alert names, and its schema is the window's.
    Model,
    /// The observations give the window's features.
    Observations,
    /// Schema, features and salt give the commitment.
    Commitment,
    /// The oracle signed the commitment for this mandate and time.
    Signature,
    /// The integer reference gives the score.
    Score,
    /// The serving kernels and candle give it too.
    Engines,
    /// Probability, guard and contributions are what the model says of the window.
    Explanation,
    /// The triage of the mandate's scores under the policy calls somebody out here.
    Decision,
    /// The receipt is of this window, this model and this score.
    Receipt,
    /// The verifying key is the one that was approved.
    Key,
    /// The proof holds.
    Proof,
}

/// How a step came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The same, bit for bit.
    Same,
    /// Something else came out.
    Differs(String),
    /// It could not be computed.
    NotChecked(String),
}

impl Step {
    /// What it says when it holds.
    fn claim(self) -> &'static str {
        match self {
            Self::Identity => "the ids are those of this mandate, time, schema, policy and model",
            Self::Ledger => "the ledger has the same window, model, score and commitment",
            Self::Model => "the model package has the hash that the alert names",
            Self::Observations => "the observations give the window's features",
            Self::Commitment => "schema, features and salt give the commitment",
            Self::Signature => "the oracle signed this commitment for this mandate and time",
            Self::Score => "the integer reference gives the score",
            Self::Engines => "the serving kernels and candle give the score",
            Self::Explanation => "probability, guard and contributions are the model's",
            Self::Decision => "triage of the ledger's scores under the policy calls here",
            Self::Receipt => "the receipt is of this window, model and score",
            Self::Key => "the verifying key is the one the chain approved for this model",
            Self::Proof => "the proof holds for this commitment and score",
        }
    }
}

/// Replays, prints a line for each step, and writes the bundle where one was asked for; `Ok(false)` when a step came out
/// otherwise.
pub async fn command(args: &ReplayArgs) -> Result<bool> {
    let mut bundle = match (&args.bundle, &args.alert) {
        (Some(path), None) => Bundle::read(path)?,
        (None, Some(alert)) => gather::gather(alert, args).await?,
        _ => bail!("name an alert, or a bundle with --bundle"),
    };
    if let (Some(_), Some(url)) = (&args.bundle, &args.chain) {
        gather::ask_chain(&mut bundle, url, &args.deployment).await?;
    }
    if let Some(path) = &args.export {
        bundle.write_new(path)?;
        let path = path.display();
        eprintln!("wrote {path}: it holds a patient's data and the salt of a commitment. Keep it as you keep a chart.");
    }
    let findings = check(&bundle);
    print!("{}", render(&findings));
    Ok(!findings.iter().any(|finding| matches!(finding.verdict, Verdict::Differs(_))))
}

/// The findings for a person: one line each, then the sum.
pub fn render(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { step, verdict } in findings {
        text += &match verdict {
            Verdict::Same => format!("  ✓ {}\n", step.claim()),
            Verdict::Differs(how) => format!("  ✗ NOT SO: {}: {how}\n", step.claim()),
            Verdict::NotChecked(why) => format!("  – not checked: {}: {why}\n", step.claim()),
        };
    }
    let differ = findings.iter().filter(|finding| matches!(finding.verdict, Verdict::Differs(_))).count();
    let open = findings.iter().filter(|finding| matches!(finding.verdict, Verdict::NotChecked(_))).count();
    text += &match (differ, open) {
        (0, 0) => "The alert is reproduced, bit for bit.\n".to_owned(),
        (0, open) => format!("What could be checked is reproduced, bit for bit; {open} could not.\n"),
        (differ, _) => format!("THE ALERT IS NOT REPRODUCED: {differ} came out otherwise.\n"),
    };
    text
}
