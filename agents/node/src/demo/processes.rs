//! Processes the demo and the tests own: a real nats-server, a real anvil, the roles. All die with their owner, also when
//! that is killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

/// How long a server may take to say on which port it listens.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// How long a process may take to end after SIGTERM before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Largest message the broker takes; a 10 MB observation must reach the decoder to be dead-lettered.
const BROKER_PAYLOAD_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Chain id of a local chain.
const LOCAL_CHAIN_ID: u64 = 31_337;

/// Where the programs lie that `cargo xtask setup` installed.
#[derive(Debug, Clone)]
pub struct Tools {
    root: PathBuf,
}

impl Tools {
    /// The tools under `root`; fails with what to do when they are absent.
    pub fn at(root: &Path) -> Result<Self> {
        let tools = Self { root: root.to_owned() };
        for program in ["nats-server", "anvil"] {
            let path = tools.program(program);
            if !path.exists() {
                bail!("{} is missing: run `cargo xtask setup`, or name the tools' folder with --tools", path.display());
            }
        }
        Ok(tools)
    }

    /// Folder with the real intensive-care stays.
    pub fn stays(&self) -> PathBuf {
        self.root.join("data/clif_demo")
    }

    fn program(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }
}

/// A nats-server with JetStream on a free port of the loopback interface.
pub struct NatsServer {
    process: Process,
    url: String,
    arguments: Vec<String>,
    program: PathBuf,
}

impl NatsServer {
    /// Starts the server with its store under `dir`; returns once it listens.
    pub async fn start(tools: &Tools, dir: &Path) -> Result<Self> {
        Self::start_with(tools, dir, "").await
    }

    /// The same, with more lines of configuration.
    pub async fn start_with(tools: &Tools, dir: &Path, configuration: &str) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let config = dir.join("nats.conf");
        std::fs::write(&config, format!("max_payload: {BROKER_PAYLOAD_BYTES_MAX}\n{configuration}"))?;
        let program = tools.program("nats-server");
        let text = |path: &Path| path.display().to_string();
        let arguments = vec![
            "-js".into(),
            "-a".into(),
            "127.0.0.1".into(),
            "-c".into(),
            text(&config),
            "-sd".into(),
            text(&dir.join("store")),
            "--ports_file_dir".into(),
            text(dir),
            "-l".into(),
            text(&dir.join("nats.log")),
        ];
        let (process, url) = spawn_nats(&program, &arguments, "-1", dir).await?;
        Ok(Self { process, url, arguments, program })
    }

    /// The address clients connect to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Kills the server and starts it again on the same port and store.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill().await;
        let port = self.url.rsplit(':').next().context("a NATS address ends in a port")?.to_owned();
        let dir = self.arguments.iter().position(|a| a == "--ports_file_dir").and_then(|i| self.arguments.get(i + 1));
        let dir = PathBuf::from(dir.context("the server was started with a ports folder")?);
        let (process, _) = spawn_nats(&self.program, &self.arguments, &port, &dir).await?;
        self.process = process;
        Ok(())
    }

    /// Stops the server.
    pub async fn stop(mut self) {
        self.process.stop().await;
    }
}

async fn spawn_nats(program: &Path, arguments: &[String], port: &str, dir: &Path) -> Result<(Process, String)> {
    let mut command = Command::new(program);
    command.args(arguments).args(["-p", port]);
    let mut process = Process::spawn("nats-server", command, None)?;
    let ports_file = dir.join(format!("nats-server_{}.ports", process.id().unwrap_or_default()));
    let started = Instant::now();
    while started.elapsed() < START_PATIENCE {
        if let Some(status) = process.exited()? {
            bail!("nats-server ended at start ({status}); see {}", dir.join("nats.log").display());
        }
        let ports = std::fs::read_to_string(&ports_file).unwrap_or_default();
        let url = ports.split('"').find(|part| part.starts_with("nats://")).map(str::to_owned);
        if let (Some(url), true) = (url, ports.trim_end().ends_with('}')) {
            return Ok((process, url));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("nats-server did not say within {} s on which port it listens", START_PATIENCE.as_secs())
}

/// An anvil node: a real EVM chain of its own on a free port of the loopback interface.
pub struct Anvil {
    process: Process,
    url: String,
    program: PathBuf,
    dir: PathBuf,
    chain_id: u64,
}

impl Anvil {
    /// Starts the chain with its clock at `genesis_s` (seconds since the epoch); returns once it answers.
    pub async fn start(tools: &Tools, dir: &Path, genesis_s: u64) -> Result<Self> {
        Self::start_as(tools, dir, genesis_s, LOCAL_CHAIN_ID).await
    }

    /// The same, with this chain id.
    pub async fn start_as(tools: &Tools, dir: &Path, genesis_s: u64, chain_id: u64) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let program = tools.program("anvil");
        let genesis = genesis_s.to_string();
        let (process, url) = spawn_anvil(&program, dir, chain_id, "0", &["--timestamp", &genesis]).await?;
        Ok(Self { process, url, program, dir: dir.to_owned(), chain_id })
    }

    /// Stops the chain, which writes its state down, and starts it again on the same port `pause` later.
    pub async fn restart(&mut self, pause: Duration) -> Result<()> {
        self.process.stop().await;
        tokio::time::sleep(pause).await;
        let port = self.url.rsplit(':').next().context("an address ends in a port")?.to_owned();
        (self.process, _) = spawn_anvil(&self.program, &self.dir, self.chain_id, &port, &[]).await?;
        Ok(())
    }

    /// Its process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// The JSON-RPC address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the chain.
    pub async fn stop(mut self) {
        self.process.stop().await;
    }
}

async fn spawn_anvil(
    program: &Path,
    dir: &Path,
    chain_id: u64,
    port: &str,
    more: &[&str],
) -> Result<(Process, String)> {
    let log = dir.join("anvil.log");
    // A line of an earlier start must not be taken for one of this.
    let before = std::fs::read_to_string(&log).unwrap_or_default().len();
    let mut command = Command::new(program);
    command.args(["--port", port, "--host", "127.0.0.1", "--accounts", "12", "--chain-id", &chain_id.to_string()]);
    command.arg("--state").arg(dir.join("state.json")).args(more);
    let mut process = Process::spawn("anvil", command, Some(&log))?;
    let started = Instant::now();
    while started.elapsed() < START_PATIENCE {
        if let Some(status) = process.exited()? {
            bail!("anvil ended at start ({status}); see {}", log.display());
        }
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let own = text.get(before..).unwrap_or_default();
        if let Some(address) = own.lines().find_map(|line| line.trim().strip_prefix("Listening on ")) {
            return Ok((process, format!("http://{}", address.trim())));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("anvil did not say within {} s on which port it listens", START_PATIENCE.as_secs())
}

/// A child process that is stopped when its owner goes.
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command`, its output going to `log` (nowhere when `None`).
    pub fn spawn(name: &str, mut command: Command, log: Option<&Path>) -> Result<Self> {
        let output = || -> Result<Stdio> {
            Ok(match log {
                Some(path) => std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .with_context(|| format!("opening {}", path.display()))?
                    .into(),
                None => Stdio::null(),
            })
        };
        command.stdin(Stdio::null()).stdout(output()?).stderr(output()?).kill_on_drop(true);
        // A terminal's Ctrl-C goes to the whole process group; the owner alone decides when its children end.
        command.process_group(0);
        die_with_owner(&mut command);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// The process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The exit status once it has ended.
    pub fn exited(&mut self) -> Result<Option<std::process::ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&mut self) {
        if let Err(reason) = self.child.kill().await {
            tracing::debug!(process = self.name, %reason, "was gone already");
        }
    }

    /// Asks with SIGTERM, kills after [`STOP_PATIENCE`]. Whether it ended by itself.
    pub async fn stop(&mut self) -> bool {
        if let Some(id) = self.child.id() {
            let asked = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
            if asked.is_ok() && tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await.is_ok() {
                return true;
            }
        }
        self.kill().await;
        false
    }
}

/// Has the kernel kill the process when the thread that started it ends. Both the program's and a test's main thread last
/// as long as what they own.
fn die_with_owner(command: &mut Command) {
    use rustix::process::{Signal, set_parent_process_death_signal};
    // SAFETY: between fork and exec this makes one system call; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}
