//! The `hygeia` binary: reads the command line, runs the command, ends cleanly on Ctrl-C, SIGTERM or a hang-up.

use std::process::ExitCode;

use clap::Parser;
use hygeia_node::bus::Bus;
use hygeia_node::cli::money::JournalCommand;
use hygeia_node::cli::{Cli, Command, Connect, Role};
use hygeia_node::roles::{Plan, patience, run_roles};
use hygeia_node::{
    chain, demo, explain, gov, journal, keys, load, models, reconcile, replay, telemetry, top, verifier, verify,
};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init_log(cli.log_json);
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone()));
    match run(cli.command, stop).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hygeia: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one command; `Ok(false)` when it ran but did not find what it was asked for.
async fn run(command: Command, stop: CancellationToken) -> anyhow::Result<bool> {
    let alone = |role: Role, connect: Connect, plan: Plan| run_roles(vec![role], connect, plan, stop.clone());
    match command {
        Command::Oracle { connect, oracle } => {
            alone(Role::Oracle, connect, Plan { oracle: Some(oracle), ..Plan::default() }).await?
        }
        Command::Sentinel { connect, sentinel } => {
            alone(Role::Sentinel, connect, Plan { sentinel: Some(sentinel), ..Plan::default() }).await?;
        }
        Command::Prover { connect, prover } => {
            alone(Role::Prover, connect, Plan { prover: Some(prover), ..Plan::default() }).await?
        }
        Command::Steward { connect, steward } => {
            alone(Role::Steward, connect, Plan { steward: Some(steward), ..Plan::default() }).await?;
        }
        Command::Gateway { connect, gateway } => {
            alone(Role::Gateway, connect, Plan { gateway: Some(gateway), ..Plan::default() }).await?;
        }
        Command::Run(args) => {
            let plan = Plan {
                oracle: Some(args.oracle),
                sentinel: Some(args.sentinel),
                prover: Some(args.prover),
                steward: Some(args.steward),
                gateway: Some(args.gateway),
            };
            run_roles(args.roles, args.connect, plan, stop).await?;
        }
        Command::Demo(args) => return demo::run(&args, stop).await,
        Command::Load(args) => return load::command(&args, stop).await,
        Command::Verify(args) => return verify::command(&args).await,
        Command::Explain(args) => explain::command(&args).await?,
        Command::Replay(args) => return replay::command(&args).await,
        Command::Train(args) => models::train(&args)?,
        Command::Evaluate(args) => models::evaluate(&args)?,
        Command::Quantize(args) => return models::quantize(&args),
        Command::Export(args) => models::export(&args)?,
        Command::Import(args) => return models::import(&args),
        Command::Features(args) => models::features(&args)?,
        Command::Keys(args) => keys::command(&args).await?,
        Command::GenVerifier(args) => verifier::command(&args)?,
        Command::Deploy(args) => chain::deploy::command(&args).await?,
        Command::Gov(step) => gov::command(&step).await?,
        Command::Reconcile(args) => return reconcile::command(&args, telemetry::Metrics::default()).await,
        Command::Journal(JournalCommand::Verify { connect }) => {
            let bus = Bus::open(&connect.broker.settings(&connect.nats)?, patience(&connect)).await?;
            bus.ensure_streams().await?;
            return journal::command(&bus).await;
        }
        Command::Top(args) => top::command(&args, stop).await?,
        Command::LogLevel(args) => telemetry::level::command(&args).await?,
        Command::Telemetry(args) => {
            print!("{}", if args.json { telemetry::document::json() } else { telemetry::document::markdown() });
        }
    }
    Ok(true)
}

async fn cancel_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        tracing::error!("signals cannot be received; end the program by killing it");
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    stop.cancel();
    // A second signal ends the program where it stands.
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    std::process::exit(130);
}
