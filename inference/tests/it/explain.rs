//! Explanations add up, and point where a linear network points.

use hygeia_inference::explain::ExplainError;
use hygeia_inference::{Dense, FeatureSchema, IntegerNetwork, ModelPackage, NetworkError, explain};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn points_add_up_to_the_score_exactly() {
    let model = ModelPackage::default_model();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..100 {
        let features: Vec<i32> = model.schema().bounds().iter().map(|&(low, high)| rng.gen_range(low..=high)).collect();
        let explanation = explain(model.network(), model.schema(), &features).unwrap();
        let points: i64 = explanation.contributions.iter().map(|c| c.points).sum();
        assert_eq!(explanation.score, model.network().score(&features).unwrap());
        assert_eq!(explanation.baseline + points, explanation.score);
        assert!(explanation.contributions.windows(2).all(|pair| pair[0].points.abs() >= pair[1].points.abs()));
        assert_eq!(explain(model.network(), model.schema(), &features).unwrap(), explanation);
    }
}

#[test]
fn a_linear_network_is_explained_by_its_own_terms() {
    let schema = FeatureSchema::v2();
    let mut weights = vec![0; schema.len()];
    let place = |name: &str| schema.list().iter().position(|feature| feature.name == name).unwrap();
    weights[place("heart_rate.value")] = 1024;
    weights[place("heart_rate.delta")] = 2048;
    weights[place("patient.age")] = -1024;
    let network =
        IntegerNetwork::new(vec![Dense { weights: vec![weights], bias: vec![7 << 20] }.into()], schema.bounds());
    let mut features = vec![0; schema.len()];
    features[place("heart_rate.value")] = 100;
    features[place("heart_rate.delta")] = 10;
    features[place("patient.age")] = 50;
    let explanation = explain(&network.unwrap(), &schema, &features).unwrap();
    assert_eq!((explanation.baseline, explanation.score), (7 << 10, (7 << 10) + 70));
    let [first, second, rest @ ..] = explanation.contributions.as_slice() else { panic!("too few") };
    assert_eq!((first.name, first.points), ("heart_rate", 120));
    assert_eq!((second.name, second.points), ("patient.age", -50));
    assert!(rest.iter().all(|contribution| contribution.points == 0));
    assert_eq!(explanation.contributions.len(), 22 + 5);
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = ModelPackage::default_model();
    let short = explain(model.network(), model.schema(), &[0; 3]);
    assert_eq!(
        short,
        Err(ExplainError::Network(NetworkError::InputLength { expected: model.schema().len(), actual: 3 }))
    );
    let other = explain(model.network(), &model.schema().without_clock(), &vec![0; model.schema().len()]);
    assert_eq!(other, Err(ExplainError::SchemaMismatch));
}
