//! No value of a patient's in anything that a worker writes or an error says.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use hygeia_zkml::engine::ezkl::EzklEngine;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{CACHE, ENGINE, SCHEMA, WORKER, network, tools};

/// Digits that stand for a measurement, and are found nowhere by chance.
const TELLING: i64 = 31_337;

/// A worker of the test's own, whose output and files can be looked through.
struct Worker {
    child: Child,
    requests: UnixStream,
    answers: BufReader<UnixStream>,
    home: TempDir,
    /// Everything that was answered.
    said: String,
}

impl Worker {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let file = |name: &str| Stdio::from(File::create(home.path().join(name)).unwrap());
        let mut command = Command::new(tools().join("venv/bin/python"));
        command.args(["-I", "-c", WORKER, &std::process::id().to_string(), &(4_u64 << 30).to_string()]);
        command.env_clear().envs(["HOME", "EZKL_REPO_PATH", "TMPDIR"].map(|name| (name, home.path())));
        // As talkative as EZKL can be made.
        command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full").env("RAYON_NUM_THREADS", "2");
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(file("stdout")).stderr(file("stderr"));
        let child = command.spawn().unwrap();
        drop(command);
        let answers = BufReader::new(ours.try_clone().unwrap());
        let mut worker = Self { child, requests: ours, answers, home, said: String::new() };
        assert!(worker.answer()["done"]["ezkl"].is_string());
        worker
    }

    /// Sends a line as it is: what JSON libraries would not write, too.
    fn ask(&mut self, line: &str) -> Value {
        writeln!(self.requests, "{line}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        self.said.push_str(&line);
        serde_json::from_str(&line).unwrap()
    }

    /// All that the worker said or left behind.
    fn traces(mut self) -> Vec<(String, String)> {
        drop((self.requests, self.answers));
        self.child.wait().unwrap();
        let mut traces = vec![("answers".to_owned(), std::mem::take(&mut self.said))];
        collect(self.home.path(), &mut traces);
        traces
    }
}

fn collect(folder: &Path, traces: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, traces);
        } else {
            let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            traces.push((path.display().to_string(), content));
        }
    }
}

/// A measurement as it would look in a text: the integer, the float, the field element.
fn forms(value: i64) -> [String; 3] {
    let float = value as f64 / 1024.0;
    let element: String = value.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    [value.to_string(), float.to_string(), element]
}

#[test]
fn a_worker_leaves_no_trace_of_what_it_was_asked() {
    LazyLock::force(&ENGINE);
    let folder = EzklEngine::folder(&network(1), SCHEMA, &CACHE, true).unwrap();
    let mut worker = Worker::start();
    let lanes = |first: &str| {
        format!("{{\"do\": \"prove\", \"cpu_s\": 60, \"lanes\": [{first}, 1, 2, 3, 4, 5, 1024, 1, 0, 0, 0, 0, 0, 7]}}")
    };
    let failed = |kind: &str| json!({ "failed": kind });
    let files: Value = ["settings.json", "circuit.ezkl", "verifying.key", "proving.key", "kzg.srs"]
        .iter()
        .map(|name| ((*name).to_owned(), json!(folder.join(name))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let opened = worker.ask(&json!({ "do": "open", "cpu_s": 60, "files": files }).to_string());
    assert_eq!(opened, json!({ "done": {} }));

    // What is no lane, or no request, is refused before EZKL sees it.
    for value in [
        "NaN",
        "Infinity",
        "-Infinity",
        "31337.5",
        "null",
        "true",
        "\"31337\"",
        "1e39",
        "16777216",
        "-32769",
        "[31337]",
    ] {
        assert_eq!(worker.ask(&lanes(value)), failed("input"), "{value}");
    }
    assert_eq!(worker.ask(&format!("{{\"do\": \"{TELLING}\", \"cpu_s\": 60}}")), failed("request"));
    assert_eq!(worker.ask(&format!("{TELLING}")), failed("request"));
    assert_eq!(worker.ask(&format!("not JSON {TELLING}")), failed("request"));
    // What EZKL itself refuses, it refuses with the value in its text; this goes no further.
    assert_eq!(worker.ask(&lanes(&format!("{TELLING}, {TELLING}"))), failed("witness"));
    // And a proof is made of a window with the value in it.
    let proved = worker.ask(&lanes(&TELLING.to_string()));
    assert!(proved["done"]["proof"].is_string(), "{proved}");

    let traces = worker.traces();
    for name in ["stdout", "stderr"] {
        let (_, text) = traces.iter().find(|(path, _)| path.ends_with(name)).expect("the test made this file");
        assert_eq!(text, "", "{name}");
    }
    for (place, text) in &traces {
        // The proof is random digits, among which anything may stand.
        let text = text.replace(proved["done"]["proof"].as_str().unwrap(), "");
        assert!(forms(TELLING).iter().all(|form| !text.contains(form)), "in {place}");
    }
}

/// The search finds what it looks for where EZKL's own text stands.
#[test]
fn a_trace_would_be_found() {
    let mut command = Command::new(tools().join("venv/bin/python"));
    let folder = EzklEngine::folder(&network(1), SCHEMA, &CACHE, true).unwrap();
    LazyLock::force(&ENGINE);
    let program = "import ezkl, sys\nezkl.gen_witness(data='{\"input_data\": [[' + sys.argv[2] + ']]}', model=sys.argv[1], output=None)";
    let home = tempfile::tempdir().unwrap();
    command.args(["-I", "-c", program]).arg(folder.join("circuit.ezkl")).arg(format!("\"{TELLING}"));
    let output = command.env("HOME", home.path()).env("EZKL_REPO_PATH", home.path()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(String::from_utf8_lossy(&text).contains(&TELLING.to_string()), "EZKL quotes its inputs");
}

#[test]
fn no_error_or_debug_text_shows_a_window() {
    use hygeia_zkml::{Engine, Salt};
    let features = vec![3_133, -3_133, 3_133, 1, 2, 3];
    let salt = Salt::new([0x5a; 16]);
    let proof = ENGINE.prove(&features, &salt).unwrap();
    let dying = super::engine_with(super::before_proving(&["raise KeyError(data)"]));
    let error = dying.prove(&features, &salt).unwrap_err();
    let mut texts =
        vec![format!("{:?}", *ENGINE), format!("{proof:?}"), format!("{dying:?}"), format!("{error:?} {error}")];
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        texts.push(format!("{error} {error:?}"));
        source = error.source();
    }
    assert!(texts.iter().all(|text| !text.contains("3133") && !text.contains("3.059")), "{texts:?}");
}
