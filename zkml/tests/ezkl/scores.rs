//! EZKL's arithmetic on the exported network against the reference: many windows, no keys and no proofs.

use std::io::Write;
use std::process::{Command, Stdio};

use hygeia_inference::onnx::{EXACT_LANES, export_exact};
use hygeia_inference::{Dense, IntegerNetwork, ModelPackage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::{convolutional, network, pooled, tools};

const WINDOWS: usize = 100;
const SALT_LANES: usize = 6;
/// Scores of windows, with the arguments that the engine compiles with.
const EVALUATE: &str = r#"
import ezkl, json, os, sys
path = lambda name: os.path.join(os.environ["HOME"], name)
arguments = ezkl.PyRunArgs()
arguments.input_visibility, arguments.param_visibility, arguments.output_visibility = "hashed", "fixed", "public"
arguments.input_scale = arguments.param_scale = 10
arguments.decomp_base, arguments.decomp_legs = 1024, 3
ezkl.gen_settings(path("model.onnx"), path("settings.json"), py_run_args=arguments)
ezkl.compile_circuit(path("model.onnx"), path("circuit.ezkl"), path("settings.json"))
scores = []
for lanes in json.load(sys.stdin):
    data = json.dumps({"input_data": [[lane / 1024 for lane in lanes]]})
    made = ezkl.gen_witness(data=data, model=path("circuit.ezkl"), output=None)
    scores.append(ezkl.felt_to_int(made["outputs"][0][0]))
json.dump(scores, open(path("scores.json"), "w"))
"#;

fn scores_of_ezkl(network: &IntegerNetwork, windows: &[Vec<i32>]) -> Vec<i64> {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("model.onnx"), export_exact(network, SALT_LANES, "test").unwrap()).unwrap();
    let lanes = |window: &Vec<i32>| [window.as_slice(), &EXACT_LANES, &[(1 << 24) - 1; SALT_LANES]].concat();
    let lanes: Vec<Vec<i32>> = windows.iter().map(lanes).collect();
    let mut command = Command::new(tools().join("venv/bin/python"));
    command.args(["-I", "-c", EVALUATE]).env("HOME", home.path()).env("EZKL_REPO_PATH", home.path());
    command.env("RAYON_NUM_THREADS", "2").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(serde_json::to_string(&lanes).unwrap().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "EZKL evaluates the network");
    serde_json::from_slice(&std::fs::read(home.path().join("scores.json")).unwrap()).unwrap()
}

/// Both ends of all bounds, windows near zero, and windows from everywhere.
fn windows(network: &IntegerNetwork) -> Vec<Vec<i32>> {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let bounds = network.input_bounds();
    let mut windows: Vec<Vec<i32>> = vec![
        bounds.iter().map(|bound| bound.0).collect(),
        bounds.iter().map(|bound| bound.1).collect(),
        bounds.iter().map(|&(low, high)| 0.clamp(low, high)).collect(),
    ];
    while windows.len() < WINDOWS {
        let narrow = 1 << rng.gen_range(1..16);
        let draw = |rng: &mut ChaCha20Rng, (low, high): (i32, i32)| rng.gen_range(-narrow..=narrow).clamp(low, high);
        windows.push(bounds.iter().map(|&bound| draw(&mut rng, bound)).collect());
    }
    windows
}

#[test]
fn ezkl_computes_the_reference_score_of_every_window() {
    let mut signs: Vec<i64> = Vec::new();
    let shipped = ModelPackage::default_model().network().clone();
    for network in [network(1), network(2), convolutional(), pooled(), shipped] {
        let windows = windows(&network);
        let expected: Vec<i64> = windows.iter().map(|window| network.score(window).unwrap()).collect();
        assert_eq!(scores_of_ezkl(&network, &windows), expected);
        signs.extend(expected.iter().map(|score| score.signum()));
    }
    assert!(signs.contains(&1) && signs.contains(&-1), "halves round otherwise below zero");
}

/// The comparison sees a network that differs in the least of its numbers, on either side of zero.
#[test]
fn the_least_change_of_a_bias_is_seen() {
    let single = |bias| {
        let layers = vec![Dense { weights: vec![vec![1024, 1]], bias: vec![bias] }.into()];
        IntegerNetwork::new(layers, vec![(-2048, 2048); 2]).unwrap()
    };
    // Sums one short of a multiple of 1024: one more, and the floor is the next.
    let windows: Vec<Vec<i32>> = (-9..9).map(|score| vec![score, 1023]).collect();
    let (before, after) = (scores_of_ezkl(&single(0), &windows), scores_of_ezkl(&single(1), &windows));
    assert_eq!(before, (-9..9).collect::<Vec<i64>>());
    assert_eq!(after, (-8..10).collect::<Vec<i64>>());
}
