//! `hygeia log-level`: asks a running process for its log's filter, or gives it another.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cli::telemetry::LogLevelArgs;

/// How long the process may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the command.
pub async fn command(args: &LogLevelArgs) -> Result<()> {
    let url = format!("{}/log", args.health.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().context("making an HTTP client")?;
    let request = match &args.filter {
        Some(filter) => client.put(&url).body(filter.clone()),
        None => client.get(&url),
    };
    let answer = request.send().await.with_context(|| format!("no process answers at {}", args.health))?;
    let status = answer.status();
    let said = answer.text().await.context("reading the answer")?;
    if !status.is_success() {
        bail!("{} refuses ({}): {}", args.health, status.as_u16(), said.trim());
    }
    match &args.filter {
        Some(filter) => println!("{filter}"),
        None => print!("{said}"),
    }
    Ok(())
}
