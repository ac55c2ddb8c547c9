//! The teacher: boosted trees, cross-fitted, whose opinion of a row is a target that says more than its label.
//!
//! A label is a coin thrown once; the trees' probability is closer to the coin's bias, and a small network that learns
//! it does better on unseen stays than one that learns the labels alone (Hinton, Vinyals and Dean 2015). Trees are
//! fitted to what the utility stakes on a row, as the network is. They are no part of the model: nothing of them is
//! shipped, served or proved.

use forust_ml::gradientbooster::GrowPolicy;
use forust_ml::sampler::SampleMethod;
use forust_ml::{GradientBooster, Matrix};

use super::{Progress, Teacher, TrainError};
use crate::dataset::Table;

/// 1.0 as a feature.
const ONE: f64 = 1024.0;

/// For each row of `table` the probability that alerting on it pays, as trees see it that were not fitted to its stay.
///
/// `folds` says for each stay which part it belongs to; `stakes` what alerting on a row is worth.
pub(super) fn opinions(
    teacher: &Teacher,
    seed: u64,
    table: &Table,
    folds: &[u8],
    stakes: &[f64],
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<f32>, TrainError> {
    let fold_of_row: Vec<u8> =
        table.labels_by_stay().zip(folds).flat_map(|(labels, &fold)| labels.iter().map(move |_| fold)).collect();
    let mut opinions = vec![0.0; table.rows()];
    for fold in 0..teacher.folds {
        let (fitted, judged): (Vec<usize>, Vec<usize>) = (0..table.rows()).partition(|&row| fold_of_row[row] != fold);
        if judged.is_empty() {
            continue;
        }
        let trees = fit(teacher, seed ^ u64::from(fold), table, &fitted, stakes)?;
        let judged_columns = columns(table, &judged);
        let logits = trees.predict(&Matrix::new(&judged_columns, judged.len(), table.width()), true);
        for (&row, logit) in judged.iter().zip(logits) {
            opinions[row] = (1.0 / (1.0 + (-logit).exp())) as f32;
        }
        progress(Progress::Teacher { fold: usize::from(fold) + 1, folds: usize::from(teacher.folds) });
    }
    Ok(opinions)
}

/// Trees for the sign of what is at stake, weighed by its size.
fn fit(
    teacher: &Teacher,
    seed: u64,
    table: &Table,
    rows: &[usize],
    stakes: &[f64],
) -> Result<GradientBooster, TrainError> {
    let pays: Vec<f64> = rows.iter().map(|&row| f64::from(u8::from(stakes[row] > 0.0))).collect();
    let total: f64 = rows.iter().map(|&row| stakes[row].abs()).sum();
    if !pays.contains(&1.0) || !pays.contains(&0.0) {
        return Err(TrainError::OneClass("fitted"));
    }
    let scale = rows.len() as f64 / total;
    let weights: Vec<f64> = rows.iter().map(|&row| stakes[row].abs() * scale).collect();
    let mut trees = GradientBooster::default()
        .set_iterations(teacher.trees)
        .set_learning_rate(teacher.learning_rate)
        .set_max_depth(teacher.depth)
        .set_max_leaves(teacher.leaves)
        .set_l2(teacher.l2)
        .set_min_leaf_weight(teacher.leaf_weight)
        .set_colsample_bytree(teacher.feature_share)
        .set_subsample(teacher.row_share)
        .set_sample_method(if teacher.row_share < 1.0 { SampleMethod::Random } else { SampleMethod::None })
        .set_seed(seed);
    trees.grow_policy = GrowPolicy::LossGuide;
    let fitted = columns(table, rows);
    trees.fit(&Matrix::new(&fitted, rows.len(), table.width()), &pays, &weights, None).map_err(TrainError::Teacher)?;
    Ok(trees)
}

/// Features of some rows as floats, column by column.
fn columns(table: &Table, rows: &[usize]) -> Vec<f64> {
    let column = |feature: usize| rows.iter().map(move |&row| f64::from(table.features(row)[feature]) / ONE);
    (0..table.width()).flat_map(column).collect()
}
