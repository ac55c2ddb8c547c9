//! A measured process: ours or EZKL's. Both speak lines of JSON behind a mark.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::measure::Took;
use crate::models::{Model, ONE};

/// A running prover.
pub struct Prover {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// What it said of its keys.
    pub about: Value,
    /// What it said of its last proof.
    pub last: Value,
    /// All proofs but the first, which warms caches.
    pub proofs: Vec<Took>,
}

impl Prover {
    /// Ours, in a folder where its keys are made the first time.
    pub fn ours(model: &Model, work: &str, folder: &Path, threads: usize) -> Self {
        std::fs::create_dir_all(folder).expect("a temporary folder");
        let start = || {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.args(["--worker", work, "--model", model.name, "--threads", &threads.to_string(), "--folder"]);
            Self::start(command.arg(folder))
        };
        // Keys are made by a process of their own, so that the memory this takes is not taken for a proof's.
        drop(start());
        start()
    }

    /// EZKL's, with the environment that `cargo xtask setup` installed; `tuned` or with its `default` settings.
    pub fn ezkl(model: &Model, tools: &Path, folder: &Path, threads: usize, kind: &str) -> Self {
        std::fs::create_dir_all(folder).expect("a temporary folder");
        let onnx = folder.join("model.onnx");
        std::fs::write(&onnx, model.onnx()).expect("a temporary file");
        let mut command = Command::new(tools.join("venv/bin/python"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/ezkl_peer.py")).arg(&onnx).arg(folder);
        command.args([&model.inputs().to_string(), kind]);
        // EZKL writes files of its own below the home folder.
        command.env("HOME", folder).env("EZKL_REPO_PATH", folder).env("RUST_LOG", "error");
        if threads > 0 {
            command.env("RAYON_NUM_THREADS", threads.to_string());
        }
        Self::start(&mut command)
    }

    /// One of the program of peers.
    pub fn peer(program: &Path, kind: &str, model: &Model, folder: &Path, threads: usize) -> Self {
        std::fs::create_dir_all(folder).expect("a temporary folder");
        let start = || {
            let mut command = Command::new(program);
            command.args(["--prover", kind, "--model", model.name, "--folder"]).arg(folder);
            if threads > 0 {
                command.args(["--threads", &threads.to_string()]);
            }
            Self::start(&mut command)
        };
        // Keys are made by a process of their own, as ours are.
        drop(start());
        start()
    }

    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the prover starts");
        let (stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut prover = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
            about: Value::Null,
            last: Value::Null,
            proofs: Vec::new(),
        };
        prover.about = prover.answer();
        // The first proof warms caches and is not counted.
        prover
    }

    /// Proves a window. Ours makes up its own.
    pub fn prove(&mut self, window: &[i32], is_counted: bool) {
        let floats: Vec<f64> = window.iter().map(|&feature| f64::from(feature) / f64::from(ONE)).collect();
        self.last = self.ask(&json!({ "prove": floats }));
        let number = |name: &str| self.last[name].as_f64().expect("a number");
        let proved = Took { cpu_s: number("cpu_s"), wall_s: number("wall_s") };
        if is_counted {
            self.proofs.push(proved);
        }
    }

    /// The most memory it had, in MB; it ends with this.
    pub fn peak_mb(&mut self) -> f64 {
        self.ask(&json!({ "stop": 0 }))["peak_mb"].as_f64().expect("a number")
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.stdin, "{command}").expect("the prover listens");
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.stdout.read_line(&mut line).expect("the prover answers");
            assert!(read > 0, "the prover ended; what it said stands above");
            if let Some(answer) = line.split("@@").nth(1) {
                return serde_json::from_str(answer).expect("the prover answers in JSON");
            }
        }
    }
}

impl Drop for Prover {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
