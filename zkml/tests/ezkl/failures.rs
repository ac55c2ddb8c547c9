//! Workers that die, hang, lie, or run out of what they may have. The next proof works.

use std::time::Duration;

use hygeia_zkml::engine::ezkl::{Backend, EzklConfig, EzklError, Fault, ProofFault, WorkerError};
use hygeia_zkml::{Engine, ProveError, VerifyError};

use super::{WORKER, before_proving, config, engine, engine_with, window};

/// A marker below the worker's home folder, which all workers of an engine share: something happens in the first life only.
const IS_FIRST_LIFE: &str = "first = not os.path.exists(os.path.join(os.environ['HOME'], 'died'))";
const REMEMBER: &str = "first and open(os.path.join(os.environ['HOME'], 'died'), 'w').close()";

fn refused(program: String) -> ProveError {
    let (features, salt) = window(20);
    engine_with(program).prove(&features, &salt).expect_err("the worker does not do what it should")
}

fn fails_once_then_proves(engine: hygeia_zkml::EzklEngine, expected: WorkerError) {
    let (features, salt) = window(21);
    assert_eq!(engine.prove(&features, &salt), Err(ProveError::Ezkl(ProofFault::Worker(expected))));
    let proof = engine.prove(&features, &salt).expect("another worker took its place");
    assert_eq!(engine.verify(&proof.public, &proof.bytes), Ok(()));
}

/// A child of the worker ends it when it has used a tenth of a second of processor time on the proof.
#[test]
fn a_worker_killed_in_mid_proof_is_replaced() {
    let program = before_proving(&[
        IS_FIRST_LIFE,
        REMEMBER,
        "worker_id = os.getpid()",
        "used = lambda: sum(map(int, open(f'/proc/{worker_id}/stat').read().rsplit(')', 1)[1].split()[11:13]))",
        "start = used()",
        "if first and os.fork() == 0:",
        "    while used() < start + 10: pass",
        "    os.kill(worker_id, signal.SIGKILL)",
        "    os._exit(0)",
    ]);
    fails_once_then_proves(engine_with(program), WorkerError::Killed(9));
}

#[test]
fn a_worker_that_hangs_is_ended_in_time() {
    let program = before_proving(&[IS_FIRST_LIFE, REMEMBER, "first and __import__('time').sleep(3600)"]);
    let hanging = engine(EzklConfig { program: program.into(), timeout: Duration::from_secs(15), ..config() });
    fails_once_then_proves(hanging, WorkerError::TimedOut(15));
}

#[test]
fn a_worker_that_turns_in_circles_runs_out_of_processor_time() {
    let program = before_proving(&[IS_FIRST_LIFE, REMEMBER, "first and limit_cpu(0)", "while first: pass"]);
    fails_once_then_proves(engine_with(program), WorkerError::CpuTime);
}

/// The first worker may have no more memory than it already has when it begins to prove.
#[test]
fn a_worker_out_of_memory_says_so() {
    let program = before_proving(&[
        IS_FIRST_LIFE,
        REMEMBER,
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()",
        "first and resource.setrlimit(resource.RLIMIT_AS, (size, size))",
    ]);
    fails_once_then_proves(engine_with(program), WorkerError::OutOfMemory);
}

#[test]
fn a_worker_that_cannot_even_load_ezkl_is_an_error() {
    let refused = |config: EzklConfig| {
        let network = super::network(1);
        match hygeia_zkml::EzklEngine::open_development(&network, super::SCHEMA, &super::CACHE, &config) {
            Err(EzklError::Worker(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    std::sync::LazyLock::force(&super::ENGINE);
    let error = refused(EzklConfig { memory_bytes: 32 << 20, ..config() });
    let expected = [WorkerError::Failed(Fault::Import), WorkerError::OutOfMemory, WorkerError::Ended];
    assert!(expected.contains(&error), "{error:?}");
    let gone = refused(EzklConfig { python: "/nowhere/python".into(), ..config() });
    assert_eq!(gone, WorkerError::Start(std::io::ErrorKind::NotFound));
}

/// EZKL proves a witness whose output was forged. What comes of it must never leave.
#[test]
fn a_forged_score_is_refused() {
    const FORGE: [&str; 5] = [
        "forged = witness.json()",
        "honest = forged['outputs'][0][0]",
        "forged['outputs'][0][0] = (int.from_bytes(bytes.fromhex(honest), 'little') + 1).to_bytes(32, 'little').hex()",
        "os.ftruncate(witness.descriptor, 0)",
        "os.pwrite(witness.descriptor, json.dumps(forged).encode(), 0)",
    ];
    assert_eq!(refused(before_proving(&FORGE)), ProveError::Ezkl(ProofFault::Score));
    // A worker that tells the true score beside the forged proof is found out by the verification.
    let answer = "return {\"proof\": bytes(made[\"proof\"]).hex(), \"instances\": made[\"instances\"][0]}";
    let covered = before_proving(&FORGE).replace(answer, "made['instances'][0][1] = honest\n        ANSWER");
    let covered = covered.replace("ANSWER", answer);
    assert!(covered.contains("= honest\n        return"), "the program answers with this line");
    assert_eq!(refused(covered), ProveError::SelfVerificationFailed(VerifyError::Rejected));
}

#[test]
fn a_proof_of_another_window_is_refused() {
    let program = WORKER.replace("data = text_of(request[\"lanes\"])", "data = text_of([0] + request[\"lanes\"][1:])");
    assert_ne!(program, WORKER);
    assert_eq!(refused(program), ProveError::Ezkl(ProofFault::Commitment));
}

#[test]
fn a_proof_of_another_length_is_refused() {
    let program = WORKER.replace("bytes(made[\"proof\"]).hex()", "bytes(made[\"proof\"]).hex() + \"00\"");
    assert_ne!(program, WORKER);
    assert_eq!(refused(program), ProveError::Ezkl(ProofFault::Length));
}

#[test]
fn an_answer_that_makes_no_sense_is_refused() {
    let answer = |line: &str| before_proving(&[&format!("os.write(3, b'{line}\\n')"), "sys.exit()"]);
    let malformed = ProveError::Ezkl(ProofFault::Worker(WorkerError::Answer));
    for line in [
        "hello",
        "{\"done\": 7}",
        "{\"done\": {\"proof\": \"00\"}}",
        "{\"failed\": \"what it likes\"}",
        "{\"other\": {}}",
    ] {
        assert_eq!(refused(answer(line)), malformed, "{line}");
    }
    let few = answer("{\"done\": {\"proof\": \"00\", \"instances\": [\"00\"]}}");
    assert_eq!(refused(few), malformed);
    let endless = before_proving(&["while True: os.write(3, b\"x\" * 65536)"]);
    assert_eq!(refused(endless), malformed);
}

#[test]
fn a_panic_is_told_apart() {
    let panicking = before_proving(&["call(\"prove\", lambda: (_ for _ in ()).throw(BaseException(\"a panic\")))"]);
    assert_eq!(refused(panicking), ProveError::Panicked);
}

/// A stand-in for a build with ICICLE: it says that it is one.
fn with_gpu(program: &str) -> hygeia_zkml::EzklEngine {
    let said = program.replace("GPU_MARK in content", "True");
    assert_ne!(said, program, "the program looks for the mark here");
    engine(EzklConfig { program: said.into(), gpu: true, ..config() })
}

#[test]
fn a_gpu_that_works_is_used_and_one_that_fails_is_given_up() {
    let told = "'ENABLE_ICICLE_GPU' in os.environ";
    assert_eq!(with_gpu(&before_proving(&[&format!("assert {told}")])).backend(), Backend::Icicle);
    let engine = with_gpu(&before_proving(&[&format!("{told} and os.abort()")]));
    assert_eq!(engine.backend(), Backend::Cpu);
    let (features, salt) = window(22);
    assert!(engine.prove(&features, &salt).is_ok());
}
