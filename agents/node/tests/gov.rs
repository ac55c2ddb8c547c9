//! `hygeia gov` against a real chain: a whole vote through its commands, each refusal with what would help, and dry runs
//! that send nothing.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use alloy::primitives::{Address, B256, Bytes, I256, U256};
use alloy::providers::Provider as _;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolValue as _;
use hygeia_inference::package::ModelPackage;
use hygeia_node::chain::governance;
use hygeia_node::demo::network::Network;
use hygeia_policies::{
    AgentIdentityRegistry, AgentValidationRegistry, HygeiaGovernor, HygeiaToken, InferenceValidator, ModelRegistry,
    PolicyRegistry,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

/// A network, and a folder for what its voters write.
struct Scene {
    network: Network,
    dir: PathBuf,
}

/// What a command printed, and whether it succeeded.
struct Answer {
    is_done: bool,
    out: String,
    err: String,
}

impl Answer {
    /// The value of a line of the command's output.
    fn line(&self, name: &str) -> &str {
        let line = self.out.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        line.unwrap_or_else(|| panic!("no line {name:?} in {}{}", self.out, self.err))
    }

    fn done(self) -> Self {
        assert!(self.is_done, "{}{}", self.out, self.err);
        self
    }

    fn refused(self, with: &str) {
        assert!(!self.is_done, "{}", self.out);
        assert!(self.err.contains(with), "{with:?} is missing in {}", self.err);
    }
}

impl Scene {
    async fn gov(&self, arguments: &[&str], environment: Option<&PrivateKeySigner>) -> Answer {
        let key = environment.map(|key| ("HYGEIA_SIGNER_KEY", hex::encode(key.to_bytes())));
        self.gov_with(arguments, key).await
    }

    async fn gov_with(&self, arguments: &[&str], environment: Option<(&str, String)>) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hygeia"));
        command.arg("gov").args(arguments);
        command.args(["--chain", self.network.anvil.url(), "--deployment"]).arg(self.network.deployment_file());
        for variable in ["KEY", "KEY_FILE", "KEYSTORE", "PASSWORD", "PASSWORD_FILE"] {
            command.env_remove(format!("HYGEIA_SIGNER_{variable}"));
        }
        command.envs(environment);
        let Output { status, stdout, stderr } = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Answer { is_done: status.success(), out: text(stdout), err: text(stderr) }
    }

    /// A step signed with a key file.
    async fn step(&self, voter: &PrivateKeySigner, arguments: &[&str]) -> Answer {
        let file = self.written(&format!("{}.key", voter.address()), hex::encode(voter.to_bytes()).as_bytes());
        let signer = ["--signer-key-file", text(&file)];
        self.gov(&[arguments, &signer].concat(), None).await
    }

    fn written(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A program that signs with this key, as a wrapper around a key management service does.
    fn program_of(&self, key: &PrivateKeySigner) -> PathBuf {
        let cast = support::tools_dir().join("bin/cast");
        let script = format!(
            "#!/bin/sh\nread digest\nexec {} wallet sign --no-hash 0x$digest --private-key 0x{}\n",
            cast.canonicalize().unwrap().display(),
            hex::encode(key.to_bytes())
        );
        let path = self.written(&format!("sign-{}", key.address()), script.as_bytes());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    async fn nonce(&self, of: &PrivateKeySigner) -> u64 {
        self.network.chain.provider.get_transaction_count(of.address()).await.unwrap()
    }

    /// Terms like those in force, with this threshold and benefit.
    fn terms(&self, threshold: i64, benefit: &str) -> PathBuf {
        let terms = json!({
            "model_id": self.network.model_id,
            "threshold": threshold,
            "care_code": "snomed:736366004",
            "benefit": benefit,
            "cool_down_s": 43_200,
            "max_attestation_age_s": 604_800,
            "fulfil_within_s": 172_800,
            "starts_per_day_max": 100,
            "open_max": 500,
        });
        self.written("terms.json", terms.to_string().as_bytes())
    }

    async fn move_past(&self, moment: U256) {
        governance::move_past(&self.network.chain, moment).await.unwrap();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn scene(dir: &Path) -> Scene {
    let network = support::network(&support::tools(), dir, None).await;
    let dir = dir.join("voters");
    std::fs::create_dir_all(&dir).unwrap();
    Scene { network, dir }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_passes_a_vote_held_with_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    let scene = scene(dir.path()).await;
    let [first, second, third] = &scene.network.accounts.voters[..] else { panic!("the network has three voters") };
    let proposal = proposed(&scene, first).await;
    let id: &str = &proposal;
    let number: U256 = id.parse().unwrap();
    let provider = &scene.network.chain.provider;
    let governor = HygeiaGovernor::new(scene.network.deployment.governor, provider);

    scene.step(first, &["vote", id, "for"]).await.refused("is pending; its vote opens at");
    scene.step(first, &["queue", id]).await.refused("is pending");
    let unknown = B256::repeat_byte(1).to_string();
    scene.step(first, &["vote", &unknown, "for"]).await.refused("nothing was proposed as");
    scene.move_past(governor.proposalSnapshot(number).call().await.unwrap()).await;

    voted(&scene, id).await;
    let shown = scene.gov(&["show", id], None).await.done();
    assert!(shown.line("state").starts_with("active: votes are taken until 2"), "{}", shown.out);
    assert!(shown.line("deadline").ends_with(" s)") && shown.out.contains("approvePolicyCall"), "{}", shown.out);
    assert_eq!(shown.line("eta"), "not queued");
    let votes = governor.proposalVotes(number).call().await.unwrap();
    assert!(!votes.forVotes.is_zero() && !votes.againstVotes.is_zero() && !votes.abstainVotes.is_zero());
    assert_eq!(shown.line("against"), alloy::primitives::utils::format_ether(votes.againstVotes));

    scene.step(third, &["queue", id]).await.refused("is active; votes are taken until");
    scene.move_past(governor.proposalDeadline(number).call().await.unwrap()).await;
    scene.step(third, &["vote", id, "for"]).await.refused("is succeeded; bring it into the timelock with");
    scene.step(third, &["execute", id]).await.refused("is succeeded; bring it into the timelock with");
    scene.step(third, &["queue", id]).await.done().line("sent");
    scene.step(second, &["execute", id]).await.refused("is queued; the timelock holds it until");
    scene.move_past(governor.proposalEta(number).call().await.unwrap()).await;
    scene.step(second, &["execute", id]).await.done().line("sent");
    scene.step(second, &["execute", id]).await.refused("is executed; it is done");

    let policies = PolicyRegistry::new(scene.network.deployment.policy_registry, provider);
    let policy = text(&scene.terms(2_048, "7")).to_owned();
    scene.step(first, &["propose-policy", &policy]).await.refused("PolicyExists (the same was approved before)");
    let policy_id: B256 = std::fs::read_to_string(scene.dir.join("policy")).unwrap().parse().unwrap();
    assert!(policies.isActive(policy_id).call().await.unwrap());
    scene.network.stop().await;
}

/// A proposal made without this program, to send a coin.
async fn moves_coins(scene: &Scene) -> String {
    let (voter, governor) = (scene.network.accounts.voters[0].address(), scene.network.deployment.governor);
    let governor = HygeiaGovernor::new(governor, &scene.network.chain.provider);
    let propose = governor.propose(vec![voter], vec![U256::ONE], vec![Bytes::new()], "A coin".to_owned());
    let id = propose.clone().from(voter).call().await.unwrap();
    let data = propose.calldata().clone();
    governance::send(&scene.network.chain, voter, data, *governor.address(), "proposing").await.unwrap();
    id.to_string()
}

/// Delegates and proposes, each after a dry run that left the chain as it was.
async fn proposed(scene: &Scene, voter: &PrivateKeySigner) -> String {
    let token = HygeiaToken::new(scene.network.deployment.token, &scene.network.chain.provider);
    let guardian = scene.network.accounts.guardian.address();
    let before = scene.nonce(voter).await;
    let delegate = ["delegate", "--to", &guardian.to_string()];
    scene.step(voter, &[&delegate[..], &["--dry-run"]].concat()).await.done().line("dry run");
    assert_eq!(token.delegates(voter.address()).call().await.unwrap(), voter.address());
    scene.step(voter, &delegate).await.done().line("sent");
    assert_eq!(token.delegates(voter.address()).call().await.unwrap(), guardian);
    // A proposer's votes are those of the second before.
    governance::move_time(&scene.network.chain, 1).await.unwrap();
    let terms = scene.terms(2_048, "7");
    let propose = ["propose-policy", text(&terms)];
    scene.step(voter, &propose).await.refused("GovernorInsufficientProposerVotes (the signer has fewer votes");
    scene.step(voter, &["delegate"]).await.done().line("sent");
    assert_eq!(scene.nonce(voter).await, before + 2, "dry run and refusal sent nothing");
    governance::move_time(&scene.network.chain, 1).await.unwrap();

    let tried = scene.step(voter, &[&propose[..], &["--dry-run"]].concat()).await.done();
    for part in ["PolicyRegistry at 0x", "approvePolicyCall", "benefit: 7", &voter.address().to_string(), "dry run"] {
        assert!(tried.out.contains(part), "{part:?} is missing in {}", tried.out);
    }
    assert_eq!(scene.nonce(voter).await, before + 2);
    scene.gov(&["show", tried.line("proposal")], None).await.refused("nothing was proposed as");
    scene.gov(&propose, None).await.refused("nobody to sign");
    let zero = scene.terms(2_048, "0");
    scene.step(voter, &["propose-policy", text(&zero)]).await.refused("call 1 of the proposal would be refused");
    let unquoted = scene.written("unquoted.json", br#"{"benefit": 7}"#);
    scene.step(voter, &["propose-policy", text(&unquoted)]).await.refused("holds no terms of a policy");
    assert_eq!(scene.nonce(voter).await, before + 2);

    let terms = scene.terms(2_048, "7");
    let done = scene.step(voter, &["propose-policy", text(&terms)]).await.done();
    assert_eq!(done.line("proposal"), tried.line("proposal"));
    scene.written("policy", done.line("policy").as_bytes());
    scene.step(voter, &["propose-policy", text(&terms)]).await.refused("proposed already");
    done.line("proposal").to_owned()
}

/// One vote of each kind, one signed with each means.
async fn voted(scene: &Scene, id: &str) {
    let [first, second, third] = &scene.network.accounts.voters[..] else { panic!("the network has three voters") };
    let guardian = &scene.network.accounts.guardian;
    scene.step(guardian, &["vote", id, "for"]).await.refused("had no votes when this vote opened");
    let reason = ["vote", id, "for", "--reason", "the evaluation holds"];
    scene.step(first, &reason).await.done().line("sent");
    scene.step(first, &["vote", id, "against"]).await.refused("GovernorAlreadyCastVote (the signer has voted)");
    scene.gov(&["vote", id, "against"], Some(second)).await.done().line("sent");

    let address = third.address().to_string();
    let signed_by = |program: &Path| {
        ["vote", id, "abstain", "--signer-address", &address, "--signer-command", text(program)].map(str::to_owned)
    };
    let before = scene.nonce(third).await;
    let refused = async |program: PathBuf, with: &str| {
        let arguments = signed_by(&program);
        scene.gov(&arguments.each_ref().map(String::as_str), None).await.refused(with);
        assert_eq!(scene.nonce(third).await, before);
    };
    refused(scene.program_of(second), "but --signer-address names").await;
    refused(PathBuf::from("/bin/true"), "no signature").await;
    refused(scene.dir.join("absent"), "could not be run to sign").await;
    let honest = signed_by(&scene.program_of(third));
    scene.gov(&honest.each_ref().map(String::as_str), None).await.done().line("sent");
    assert_eq!(scene.nonce(third).await, before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_proposed_with_its_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let scene = scene(dir.path()).await;
    scene.gov(&["show", &moves_coins(&scene).await], None).await.refused("does not hash to it: it moves coins");
    let voter = &scene.network.accounts.voters[0];
    let (card, fidelity) = (scene.written("card.json", b"a card"), scene.written("fidelity.json", b"a certificate"));
    let evaluation = scene.written("report.json", b"a report");
    let keys = support::keys_dir();
    let propose = |verifier: Address, uri: &str| {
        let verifier = verifier.to_string();
        let named = ["propose-model", "--verifier", &verifier, "--uri", uri, "--keys-dir", text(&keys)];
        let evidence = ["--card", text(&card), "--fidelity", text(&fidelity), "--evaluation", text(&evaluation)];
        [&named[..], &evidence].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let step = async |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        scene.step(voter, &arguments).await
    };
    let model = ModelPackage::default_model();
    let models = ModelRegistry::new(scene.network.deployment.model_registry, &scene.network.chain.provider);
    let verifier = models.serviceOf(scene.network.model_id).call().await.unwrap().verifier;
    let before = scene.nonce(voter).await;

    let mirror = "https://models.example/mirror";
    step(propose(voter.address(), mirror)).await.refused("VerifierHasNoCode (deploy what");
    let approved = format!("hygeia:model:{}", hex::encode(model.hash()));
    step(propose(verifier, &approved)).await.refused("ModelExists (the same was approved before)");
    let missing: Vec<_> =
        propose(verifier, mirror).into_iter().map(|a| a.replace("card.json", "no-card.json")).collect();
    step(missing).await.refused("no-card.json");
    let empty = [propose(verifier, mirror), vec!["--impact".to_owned(), String::new()]].concat();
    step(empty).await.refused("IncompleteChangeControl (give --modification");
    let tried = step([propose(verifier, mirror), vec!["--dry-run".to_owned()]].concat()).await.done();
    assert_eq!(scene.nonce(voter).await, before, "refusals and a dry run send nothing");
    let hash = format!("cardHash: 0x{}", hex::encode(Sha256::digest(b"a card")));
    for part in [&hash, "approveModelCall", mirror, model.card().change_control.protocol.lines().next().unwrap()] {
        assert!(tried.out.contains(part), "{part:?} is missing in {}", tried.out);
    }

    let known = models.modelOf(scene.network.model_id).call().await.unwrap();
    let written = |circuit: B256| {
        let (key, length) = (known._0.vkHash.to_string(), known._1.proofLength.to_string());
        let circuit = circuit.to_string();
        ["--circuit-hash", &circuit, "--verifying-key-hash", &key, "--proof-length", &length, "--dry-run"]
            .map(str::to_owned)
    };
    let without_keys = step([propose(verifier, mirror), written(known._0.circuitHash).to_vec()].concat()).await.done();
    assert_eq!(without_keys.line("model"), tried.line("model"), "the hashes in force are those of the keys");
    let of_another = step([propose(verifier, mirror), written(B256::repeat_byte(1)).to_vec()].concat()).await.done();
    assert_ne!(of_another.line("model"), tried.line("model"));

    let done = step(propose(verifier, mirror)).await.done();
    assert_eq!(done.line("model"), tried.line("model"));
    assert_ne!(done.line("model"), scene.network.model_id.to_string(), "another address is another model");
    let shown = scene.gov(&["show", done.line("proposal")], None).await.done();
    assert!(shown.out.contains(&hash) && shown.line("state").starts_with("pending: "), "{}", shown.out);
    scene.network.stop().await;
}

/// A keystore of this key, as wallets write it, and of the cost that the library takes.
fn keystore_of(scene: &Scene, key: &PrivateKeySigner, password: &str) -> PathBuf {
    let name = format!("{}.json", key.address());
    let mut random = rand::rngs::OsRng;
    PrivateKeySigner::encrypt_keystore(&scene.dir, &mut random, key.to_bytes(), password, Some(&name)).unwrap();
    scene.dir.join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_registered_from_a_keystore_and_its_inference_validated() {
    let dir = tempfile::tempdir().unwrap();
    let scene = scene(dir.path()).await;
    let registries = scene.network.deployment.agents.unwrap();
    scene.gov(&["agents"], None).await.done().line("no agent was registered at");

    let agent = registered(&scene).await;
    let provider = &scene.network.chain.provider;
    let agents = AgentIdentityRegistry::new(registries.identity_registry, provider);
    let operator = scene.network.accounts.oracle.address();
    assert_eq!(agents.ownerOf(agent).call().await.unwrap(), operator);
    let shown = scene.gov(&["agents"], None).await.done();
    assert_eq!(shown.line("wallet"), format!("{operator}, a bonded oracle of this network"));
    assert_eq!(shown.line("file"), "https://oracle.example/agent.json");
    assert_eq!(shown.line("validated"), format!("0 by {}", registries.inference_validator));
    scene.gov(&["agents", "99"], None).await.refused("has no agent 99");

    validated(&scene, agent).await;
    let shown = scene.gov(&["agents", &agent.to_string()], None).await.done();
    assert_eq!(shown.line("validated"), format!("1 by {}", registries.inference_validator));
    let validations = AgentValidationRegistry::new(registries.validation_registry, provider);
    let summary = validations.getSummary(agent, vec![registries.inference_validator], String::new());
    assert_eq!(summary.call().await.unwrap().averageResponse, 100);

    let older = hygeia_node::chain::Deployment { agents: None, ..scene.network.deployment.clone() };
    older.save(&scene.network.deployment_file()).unwrap();
    assert!(!std::fs::read_to_string(scene.network.deployment_file()).unwrap().contains("agents"));
    scene.gov(&["agents"], None).await.refused("names no registries of agents");
    scene.network.stop().await;
}

/// Registers the oracle's operator as an agent, after everything that is refused.
async fn registered(scene: &Scene) -> U256 {
    let key = &scene.network.accounts.oracle;
    let keystore = keystore_of(scene, key, "correct horse");
    let register = ["register-agent", "--uri", "https://oracle.example/agent.json"];
    let signed = [&register[..], &["--signer-keystore", text(&keystore)]].concat();
    let password = |word: &str| Some(("HYGEIA_SIGNER_PASSWORD", word.to_owned()));
    let before = scene.nonce(key).await;

    let secret = hex::encode(key.to_bytes());
    let wrong = scene.gov_with(&signed, password("wrong horse")).await;
    assert!(!format!("{}{}", wrong.out, wrong.err).contains("horse"), "{}", wrong.err);
    wrong.refused("the password does not open");
    scene.gov_with(&signed, None).await.refused("is encrypted: name --signer-password-file FILE");
    let other = scene.network.accounts.guardian.address().to_string();
    let named = [&signed[..], &["--signer-address", &other]].concat();
    scene.gov_with(&named, password("correct horse")).await.refused("but --signer-address names");
    let written = std::fs::read_to_string(&keystore).unwrap();
    let greedy = scene.written("greedy.json", written.replace("\"n\":8192", "\"n\":2147483648").as_bytes());
    let greedy = [&register[..], &["--signer-keystore", text(&greedy)]].concat();
    scene.gov_with(&greedy, password("correct horse")).await.refused("too much memory");
    let nowhere = ["register-agent", "--uri", "agent.json", "--signer-keystore", text(&keystore)];
    scene.gov_with(&nowhere, password("correct horse")).await.refused("agent.json is no URI");

    let dry = [&signed[..], &["--dry-run"]].concat();
    let tried = scene.gov_with(&dry, password("correct horse")).await.done();
    assert!(tried.line("signs").ends_with("with a keystore"), "{}", tried.out);
    assert_eq!(scene.nonce(key).await, before, "refusals and a dry run send nothing");

    let file = scene.written("password", b"correct horse\n");
    let signed = [&signed[..], &["--signer-password-file", text(&file)]].concat();
    let done = scene.gov(&signed, None).await.done();
    assert!(!format!("{}{}", done.out, done.err).contains(&secret) && !done.out.contains("horse"));
    assert_eq!(scene.nonce(key).await, before + 1);
    done.line("agent").parse().unwrap()
}

/// The agent asks for a real proof and for a forged one to be validated; a stranger has them answered.
async fn validated(scene: &Scene, agent: U256) {
    let registries = scene.network.deployment.agents.unwrap();
    let (network, accounts) = (&scene.network, &scene.network.accounts);
    let validator = InferenceValidator::new(registries.inference_validator, &network.chain.provider);
    let validations = AgentValidationRegistry::new(registries.validation_registry, &network.chain.provider);
    let real: serde_json::Value = serde_json::from_str(include_str!("../../../policies/generated/proof.json")).unwrap();
    let commitment: B256 = real["commitment"].as_str().unwrap().parse().unwrap();
    let proof: Bytes = real["proof"].as_str().unwrap().parse().unwrap();
    let score: I256 = real["score"].as_str().unwrap().parse().unwrap();
    let model: U256 = network.model_id.into();

    for (score, answer) in [(score, Ok(())), (score + I256::ONE, Err("InvalidProof".to_owned()))] {
        let output: Bytes = score.abi_encode().into();
        let asked = validator.requestHashOf(model, commitment, output.clone(), proof.clone()).call().await.unwrap();
        let request = validations.validationRequest(*validator.address(), agent, "ipfs://payload".to_owned(), asked);
        let (data, registry) = (request.calldata().clone(), registries.validation_registry);
        let stranger = &accounts.guardian;
        let by_stranger = governance::dry_run(&network.chain, stranger.address(), data.clone(), registry, "asking");
        assert_eq!(by_stranger.await.unwrap(), Err("NotAgentOperator".to_owned()));
        network.send(&accounts.oracle, data, registry, "asking").await.unwrap();
        let validate = validator.validate(model, commitment, output, proof.clone()).calldata().clone();
        let (from, to) = (stranger.address(), *validator.address());
        let tried = governance::dry_run(&network.chain, from, validate.clone(), to, "validating").await.unwrap();
        assert_eq!(tried, answer);
        if answer.is_ok() {
            network.send(stranger, validate, to, "validating").await.unwrap();
        }
        let status = validations.getValidationStatus(asked).call().await.unwrap();
        assert_eq!(status.response, if answer.is_ok() { 100 } else { 0 });
    }
}
