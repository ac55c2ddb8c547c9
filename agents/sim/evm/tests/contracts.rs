//! The contracts alone, then beside the model of the chain.

use hygeia_protocol::bytes::B32;
use hygeia_protocol::identity::PatientId;
use hygeia_sim::call::Call;
use hygeia_sim::contracts::At;
use hygeia_sim::governance::Decision;
use hygeia_sim::run::{Setup, run};
use hygeia_sim::ward::{self, MODELS, START};

const PATIENTS: u64 = 4;

fn at(block: u64) -> At {
    At { block, time_s: START.as_seconds() + 3_600 + 12 * block }
}

fn call(patient: u64, model: B32, end_s: u64) -> Call {
    let mandate = ward::mandate(&PatientId::new(&format!("p-{patient}")).unwrap());
    let end = START.as_seconds() + end_s;
    let nullifier = ward::nullifier(&mandate, &ward::policy(&model), end);
    Call { receipt: B32::new([0; 32]), nullifier, mandate, model, end }
}

#[test]
fn a_trigger_burns_its_nullifier_until_its_block_is_taken_out() {
    let mut contracts = hygeia_sim_evm::found(PATIENTS);
    let trigger = call(1, MODELS[0], 3_600);
    assert!(!contracts.refuses(&trigger, at(4)));
    assert!(contracts.trigger(&trigger, at(4)));
    assert!(contracts.refuses(&trigger, at(5)) && !contracts.trigger(&trigger, at(5)), "it is burned");
    assert!(!contracts.refuses(&call(2, MODELS[0], 3_600), at(5)), "another patient's is not");
    contracts.roll_back(3);
    assert!(contracts.trigger(&trigger, at(5)), "its block is gone");
}

#[test]
fn a_model_triggers_only_while_it_is_approved() {
    let mut contracts = hygeia_sim_evm::found(PATIENTS);
    let of_second = call(1, MODELS[1], 3_600);
    assert!(contracts.refuses(&of_second, at(1)), "not approved yet");
    contracts.decide(Decision::Approve(MODELS[1]), at(1));
    contracts.decide(Decision::Suspend(MODELS[0]), at(1));
    assert!(!contracts.refuses(&of_second, at(2)) && contracts.refuses(&call(1, MODELS[0], 3_600), at(2)));
    contracts.decide(Decision::Approve(MODELS[0]), at(2));
    assert!(contracts.trigger(&call(1, MODELS[0], 3_600), at(3)));
}

#[test]
fn a_window_of_the_future_is_refused() {
    let mut contracts = hygeia_sim_evm::found(PATIENTS);
    assert!(contracts.refuses(&call(1, MODELS[0], 2 * 3_600), at(1)));
}

#[test]
fn real_contracts_and_the_model_of_the_chain_say_the_same() {
    for seed in 0..4 {
        let setup = Setup { contracts: Some(hygeia_sim_evm::found), ..Setup::of_seed(seed, PATIENTS, 10) };
        let ended = run(setup);
        assert_eq!(ended.outcome, Ok(()), "seed {seed}, step {}", ended.steps);
        assert!(ended.counts.settlements > 0, "seed {seed} settles nothing");
    }
}
