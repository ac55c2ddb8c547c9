//! EZKL's contract on a real EVM: it accepts the proof as the project's contracts ask it, and nothing else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hygeia_zkml::PublicInputs;
use hygeia_zkml::engine::ezkl::calldata;
use serde_json::{Value, json};

use super::{ENGINE, proved, tools};

/// Some address; the chain is told what code stands there.
const CONTRACT: &str = "0x00000000000000000000000000000000000e2121";
/// What the contract answers when it accepts.
const TRUE: &str = "0x0000000000000000000000000000000000000000000000000000000000000001";

/// A chain of the test's own.
struct Anvil {
    child: Child,
    port: u16,
}

impl Anvil {
    fn start(code: &str) -> Self {
        // The port is free when it is asked for; nobody else wants one that the system just gave away.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(tools().join("bin/anvil"));
        command.args(["--host", "127.0.0.1", "--silent", "--port", &port.to_string()]);
        let mut anvil = Self { child: command.stdout(Stdio::null()).spawn().unwrap(), port };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(anvil.child.try_wait().unwrap().is_none(), "anvil runs");
            std::thread::yield_now();
        }
        anvil.ask("anvil_setCode", json!([CONTRACT, code]));
        anvil
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }

    /// What the contract says to a call: its answer, or nothing when it reverts.
    fn call(&self, data: &[u8]) -> Option<String> {
        let answer =
            self.ask("eth_call", json!([{ "to": CONTRACT, "data": format!("0x{}", hex::encode(data)) }, "latest"]));
        assert!(answer["result"].is_string() || answer["error"]["code"] == 3, "{answer}");
        answer["result"].as_str().map(str::to_owned)
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Code of a contract as it stands on a chain. The compiler's wrapper refuses what is over the limit of EIP-170.
fn compiled(solidity: &str) -> (String, u64) {
    let folder = tempfile::tempdir().unwrap();
    let (source, artifact): (PathBuf, PathBuf) =
        (folder.path().join("verifier.sol"), folder.path().join("verifier.json"));
    std::fs::write(&source, solidity).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/tools/compile-verifier.mjs");
    let output = Command::new("node").arg(script).args([&source, &artifact]).output().expect("node starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let artifact: Value = serde_json::from_slice(&std::fs::read(&artifact).unwrap()).unwrap();
    let (creation, bytes) = (artifact["bytecode"].as_str().unwrap(), artifact["deployedBytes"].as_u64().unwrap());
    // The code that is deployed stands at the end of the code that deploys it.
    (format!("0x{}", &creation[creation.len() - 2 * bytes as usize..]), bytes)
}

#[test]
fn the_contract_accepts_the_proof_and_refuses_its_twins() {
    let (code, bytes) = compiled(ENGINE.contract());
    assert!((1_000..=24_576).contains(&bytes));
    let anvil = Anvil::start(&code);
    let proof = proved(40);
    let call = |public: &PublicInputs, proof: &[u8]| anvil.call(&calldata(public, proof));
    assert_eq!(call(&proof.public, &proof.bytes).as_deref(), Some(TRUE));
    for at in (0..proof.bytes.len()).step_by(331) {
        let mut forged = proof.bytes.clone();
        forged[at] ^= 1;
        assert_eq!(call(&proof.public, &forged), None, "byte {at}");
    }
    let score = PublicInputs { score: proof.public.score + 1, ..proof.public };
    assert_eq!(call(&score, &proof.bytes), None);
    let commitment = PublicInputs { commitment: proved(41).public.commitment, ..proof.public };
    assert_eq!(call(&commitment, &proof.bytes), None);
    assert_eq!(call(&proof.public, &proof.bytes[..proof.bytes.len() - 32]), None);
}
