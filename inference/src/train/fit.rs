//! The gradient descent itself, on candle.
//!
//! Weights are averaged exponentially over the steps, and it is the average that is judged and kept: it is smoother
//! than any single step and does better on stays that were not fitted.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

use super::{Progress, TrainConfig, TrainError};
use crate::dataset::Table;
use crate::metrics::{self, Utility};
use crate::quantise::{FloatDense, FloatLayer};
use crate::sequence::Sequence;

/// Share of the average that one step leaves in place: a memory of about 500 steps.
const AVERAGE_KEEP: f64 = 0.998;
/// Share of all steps over which the learning rate rises to its peak.
const WARM_UP: f64 = 0.05;
/// Rows scored at once outside training.
const SCORE_ROWS: usize = 8192;
/// 1.0 as a feature.
const ONE: f32 = 1024.0;
/// Logits to the integers that ranking measures take: a millionth keeps every order that matters.
const RANK_SCALE: f64 = 1e6;

/// What fitting gives.
pub(super) struct Fitted {
    pub layers: Vec<FloatLayer>,
    pub epoch_best: usize,
    pub epochs: usize,
}

/// Fits the network to the rows of `table`, judged after each epoch on the rows of `selection`.
pub(super) fn fit(
    config: &TrainConfig,
    table: &Table,
    selection: &Table,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fitted, TrainError> {
    let mut draw = Sequence::new(config.seed);
    let dims: Vec<usize> =
        std::iter::once(table.width()).chain(config.hidden.iter().copied()).chain(std::iter::once(1)).collect();
    let model = Model::new(&dims, &mut draw)?;
    let mut average = Average::new(&model)?;
    let rows = Rows::new(table, config);
    let mut optimizer = AdamW::new(
        model.variables(),
        ParamsAdamW { lr: config.learning_rate, weight_decay: config.weight_decay, ..ParamsAdamW::default() },
    )?;
    let judge = Judge { utility: Utility::new(selection.labels_by_stay()), table: selection };
    let steps_all = config.epochs * table.rows().div_ceil(config.batch_rows);
    let (mut step, mut best): (usize, Option<Best>) = (0, None);
    for epoch in 1..=config.epochs {
        let mut loss_sum = 0.0;
        for batch in draw.permutation(table.rows()).chunks(config.batch_rows) {
            optimizer.set_learning_rate(config.learning_rate * schedule(step as f64 / steps_all as f64));
            let loss = rows.loss(batch, &model, config.dropout, &mut draw)?;
            optimizer.backward_step(&loss)?;
            average.step(&model, step)?;
            loss_sum += f64::from(loss.to_scalar::<f32>()?) * batch.len() as f64;
            step += 1;
        }
        let judged = judge.judge(&average.model)?;
        let better = best.as_ref().is_none_or(|best| judged.value() > best.value);
        progress(Progress::Epoch {
            epoch,
            epochs: config.epochs,
            loss: loss_sum / table.rows() as f64,
            auroc: judged.auroc,
            utility: judged.utility,
            best: better,
        });
        if better {
            best = Some(Best { epoch, value: judged.value(), layers: average.model.to_layers()? });
        }
        let stale = best.as_ref().is_some_and(|best| epoch - best.epoch >= config.patience);
        if stale || epoch == config.epochs {
            let best = best.ok_or(TrainError::OneClass("selection"))?;
            return Ok(Fitted { layers: best.layers, epoch_best: best.epoch, epochs: epoch });
        }
    }
    Err(TrainError::Config("epochs"))
}

/// Factor of the learning rate at a share of all steps: a linear rise, then half a cosine down.
fn schedule(share: f64) -> f64 {
    if share < WARM_UP {
        return (share / WARM_UP).max(0.01);
    }
    let fall = (share - WARM_UP) / (1.0 - WARM_UP);
    0.5 * (1.0 + (std::f64::consts::PI * fall).cos())
}

/// The weights to keep so far.
struct Best {
    epoch: usize,
    value: f64,
    layers: Vec<FloatLayer>,
}

/// Fully connected layers: weights `[out, in]`, bias `[out]`.
struct Model(Vec<(Var, Var)>);

impl Model {
    /// Weights uniform in +-sqrt(6 / inputs) (He et al. 2015), biases 0.
    fn new(dims: &[usize], draw: &mut Sequence) -> Result<Self, TrainError> {
        let layer = |pair: &[usize]| {
            let bound = (6.0 / pair[0] as f64).sqrt();
            let flat: Vec<f32> = (0..pair[0] * pair[1]).map(|_| ((2.0 * draw.unit() - 1.0) * bound) as f32).collect();
            let weights = Tensor::from_vec(flat, (pair[1], pair[0]), &Device::Cpu)?;
            let bias = Tensor::zeros(pair[1], DType::F32, &Device::Cpu)?;
            Ok((Var::from_tensor(&weights)?, Var::from_tensor(&bias)?))
        };
        dims.windows(2).map(layer).collect::<Result<_, _>>().map(Self)
    }

    fn variables(&self) -> Vec<Var> {
        self.0.iter().flat_map(|(weights, bias)| [weights.clone(), bias.clone()]).collect()
    }

    /// Logits `[rows]` of inputs `[rows, in]`; `drop` changes each hidden activation tensor.
    fn forward(
        &self,
        x: &Tensor,
        mut drop: impl FnMut(Tensor) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Tensor> {
        let mut x = x.clone();
        for (index, (weights, bias)) in self.0.iter().enumerate() {
            x = x.matmul(&weights.t()?)?.broadcast_add(bias)?;
            if index + 1 < self.0.len() {
                x = drop(x.relu()?)?;
            }
        }
        x.squeeze(1)
    }

    fn to_layers(&self) -> Result<Vec<FloatLayer>, TrainError> {
        let layer = |(weights, bias): &(Var, Var)| {
            Ok(FloatDense { weights: weights.to_vec2::<f32>()?, bias: bias.to_vec1::<f32>()? }.into())
        };
        self.0.iter().map(layer).collect()
    }
}

/// The exponential average of a model's weights over the steps.
struct Average {
    model: Model,
}

impl Average {
    fn new(model: &Model) -> Result<Self, TrainError> {
        let copy = |(w, b): &(Var, Var)| Ok((Var::from_tensor(&w.copy()?)?, Var::from_tensor(&b.copy()?)?));
        let layers = model.0.iter().map(copy).collect::<candle_core::Result<_>>()?;
        Ok(Self { model: Model(layers) })
    }

    /// The first steps weigh more, so that the initial weights are forgotten.
    fn step(&mut self, model: &Model, step: usize) -> Result<(), TrainError> {
        let keep = AVERAGE_KEEP.min((1.0 + step as f64) / (10.0 + step as f64));
        for (average, current) in self.model.variables().iter().zip(model.variables()) {
            let mixed = ((average.as_tensor() * keep)? + (current.as_tensor().detach() * (1.0 - keep))?)?;
            average.set(&mixed)?;
        }
        Ok(())
    }
}

/// The rows to fit, each with a target between 0 and 1 and a weight whose mean over all rows is 1.
struct Rows<'t> {
    table: &'t Table,
    targets: Vec<f32>,
    weights: Vec<f32>,
}

impl<'t> Rows<'t> {
    /// Mixes two views of a row: its label, weighed by class, and whether the utility would have it alerted, weighed
    /// by what is at stake. Both views have the same total weight before they are mixed.
    fn new(table: &'t Table, config: &TrainConfig) -> Self {
        let by_class: Vec<f64> =
            table.labels().iter().map(|&label| if label { config.positive_weight } else { 1.0 }).collect();
        let stakes: Vec<f64> = Utility::new(table.labels_by_stay()).stakes().collect();
        let (class_sum, stake_sum) = (by_class.iter().sum::<f64>(), stakes.iter().map(|s| s.abs()).sum::<f64>());
        let rows = table.rows() as f64;
        let (class_share, stake_share) = (1.0 - config.stake_share, config.stake_share);
        let mixed = table.labels().iter().zip(by_class).zip(stakes).map(|((&label, class), stake)| {
            let class = class * class_share * rows / class_sum;
            let stake_weight = stake.abs() * stake_share * rows / stake_sum;
            let weight = class + stake_weight;
            let positive = if label { class } else { 0.0 } + if stake > 0.0 { stake_weight } else { 0.0 };
            (if weight > 0.0 { positive / weight } else { 0.0 } as f32, weight as f32)
        });
        let (targets, weights) = mixed.unzip();
        Self { table, targets, weights }
    }

    /// Mean weighted cross-entropy of the logits of some rows.
    fn loss(&self, rows: &[usize], model: &Model, dropout: f64, draw: &mut Sequence) -> candle_core::Result<Tensor> {
        let pick = |values: &[f32]| -> candle_core::Result<Tensor> {
            Tensor::from_vec(rows.iter().map(|&row| values[row]).collect::<Vec<_>>(), rows.len(), &Device::Cpu)
        };
        let x = inputs(self.table, rows.iter().copied())?;
        let z = model.forward(&x, |x| drop_out(x, dropout, draw))?;
        // softplus(z) - target * z, in the form that does not overflow.
        let softplus = (z.relu()? + (z.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
        let loss = (softplus - (z * pick(&self.targets)?)?)?;
        (loss * pick(&self.weights)?)?.mean_all()
    }
}

/// Sets a share of the activations to 0 and scales up the others.
fn drop_out(x: Tensor, share: f64, draw: &mut Sequence) -> candle_core::Result<Tensor> {
    if share == 0.0 {
        return Ok(x);
    }
    let kept = (1.0 / (1.0 - share)) as f32;
    let mask: Vec<f32> = (0..x.elem_count()).map(|_| if draw.unit() < share { 0.0 } else { kept }).collect();
    let mask = Tensor::from_vec(mask, x.dims(), x.device())?;
    x * mask
}

/// Features of rows as floats, `[rows, in]`.
fn inputs(table: &Table, rows: impl ExactSizeIterator<Item = usize>) -> candle_core::Result<Tensor> {
    let shape = (rows.len(), table.width());
    let flat: Vec<f32> = rows.flat_map(|row| table.features(row)).map(|&x| f32::from(x) / ONE).collect();
    Tensor::from_vec(flat, shape, &Device::Cpu)
}

/// Judges weights by the selection stays.
struct Judge<'t> {
    utility: Utility,
    table: &'t Table,
}

struct Judged {
    auroc: f64,
    utility: f64,
}

impl Judged {
    /// What is maximised: ranking of all rows and use at the best threshold count alike.
    fn value(&self) -> f64 {
        self.auroc + self.utility
    }
}

impl Judge<'_> {
    fn judge(&self, model: &Model) -> Result<Judged, TrainError> {
        let mut scores = Vec::with_capacity(self.table.rows());
        for start in (0..self.table.rows()).step_by(SCORE_ROWS) {
            let rows = start..(start + SCORE_ROWS).min(self.table.rows());
            let logits = model.forward(&inputs(self.table, rows)?.detach(), Ok)?.to_vec1::<f32>()?;
            scores.extend(logits.into_iter().map(|logit| (f64::from(logit) * RANK_SCALE) as i64));
        }
        let one_class = || TrainError::OneClass("selection");
        let auroc = metrics::auroc(&scores, self.table.labels()).ok_or_else(one_class)?;
        let (_, utility) = self.utility.best_threshold(&scores).ok_or_else(one_class)?;
        Ok(Judged { auroc, utility })
    }
}
