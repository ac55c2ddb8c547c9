//! What a clinician asks about an alert: which values moved the score, under which policy, with which model and proof.

use anyhow::{Context, Result, bail};
use hygeia_inference::package::ModelPackage;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::code::Code;
use hygeia_protocol::message::{Alert, ClinicalSummary, Contribution, Message, Receipt, Settlement};
use hygeia_protocol::subject::Stream;
use std::fmt::Write as _;
use std::time::Duration;

use crate::bus::{Bus, OrderedReader};
use crate::cli::ExplainArgs;

/// Contributions an alert carries: what a person can take in at a glance.
const CONTRIBUTIONS_SHOWN: usize = 6;
/// How long `hygeia explain` waits for the broker.
const PATIENCE: Duration = Duration::from_secs(10);
/// Silence after which a stream counts as read to its end.
const END_OF_STREAM: Duration = Duration::from_millis(500);

/// The values that moved a window's score most, with what was measured.
pub fn contributions(model: &ModelPackage, clinical: &ClinicalSummary, features: &[i32]) -> Result<Vec<Contribution>> {
    let explanation = hygeia_inference::explain(model.network(), model.schema(), features)?;
    let slots = clinical.slots();
    Ok(explanation
        .contributions
        .iter()
        .filter(|c| c.points != 0)
        .take(CONTRIBUTIONS_SHOWN)
        .map(|c| {
            let reading = c.variable.and_then(|variable| slots.get(variable as usize).copied().flatten());
            Contribution {
                name: c.name.to_owned(),
                points: c.points,
                value_milli: reading.map(|r| r.value_milli),
                unit: c.variable.map_or("", |variable| variable.ucum()).to_owned(),
                age_s: reading.map(|r| r.age_s),
            }
        })
        .collect())
}

/// `hygeia explain`: finds the alert with its receipt and settlement in the streams, and prints them for a person.
pub async fn command(args: &ExplainArgs) -> Result<()> {
    if std::path::Path::new(&args.alert).is_file() {
        let alert = Alert::decode(&std::fs::read(&args.alert)?).context("the file holds no alert")?;
        println!("{}", render(&alert, None, None));
        return Ok(());
    }
    let bus = Bus::open(&args.access.settings(&args.nats), PATIENCE).await?;
    let wanted = args.alert.trim_start_matches("0x").to_lowercase();
    let alerts: Vec<Alert> = all(&bus, Stream::Alerts, |a: &Alert| a.alert_id.to_hex().starts_with(&wanted)).await?;
    let alert = match alerts.as_slice() {
        [] => bail!("no alert whose id begins with {wanted} is in the stream at {}", args.nats),
        [alert] => alert,
        [..] => bail!("{} alerts begin with {wanted}: give more of the id", alerts.len()),
    };
    let id = alert.alert_id;
    let receipts: Vec<Receipt> = all(&bus, Stream::Receipts, |r: &Receipt| r.alert_id == id).await?;
    let settlements: Vec<Settlement> = all(&bus, Stream::Settlements, |s: &Settlement| s.alert_id == id).await?;
    println!("{}", render(alert, receipts.first(), settlements.first()));
    Ok(())
}

async fn all<T: Message>(bus: &Bus, stream: Stream, wanted: impl Fn(&T) -> bool) -> Result<Vec<T>> {
    let mut reader = OrderedReader::open(bus, stream, Vec::new(), 1).await?;
    let mut found = Vec::new();
    while let Some(entry) = reader.next_within(END_OF_STREAM).await? {
        if let Ok(message) = T::decode(&entry.payload)
            && wanted(&message)
        {
            found.push(message);
        }
    }
    Ok(found)
}

/// The whole story of an alert in plain words.
pub fn render(alert: &Alert, receipt: Option<&Receipt>, settlement: Option<&Settlement>) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Alert {} ({}) for {}",
        short(&alert.alert_id),
        if alert.escalation { "escalation" } else { "new" },
        alert.ward
    );
    let probability =
        alert.probability_ppm.map_or(String::new(), |ppm| format!(", estimated risk {:.1} %", f64::from(ppm) / 1e4));
    let _ = writeln!(
        text,
        "Score {:+.3} against threshold {:+.3} (log-odds){probability}",
        logit(alert.score),
        logit(alert.threshold)
    );
    if alert.outside_validated_range {
        let _ = writeln!(
            text,
            "OUTSIDE VALIDATED RANGE: no window like this one was among those the model was checked on."
        );
    }
    let _ = writeln!(text, "\nWhat moved the score, strongest first:");
    for c in &alert.contributions {
        let measured = match (c.value_milli, c.age_s) {
            (Some(value), Some(age)) => format!("{} {}, {} old", decimal(value), c.unit, hours(age)),
            _ => match Code::ALL.iter().any(|code| code.name() == c.name) {
                true => "not measured".to_owned(),
                false => String::new(),
            },
        };
        let _ = writeln!(text, "  {:+7.3}  {:<18} {measured}", logit(c.points), c.name);
    }
    if !alert.similar.is_empty() {
        let _ = writeln!(text, "\nNearest earlier cases:");
        for case in &alert.similar {
            let outcome = case.outcome.as_deref().unwrap_or("outcome not known");
            let _ = writeln!(
                text,
                "  score {:+.3}, similarity {:.0} %, {outcome}",
                logit(case.score),
                f64::from(case.similarity_ppm) / 1e4
            );
        }
    }
    let _ = writeln!(
        text,
        "\nPolicy     0x{}\nModel      0x{}\nMandate    0x{}",
        alert.policy.to_hex(),
        alert.model.to_hex(),
        alert.mandate.to_hex()
    );
    let _ = writeln!(
        text,
        "Raised     {} ms after the observation reached the broker",
        alert.raised_at_ms.saturating_sub(alert.observed_at_ms)
    );
    let _ = match receipt {
        Some(r) => writeln!(
            text,
            "Proof      {} ({} bytes, {} ms, key 0x{})",
            r.proof_system,
            r.proof.as_slice().len(),
            r.prove_ms,
            r.verifying_key.to_hex()
        ),
        None => writeln!(text, "Proof      NONE YET: this alert is not proved"),
    };
    let _ = match settlement {
        Some(s) => match &s.reason {
            None => writeln!(
                text,
                "On chain   care triggered in block {}, transaction 0x{}",
                s.block,
                s.transaction.to_hex()
            ),
            Some(reason) => writeln!(text, "On chain   refused: {reason}"),
        },
        None => writeln!(text, "On chain   nothing yet"),
    };
    text
}

fn short(id: &B32) -> String {
    id.to_hex().chars().take(12).collect()
}

pub(crate) fn logit(score: i64) -> f64 {
    score as f64 / 1024.0
}

pub(crate) fn decimal(milli: i32) -> String {
    let text = format!("{:.3}", f64::from(milli) / 1e3);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(crate) fn hours(seconds: u32) -> String {
    match seconds {
        0..3600 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
