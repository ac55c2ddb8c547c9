//! `hygeia top`: a live view of a running network, from the roles' own metrics and the broker's streams.
//!
//! It reads and never writes, neither to a role nor to the broker; and it shows nothing that metrics do not say, so nothing
//! about a patient.

pub mod broker;
pub mod look;
pub mod scrape;
pub mod view;

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio_util::sync::CancellationToken;

use self::broker::{Broker, BrokerState};
use self::look::{Look, Sight};
use self::scrape::Scraper;
use crate::cli::telemetry::TopArgs;

/// What is said instead of the broker's address to leave it out.
const NO_BROKER: &str = "none";
/// How long a target or the broker may take to answer: a view that waits for one shows none of the others.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the command until `stop`, or once.
pub async fn command(args: &TopArgs, stop: CancellationToken) -> Result<()> {
    if args.targets.is_empty() && args.nats == NO_BROKER {
        bail!("nothing to look at: name health ports with --targets, or a broker with --nats");
    }
    let mut watcher = Watcher::new(args)?;
    let screen = Screen::open(!args.json && !args.once && std::io::stdout().is_terminal());
    let mut before = watcher.see().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(args.every) => {}
        }
        let now = watcher.see().await;
        let look = Look::between(&before, &now);
        match args.json {
            true => println!("{}", serde_json::to_string(&look)?),
            false => screen.show(&view::text(&look)),
        }
        if args.once {
            return Ok(());
        }
        before = now;
    }
}

/// What looks: at every target and at the broker, all at the same time.
struct Watcher {
    scraper: Scraper,
    targets: Vec<String>,
    broker: Option<Broker>,
}

impl Watcher {
    fn new(args: &TopArgs) -> Result<Self> {
        let broker = (args.nats != NO_BROKER).then(|| Broker::new(args.access.settings(&args.nats)));
        Ok(Self { scraper: Scraper::new()?, targets: args.targets.clone(), broker })
    }

    async fn see(&mut self) -> Sight {
        let scrapes = futures::future::join_all(self.targets.iter().map(|target| self.scraper.scrape(target)));
        let broker = async {
            match &mut self.broker {
                Some(broker) => broker.state().await,
                None => BrokerState::default(),
            }
        };
        let (targets, broker) = tokio::join!(scrapes, broker);
        Sight { at: Instant::now(), targets, broker }
    }
}

/// The terminal, on its second page while the view is live; given back as it was.
struct Screen {
    is_live: bool,
}

impl Screen {
    fn open(is_live: bool) -> Self {
        if is_live {
            // Second page, no cursor.
            Self::write("\x1b[?1049h\x1b[?25l");
        }
        Self { is_live }
    }

    fn show(&self, text: &str) {
        if !self.is_live {
            println!("{text}");
            return;
        }
        let rows = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(usize::MAX, |size| size.ws_row.into());
        // From the top; each line cleared to its end, and what is left below it. The last row stays free, so that nothing
        // scrolls.
        let lines: Vec<&str> = text.lines().take(rows.saturating_sub(1)).collect();
        Self::write(&format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\n")));
    }

    fn write(text: &str) {
        let mut out = std::io::stdout().lock();
        // A terminal that is gone ends the program by its signal; nothing is to be done here.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_live {
            Self::write("\x1b[?25h\x1b[?1049l");
        }
    }
}
