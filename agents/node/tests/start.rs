//! A role that cannot start says in one line what it tried, and ends with an error.

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use hygeia_inference::package::{ModelPackage, PackageParts};
use hygeia_node::cli::Role;
use hygeia_node::demo::processes::{Anvil, NatsServer};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_the_development_string_are_refused_off_local_chains() {
    let dir = tempfile::tempdir().unwrap();
    let tools = support::tools();
    let nats = NatsServer::start(&tools, &dir.path().join("nats")).await.unwrap();
    let signer = dir.path().join("signer.key");
    // The first of the accounts that anvil gives coins to.
    std::fs::write(&signer, "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80").unwrap();
    for (chain_id, is_local) in [(5, false), (1_337, true)] {
        let of_chain = dir.path().join(chain_id.to_string());
        let anvil = Anvil::start_as(&tools, &of_chain, 1_700_000_000, chain_id).await.unwrap();
        let deployment = of_chain.join("deployment.json");
        let deploy = |more: &'static [&'static str]| {
            let arguments =
                ["deploy", "--chain", anvil.url(), "--signer-key-file", text(&signer), "--out", text(&deployment)];
            let arguments: Vec<String> = arguments.iter().chain(more).map(|&argument| argument.to_owned()).collect();
            async move { hygeia(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await }
        };
        let deployed = deploy(&[]).await;
        assert_eq!(deployed.status.success(), is_local, "{}", String::from_utf8_lossy(&deployed.stderr));
        if !is_local {
            let said = last_words(&deployed);
            assert!(said.contains("chain 5") && said.contains("--srs") && said.contains("--no-verifier"), "{said}");
            assert!(!deployment.exists(), "nothing is deployed before it is refused");
            assert!(deploy(&["--no-verifier"]).await.status.success(), "the contracts hold no key");
        }

        let prover = [
            "prover",
            "--nats",
            nats.url(),
            "--chain",
            anvil.url(),
            "--deployment",
            text(&deployment),
            "--patience-s",
            "1",
        ];
        let said = last_words(&hygeia(&prover).await);
        assert_eq!(said.contains("--srs"), !is_local, "{said}");
        assert_eq!(said.contains("no active policy"), is_local, "on a local chain it goes on: {said}");
        anvil.stop().await;
    }
    nats.stop().await;
}

/// The shipped model with one word of its card changed: another content, another hash.
fn unapproved_model() -> ModelPackage {
    let mut parts: PackageParts = ModelPackage::default_model().to_parts();
    parts.card.summary.push_str(" (changed)");
    ModelPackage::assemble(parts).unwrap()
}
