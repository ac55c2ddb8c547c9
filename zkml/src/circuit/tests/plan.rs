//! Plans: what is chosen for which goal, what has none, and that it is what the constraint system becomes.

use expect_test::expect;

use super::*;
use crate::{
    circuit::plan::{LANES_MIN, LayerShape, PlanError, Shape, UNUSABLE_ROWS},
    fixtures::{CONV_24X8, random_convolutions},
};

fn chosen(shape: &Shape, goal: Goal) -> String {
    Plan::choose(shape, goal).unwrap().to_string()
}

fn conv_24x8() -> Shape {
    Shape::of(&random_convolutions(CONV_24X8, 1, (-4096, 4096)))
}

#[test]
fn plans_are_the_expected_ones() {
    let lines = [
        chosen(&Shape::dense(&[48, 64, 32, 1]), Goal::Latency),
        chosen(&Shape::dense(&[64, 64, 32, 1]), Goal::Latency),
        chosen(&Shape::dense(&[64, 64, 32, 1]), Goal::Gas),
        chosen(&Shape::dense(&[64, 256, 64, 1]), Goal::Latency),
        chosen(&Shape::dense(&[64, 256, 64, 1]), Goal::Gas),
        chosen(&conv_24x8(), Goal::Latency),
        chosen(&conv_24x8(), Goal::Gas),
    ];
    expect![[r#"
        network 48-64-32-1: k 11, 1663 of 2039 rows, 7 advice and 8 fixed columns (4 of weights), proof of 1760 bytes
        network 64-64-32-1: k 11, 1919 of 2039 rows, 7 advice and 8 fixed columns (4 of weights), proof of 1760 bytes
        network 64-64-32-1: k 11, 1919 of 2039 rows, 7 advice and 8 fixed columns (4 of weights), proof of 1760 bytes
        network 64-256-64-1: k 12, 3944 of 4087 rows, 7 advice and 14 fixed columns (10 of weights), proof of 1952 bytes
        network 64-256-64-1: k 13, 7176 of 8183 rows, 7 advice and 9 fixed columns (5 of weights), proof of 1792 bytes
        network 192-352-320-1: k 12, 4075 of 4087 rows, 7 advice and 10 fixed columns (5 of weights), proof of 1888 bytes
        network 192-352-320-1: k 13, 4111 of 8183 rows, 7 advice and 9 fixed columns (4 of weights), proof of 1856 bytes"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn impossible_shapes_have_no_plan() {
    for dims in [vec![], vec![4], vec![4, 2], vec![0, 1], vec![4, 0, 1], vec![2000, 1]] {
        let refused = Plan::choose(&Shape::dense(&dims), Goal::Latency);
        assert!(matches!(refused, Err(PlanError::Shape(_))), "{dims:?}");
    }
    for goal in [Goal::Latency, Goal::Gas] {
        let refused = Plan::choose(&Shape::dense(&[1024, 1024, 1024, 1]), goal);
        assert!(matches!(refused, Err(PlanError::TooLarge { .. })));
    }
    let crowded = Plan { k: 11, lanes: 4, shape: Shape::dense(&[64, 96, 32, 1]) };
    assert!(matches!(crowded.check(), Err(PlanError::TooLarge { .. })));
    let conv = |channels, kernel, outputs| {
        let layers = vec![LayerShape::Conv1d { channels, kernel, outputs }, LayerShape::Dense { outputs: 1 }];
        Plan { k: 11, lanes: LANES_MIN, shape: Shape { inputs: 12, layers } }.check()
    };
    assert_eq!(conv(2, 3, 4), Ok(()));
    // No whole steps, one step only, no channels, a kernel of no step, numbers that overflow.
    for (channels, kernel, outputs) in
        [(5, 1, 4), (2, 6, 4), (2, 7, 4), (0, 1, 4), (2, 0, 4), (2, 2, 0), (2, 2, usize::MAX), (2, usize::MAX, 2)]
    {
        assert!(matches!(conv(channels, kernel, outputs), Err(PlanError::Shape(_))), "{channels} {kernel} {outputs}");
    }
    let lanes = Plan { k: 11, lanes: 0, shape: Shape::dense(&[4, 1]) };
    assert!(matches!(lanes.check(), Err(PlanError::TooLarge { .. })));
}

#[test]
fn a_circuit_has_few_different_convolutions() {
    let deep = |kernels: &[[usize; 2]]| {
        let network = random_convolutions(([40, 2], kernels, &[1]), 1, (-2, 2));
        Plan::choose(&Shape::of(&network), Goal::Latency)
    };
    assert_eq!(deep(&[[2, 3], [2, 4], [2, 5], [2, 3]]).unwrap().jumps().len(), 4);
    let refused = deep(&[[2, 3], [2, 4], [2, 5], [2, 6], [2, 3]]);
    assert!(matches!(refused, Err(PlanError::Convolutions(5))), "{refused:?}");
}

/// The degree, the blinding rows, and what the plan says of columns and proofs.
#[test]
fn the_constraint_system_is_the_planned_one() {
    for shape in [Shape::dense(&[64, 64, 32, 1]), Shape::dense(&[1, 1]), conv_24x8()] {
        let plan = Plan::choose(&shape, Goal::Latency).unwrap();
        let mut meta = ConstraintSystem::default();
        configure(&mut meta, &plan);
        assert_eq!(gate_degree(&meta), DEGREE);
        assert_eq!(meta.degree(), DEGREE);
        assert_eq!(meta.blinding_factors() + 1, UNUSABLE_ROWS);
        assert!(meta.lookups().is_empty() && meta.permutation().get_columns().is_empty());
        assert_eq!(meta.num_fixed_columns(), plan.fixed_columns());
        let scalars = meta.advice_queries().len() + meta.fixed_queries().len() + 1;
        assert_eq!(plan.proof_bytes(), 64 * (meta.num_advice_columns() + 7) + 32 * scalars);
    }
}
