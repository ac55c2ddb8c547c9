//! Which variables moved a score: an attribution whose points add up to the score exactly.
//!
//! Features are grouped by the variable they are computed from (value, staleness and trend of the heart rate are one
//! player). Starting from the reference patient, whose features are all 0, the groups are switched to the patient's
//! own one after the other, and each group is credited with the change of the score. The credit is averaged over
//! [`ORDERS`] orders of the groups: half of them drawn from a fixed pseudo-random sequence, half their reversals.
//! This is the sampled Shapley value (Castro, Gómez and Tejada 2009) with antithetic pairs; in every order the credits
//! telescope to `score - baseline`, and so does their rounded average, because the rounding is apportioned.

use crate::network::{IntegerNetwork, NetworkError};
use crate::schema::{FeatureSchema, Source, Variable};
use crate::sequence::Sequence;

/// Orders averaged over. Points change by a few per cent beyond this number, and 16 cost under a millisecond.
pub const ORDERS: usize = 16;

/// The score of a window, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Score of the window.
    pub score: i64,
    /// Score of the reference patient: every feature at the population's centre.
    pub baseline: i64,
    /// One entry for each group, the largest magnitude first. Their points add up to `score - baseline`.
    pub contributions: Vec<Contribution>,
}

/// What one variable did to a score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Name of the variable, or `patient.age`, `patient.sex`, `clock`.
    pub name: &'static str,
    /// The variable, if the group is one.
    pub variable: Option<Variable>,
    /// Credit in the score's own unit: 1024 is one unit of the logit.
    pub points: i64,
}

/// Why a window could not be explained.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExplainError {
    /// The network takes another number of inputs than the schema has features.
    #[error("the network does not belong to the schema")]
    SchemaMismatch,
    /// The features, or the reference patient, are not an input of the network.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// Takes the score of a vector of features apart. The same input gives the same points on every machine.
pub fn explain(
    network: &IntegerNetwork,
    schema: &FeatureSchema,
    features: &[i32],
) -> Result<Explanation, ExplainError> {
    if network.input_bounds().len() != schema.len() {
        return Err(ExplainError::SchemaMismatch);
    }
    let score = network.score(features)?;
    let baseline = network.score(&vec![0; features.len()])?;
    let groups = groups(schema);
    let mut credit = vec![0i64; groups.len()];
    let mut draw = Sequence::new(0);
    for _ in 0..ORDERS / 2 {
        let mut order = draw.permutation(groups.len());
        walk(network, features, &groups, &order, baseline, &mut credit)?;
        order.reverse();
        walk(network, features, &groups, &order, baseline, &mut credit)?;
    }
    let points = average(&credit, score - baseline);
    let mut contributions: Vec<_> = groups
        .iter()
        .zip(points)
        .map(|(group, points)| Contribution { name: group.name, variable: group.variable, points })
        .collect();
    contributions.sort_by_key(|c| (std::cmp::Reverse(c.points.abs()), c.name));
    Ok(Explanation { score, baseline, contributions })
}

/// Features that are switched together.
struct Group {
    name: &'static str,
    variable: Option<Variable>,
    members: Vec<usize>,
}

fn groups(schema: &FeatureSchema) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, feature) in schema.list().iter().enumerate() {
        let name = group_name(feature.source);
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.members.push(index),
            None => groups.push(Group { name, variable: feature.source.variable(), members: vec![index] }),
        }
    }
    groups
}

fn group_name(source: Source) -> &'static str {
    match source {
        Source::Value(v) | Source::ValueLog(v) | Source::AgeLog(v) => v.name(),
        Source::Delta(v) | Source::Min(v) | Source::Max(v) => v.name(),
        Source::PatientAge => "patient.age",
        Source::PatientSex => "patient.sex",
        Source::Hours | Source::HoursLog => "clock",
        Source::UnitMedical | Source::UnitSurgical => "patient.unit",
        Source::HoursBeforeIcuLog => "patient.hours_before_icu",
        Source::Hourly(v, _) | Source::HourlyLog(v, _) => v.name(),
    }
}

/// Switches the groups on in one order and adds each one's change of the score to its credit.
fn walk(
    network: &IntegerNetwork,
    features: &[i32],
    groups: &[Group],
    order: &[usize],
    baseline: i64,
    credit: &mut [i64],
) -> Result<(), NetworkError> {
    let mut input = vec![0; features.len()];
    let mut before = baseline;
    for &group in order {
        for &member in &groups[group].members {
            input[member] = features[member];
        }
        let after = network.score(&input)?;
        credit[group] += after - before;
        before = after;
    }
    Ok(())
}

/// Credits over [`ORDERS`], rounded so that they add up to `total`: floors, and one more for the largest remainders.
fn average(credit: &[i64], total: i64) -> Vec<i64> {
    let orders = ORDERS as i64;
    let mut points: Vec<i64> = credit.iter().map(|c| c.div_euclid(orders)).collect();
    let missing = total - points.iter().sum::<i64>();
    let mut by_remainder: Vec<usize> = (0..credit.len()).collect();
    by_remainder.sort_by_key(|&i| (std::cmp::Reverse(credit[i].rem_euclid(orders)), i));
    for &index in by_remainder.iter().take(usize::try_from(missing).unwrap_or(0)) {
        points[index] += 1;
    }
    assert_eq!(points.iter().sum::<i64>(), total, "floors miss less than one point for each group");
    points
}
