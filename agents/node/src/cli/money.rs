//! Commands about what led to money: the journal and the reconciler.

use clap::{Args, Subcommand};

use super::Connect;

/// Commands about the journal.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Walk every chain of the journal and name the first link that does not hold; fails where one does not.
    Verify {
        /// Where the broker is.
        #[command(flatten)]
        connect: Box<Connect>,
    },
}

/// Settings of `hygeia reconcile`.
#[derive(Debug, Clone, Args)]
pub struct ReconcileArgs {
    /// Where the broker and the chain are.
    #[command(flatten)]
    pub connect: Connect,
    /// Blocks on top of a transaction before it counts as final.
    #[arg(long, env = "HYGEIA_CONFIRMATIONS", default_value_t = 2)]
    pub confirmations: u64,
    /// Look only, and repair nothing.
    #[arg(long)]
    pub look: bool,
    /// Read so many of the newest receipts and settlements; all of them when absent.
    #[arg(long)]
    pub newest: Option<u64>,
    /// Seconds that a message may stand before the journal tells of it.
    #[arg(long, default_value_t = 120)]
    pub grace_s: u64,
    /// Print the report as one JSON object.
    #[arg(long)]
    pub json: bool,
}
