//! onnxruntime, in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::Runtime;
use super::record::Measured;

/// 1.0 as a feature.
const ONE: f64 = 1024.0;

/// The peer's process; it ends with its standard input.
pub struct Onnxruntime {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    version: String,
}

impl Onnxruntime {
    /// Starts it on a model, with the interpreter that `cargo xtask setup` installed.
    pub fn start(model: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tools = std::env::var_os("HYGEIA_TOOLS_DIR").map_or_else(|| root.join("../.tools"), PathBuf::from);
        let mut child = Command::new(tools.join("venv-onnx/bin/python"))
            .arg(root.join("peers/onnxruntime_peer.py"))
            .arg(model)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("onnxruntime is installed by `cargo xtask setup`; HYGEIA_TOOLS_DIR says where");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        let mut peer = Self { child, stdin, stdout: BufReader::new(stdout), version: String::new() };
        peer.version = peer.answer()["onnxruntime"].as_str().expect("a version").to_owned();
        peer
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.stdin.as_ref().expect("it runs"), "{command}").expect("the peer listens");
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the peer answers");
        serde_json::from_str(&line).expect("the peer answers in JSON; what it says otherwise stands above")
    }
}

impl Runtime for Onnxruntime {
    fn name(&self) -> String {
        format!("onnxruntime {}", self.version)
    }

    fn scores(&mut self, windows: &[Vec<i32>]) -> Vec<f64> {
        let floats: Vec<Vec<f64>> =
            windows.iter().map(|window| window.iter().map(|&x| f64::from(x) / ONE).collect()).collect();
        let answer = self.ask(&json!({ "check": floats }));
        answer["scores"].as_array().expect("scores").iter().map(|score| score.as_f64().expect("a score")).collect()
    }

    fn measure(&mut self, windows: &[Vec<i32>], workers: usize, time: Duration) -> Option<Measured> {
        let command = json!({ "batch": windows.len(), "workers": workers, "seconds": time.as_secs_f64() });
        let answer = self.ask(&command);
        let number = |name: &str| answer[name].as_f64().expect("a number");
        Some(Measured { windows_per_second: number("windows_per_second"), overhead_s: number("overhead_s") })
    }
}

impl Drop for Onnxruntime {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
