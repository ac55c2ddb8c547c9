//! The live terminal view: redrawn in place on a terminal, a line now and then elsewhere. Goes to standard error.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use hygeia_protocol::message::SettlementStatus;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::observer::{Observed, Observer, Timeline};
use super::replay::Progress;

/// Time between two pictures on a terminal.
const REDRAW: Duration = Duration::from_millis(200);
/// Time between two lines in a log.
const LOG_LINE: Duration = Duration::from_secs(10);
/// Alerts listed.
const ALERTS_SHOWN: usize = 8;

/// Draws until `stop`.
pub async fn run(observer: Observer, progress: watch::Receiver<Progress>, total_s: u64, stop: CancellationToken) {
    let terminal = std::io::stderr().is_terminal();
    let mut drawn = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(if terminal { REDRAW } else { LOG_LINE }) => {}
        }
        let (seen, now) = (observer.look(), *progress.borrow());
        if terminal {
            drawn = redraw(&picture(&seen, now, total_s), drawn);
        } else {
            eprintln!("{}", line(&seen, now, total_s));
        }
    }
    if terminal {
        redraw(&picture(&observer.look(), *progress.borrow(), total_s), drawn);
    }
}

fn redraw(picture: &str, drawn: usize) -> usize {
    let mut out = std::io::stderr().lock();
    // A terminal that went away must not end the demo.
    let _ = if drawn > 0 { write!(out, "\x1b[{drawn}A\x1b[J{picture}") } else { write!(out, "{picture}") };
    let _ = out.flush();
    picture.lines().count()
}

fn line(seen: &Observed, now: Progress, total_s: u64) -> String {
    format!(
        "  {:>3} h of {} h replayed | {} observations | {} windows | {} scored | {} alerts | {} proofs | {} triggers | {} audited",
        now.stay_s / 3600,
        total_s / 3600,
        now.published,
        seen.windows,
        seen.scored,
        seen.alerts.len(),
        seen.proofs(),
        seen.triggers().count(),
        seen.audited,
    )
}

fn picture(seen: &Observed, now: Progress, total_s: u64) -> String {
    let mut text = String::new();
    let share = if total_s == 0 { 1.0 } else { now.stay_s as f64 / total_s as f64 };
    let filled = ((share * 40.0) as usize).min(40);
    let _ = writeln!(
        text,
        "  stays     [{}{}] {:>3} h of {} h",
        "#".repeat(filled),
        ".".repeat(40 - filled),
        now.stay_s / 3600,
        total_s / 3600
    );
    let dead: u64 = seen.dead_letters.values().sum();
    let _ = writeln!(
        text,
        "  flow      {} observations ({dead} dead-lettered) > {} windows > {} scored",
        now.published, seen.windows, seen.scored
    );
    let latencies = seen.alert_latencies_ms();
    let median = latencies.get(latencies.len() / 2).map_or("-".to_owned(), |ms| format!("{ms} ms"));
    let _ =
        writeln!(text, "  alerts    {} ({} held back), median latency {median}", seen.alerts.len(), seen.suppressed);
    let _ = writeln!(
        text,
        "  proved    {}   on chain {} triggered, {} answered   audited {} of {} windows",
        seen.proofs(),
        seen.triggers().count(),
        seen.settled(),
        seen.audited,
        seen.scored
    );
    let mut newest: Vec<&Timeline> = seen.alerts.values().collect();
    newest.sort_by_key(|t| std::cmp::Reverse(t.alerted_at_ms));
    for timeline in newest.into_iter().take(ALERTS_SHOWN) {
        let _ = writeln!(text, "  {}", alert_line(timeline));
    }
    text
}

fn alert_line(timeline: &Timeline) -> String {
    let alert = &timeline.alert;
    let id: String = alert.alert_id.to_hex().chars().take(8).collect();
    let risk = alert.probability_ppm.map_or("-".to_owned(), |ppm| format!("{:.1} %", f64::from(ppm) / 1e4));
    let latency = timeline.alerted_at_ms.saturating_sub(alert.observed_at_ms);
    let proof = match &timeline.receipt {
        Some(receipt) => format!("proved in {} ms", receipt.prove_ms),
        None => "NOT PROVED YET".to_owned(),
    };
    let chain = match &timeline.settlement {
        Some(s) if s.status == SettlementStatus::Triggered => {
            format!("care triggered, block {}, gas {}", s.block, s.gas_used)
        }
        Some(s) => format!("chain refused: {}", s.reason.as_deref().unwrap_or("no reason")),
        None => String::new(),
    };
    let range = if alert.outside_validated_range { "  outside validated range" } else { "" };
    format!("{id}  risk {risk:>7}  alert +{latency} ms  {proof}  {chain}{range}")
}
