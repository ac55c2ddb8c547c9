//! How the guard does: what it marks on the data at hand, and what it marks of inputs that were spoilt on purpose.

use serde::Serialize;

use super::EvaluateError;
use crate::dataset::Table;
use crate::engine::EngineError;
use crate::guard::Guard;
use crate::metrics::auroc;
use crate::network::IntegerNetwork;
use crate::package::ModelPackage;
use crate::sequence::Sequence;

/// One row in so many is spoilt, once in each way.
const SPOIL_EVERY: usize = 25;
/// Features that take another patient's values where only some do.
const SWAPPED: usize = 8;

/// What the guard marks as outside the validated range.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RangeReport {
    /// Share of the rows.
    pub rows_outside: f64,
    /// Share of the stays with at least one such row.
    pub stays_outside: f64,
    /// Area under the receiver operating characteristic of the model on the rows inside.
    pub auroc_inside: Option<f64>,
    /// The same on the rows outside; nothing where they are of one label.
    pub auroc_outside: Option<f64>,
    /// Inputs spoilt on purpose.
    pub spoilt: Vec<Spoilt>,
}

/// One way to spoil an input, and how often the guard notices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spoilt {
    /// What was done.
    pub how: &'static str,
    /// Share of the spoilt rows that are marked.
    pub marked: f64,
}

/// Spoils a row. It is given another row too.
type Spoil = fn(&mut [i32], &[i32], &[(i32, i32)], &mut Sequence);

/// Faults that happen to systems: a unit mistaken, a sensor stuck at its end, patients or columns mixed up.
const WAYS: [(&str, Spoil); 6] = [
    ("one value at the end of its range", |row, _, bounds, draw| {
        let feature = draw.below(row.len());
        row[feature] = if draw.below(2) == 0 { bounds[feature].0 } else { bounds[feature].1 };
    }),
    ("five values at the ends of their ranges", |row, _, bounds, draw| {
        for _ in 0..5 {
            let feature = draw.below(row.len());
            row[feature] = if draw.below(2) == 0 { bounds[feature].0 } else { bounds[feature].1 };
        }
    }),
    ("eight values of another patient", |row, other, _, draw| {
        for feature in draw.permutation(row.len()).into_iter().take(SWAPPED) {
            row[feature] = other[feature];
        }
    }),
    ("every sign turned", |row, _, _, _| row.iter_mut().for_each(|x| *x = -*x)),
    ("columns shifted by one", |row, _, _, _| row.rotate_right(1)),
    ("noise over the whole range", |row, _, bounds, draw| {
        for (x, &(low, high)) in row.iter_mut().zip(bounds) {
            *x = low + draw.below((high - low + 1) as usize) as i32;
        }
    }),
];

/// Judges every row, and spoilt copies of some. `scores` are the model's.
pub(super) fn report(package: &ModelPackage, table: &Table, scores: &[i64]) -> Result<RangeReport, EvaluateError> {
    let judge = Judge { guard: package.guard(), network: package.network() };
    let outside: Vec<bool> =
        (0..table.rows()).map(|row| judge.is_outside(&input(table, row))).collect::<Result<_, _>>()?;
    let mut start = 0;
    let stays_outside = table.labels_by_stay().filter(|labels| {
        start += labels.len();
        outside[start - labels.len()..start].contains(&true)
    });
    let stays_outside = stays_outside.count() as f64 / table.stays().max(1) as f64;
    let area = |marked: bool| {
        let rows = || (0..table.rows()).filter(|&row| outside[row] == marked);
        let scores: Vec<i64> = rows().map(|row| scores[row]).collect();
        auroc(&scores, &rows().map(|row| table.labels()[row]).collect::<Vec<_>>())
    };
    Ok(RangeReport {
        rows_outside: share(outside.iter().copied()),
        stays_outside,
        auroc_inside: area(false),
        auroc_outside: area(true),
        spoilt: WAYS.iter().map(|&(how, spoil)| spoilt(how, spoil, &judge, table)).collect::<Result<_, _>>()?,
    })
}

fn spoilt(how: &'static str, spoil: Spoil, judge: &Judge<'_>, table: &Table) -> Result<Spoilt, EvaluateError> {
    let bounds = judge.network.input_bounds();
    let mut draw = Sequence::new(1);
    let mut marked = Vec::new();
    for row in (0..table.rows()).step_by(SPOIL_EVERY) {
        let mut features = input(table, row);
        let other = input(table, draw.below(table.rows()));
        spoil(&mut features, &other, bounds, &mut draw);
        for (x, &(low, high)) in features.iter_mut().zip(bounds) {
            *x = (*x).clamp(low, high);
        }
        marked.push(judge.is_outside(&features)?);
    }
    Ok(Spoilt { how, marked: share(marked.into_iter()) })
}

struct Judge<'p> {
    guard: &'p Guard,
    network: &'p IntegerNetwork,
}

impl Judge<'_> {
    fn is_outside(&self, features: &[i32]) -> Result<bool, EvaluateError> {
        let evaluation = self.network.evaluate(features).map_err(|source| EngineError::Input { row: 0, source })?;
        Ok(!self.guard.judge(features, &evaluation.activations).is_inside())
    }
}

fn input(table: &Table, row: usize) -> Vec<i32> {
    table.features(row).iter().copied().map(i32::from).collect()
}

fn share(marks: impl ExactSizeIterator<Item = bool>) -> f64 {
    let count = marks.len().max(1);
    marks.filter(|&mark| mark).count() as f64 / count as f64
}
