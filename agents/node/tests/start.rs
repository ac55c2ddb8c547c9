//! A role that cannot start says in one line what it tried, and ends with an error.

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use hygeia_inference::package::{ModelPackage, PackageParts};
use hygeia_node::cli::Role;
use tokio::process::Command;

/// An address of the loopback interface where nothing listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

async fn hygeia(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hygeia")).args(arguments).output().await.unwrap()
}

/// The program's last words, which are one line.
fn last_words(output: &Output) -> String {
    assert!(!output.status.success(), "it must not succeed");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("hygeia: ")).collect();
    assert_eq!(lines.len(), 1, "one clear line, not {text:?}");
    lines[0].to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_cannot_start_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let tools = support::tools();
    let network = support::network(&tools, dir.path(), None).await;
    let deployment = dir.path().join("deployment.json");
    let deployment = text(&deployment);

    let broker = format!("nats://{}", nobody());
    let said =
        last_words(&hygeia(&["sentinel", "--nats", &broker, "--deployment", deployment, "--patience-s", "1"]).await);
    assert!(said.contains(&broker) && said.contains("no NATS server answered"), "{said}");

    let chain = format!("http://{}", nobody());
    let nats = network.nats.url();
    let arguments = ["sentinel", "--nats", nats, "--chain", &chain, "--deployment", deployment, "--patience-s", "1"];
    let said = last_words(&hygeia(&arguments).await);
    assert!(said.contains(&chain) && said.contains("no chain answered"), "{said}");

    let missing = dir.path().join("nowhere.json");
    let said = last_words(&hygeia(&["steward", "--deployment", text(&missing)]).await);
    assert!(said.contains("nowhere.json"), "{said}");

    // Another model than the one the vote approved: refused by its hash.
    let package = dir.path().join("model");
    let other = unapproved_model();
    other.save(&package).unwrap();
    let hash = hex::encode(other.hash());
    for role in [Role::Sentinel, Role::Prover] {
        let arguments = [
            role.name(),
            "--model",
            text(&package),
            "--nats",
            nats,
            "--chain",
            network.anvil.url(),
            "--deployment",
            deployment,
            "--patience-s",
            "1",
        ];
        let said = last_words(&hygeia(&arguments).await);
        assert!(said.contains(&hash) && said.contains("refused"), "{said}");
    }
    network.stop().await;
}

/// The shipped model with one word of its card changed: another content, another hash.
fn unapproved_model() -> ModelPackage {
    let mut parts: PackageParts = ModelPackage::default_model().to_parts();
    parts.card.summary.push_str(" (changed)");
    ModelPackage::assemble(parts).unwrap()
}
