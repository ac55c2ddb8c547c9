//! The fit: epochs of gradient descent on candle, judged after each on the selection stays.

use candle_core::{Device, Tensor};

use super::checkpoint::{Checkpoints, Position};
use super::descent::{Descent, snapshot};
use super::network::{Network, drop_out};
use super::{Progress, Split, TrainConfig, TrainError, teacher};
use crate::dataset::Table;
use crate::metrics::{self, Utility};
use crate::quantise::FloatLayer;
use crate::sequence::Sequence;

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

/// Fits the network to the stays to fit, and keeps the weights of the epoch that does best on the selection stays.
pub(super) fn fit(
    config: &TrainConfig,
    split: &Split,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fitted, TrainError> {
    let checkpoints = Checkpoints::new(config.checkpoints.as_deref(), split.digest(config.digest()))?;
    let rows = Rows::new(config, split, &checkpoints, progress)?;
    let mut draw = Sequence::new(config.seed);
    let mut descent = Descent::new(Network::new(&config.architecture, split.fit.width(), &mut draw)?)?;
    let judge = Judge { utility: Utility::new(split.selection.labels_by_stay()), table: &split.selection };
    let mut best: Option<(usize, f64, Vec<Tensor>)> = None;
    let mut done = 0;
    if let Some((position, weights)) = checkpoints.resume(&mut descent)? {
        (draw, done) = (Sequence::new(position.draw), position.epoch);
        best = Some((position.best.0, position.best.1, weights));
        progress(Progress::Resumed { epoch: done });
    }
    while done < config.epochs && best.as_ref().is_none_or(|(epoch, ..)| done - epoch < config.patience) {
        done += 1;
        let loss = epoch(config, &rows, &mut descent, &mut draw)?;
        let judged = judge.judge(&descent.average)?;
        let better = best.as_ref().is_none_or(|(_, value, _)| judged.value() > *value);
        if better {
            best = Some((done, judged.value(), snapshot(&descent.average)?));
        }
        let Judged { auroc, utility } = judged;
        progress(Progress::Epoch { epoch: done, epochs: config.epochs, loss, auroc, utility, best: better });
        if let Some((epoch, value, weights)) = &best {
            let position = Position { epoch: done, step: descent.step, draw: draw.state(), best: (*epoch, *value) };
            checkpoints.save(&descent, weights, position)?;
        }
    }
    let (epoch_best, _, weights) = best.ok_or(TrainError::OneClass("selection"))?;
    for (var, weights) in descent.average.variables().iter().zip(&weights) {
        var.set(weights)?;
    }
    Ok(Fitted { layers: descent.average.to_layers()?, epoch_best, epochs: done })
}

/// One pass over the rows in a new order; the mean loss.
fn epoch(config: &TrainConfig, rows: &Rows, descent: &mut Descent, draw: &mut Sequence) -> Result<f64, TrainError> {
    let count = rows.table.rows();
    let steps_all = config.epochs * count.div_ceil(config.batch_rows);
    let mut loss_sum = 0.0;
    for batch in draw.permutation(count).chunks(config.batch_rows) {
        let learning_rate = config.learning_rate * schedule(descent.step as f64 / steps_all as f64);
        let loss = rows.loss(batch, &descent.network, config.dropout, draw)?;
        descent.descend(&loss.backward()?, learning_rate, config.weight_decay)?;
        loss_sum += f64::from(loss.to_scalar::<f32>()?) * batch.len() as f64;
    }
    Ok(loss_sum / count as f64)
}

/// Factor of the learning rate at a share of all steps: a linear rise, then half a cosine down.
fn schedule(share: f64) -> f64 {
    if share < WARM_UP {
        return (share / WARM_UP).max(0.01);
    }
    let fall = (share - WARM_UP) / (1.0 - WARM_UP);
    0.5 * (1.0 + (std::f64::consts::PI * fall).cos())
}

/// The rows to fit. Whether alerting on a row pays is its target, what is at stake its weight, of mean 1; so the logit
/// is that of "an alert here is worth more than silence", and 0 is where a decision by utility turns.
struct Rows<'t> {
    table: &'t Table,
    targets: Vec<f32>,
    weights: Vec<f32>,
}

impl<'t> Rows<'t> {
    fn new(
        config: &TrainConfig,
        split: &'t Split,
        checkpoints: &Checkpoints,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, TrainError> {
        let table = &split.fit;
        let stakes: Vec<f64> = Utility::new(table.labels_by_stay()).stakes().collect();
        let mut targets: Vec<f32> = stakes.iter().map(|&stake| if stake > 0.0 { 1.0 } else { 0.0 }).collect();
        if let Some(teacher) = &config.teacher {
            let opinions = match checkpoints.opinions()?.filter(|opinions| opinions.len() == targets.len()) {
                Some(opinions) => opinions,
                None => {
                    let folds = split.teacher_folds(teacher.folds);
                    let opinions = teacher::opinions(teacher, config.seed, table, &folds, &stakes, progress)?;
                    checkpoints.save_opinions(&opinions)?;
                    opinions
                }
            };
            for (target, opinion) in targets.iter_mut().zip(opinions) {
                *target += teacher.target_share * (opinion - *target);
            }
        }
        let scale = table.rows() as f64 / stakes.iter().map(|stake| stake.abs()).sum::<f64>();
        let weights = stakes.iter().map(|stake| (stake.abs() * scale) as f32).collect();
        Ok(Self { table, targets, weights })
    }

    /// Mean weighted cross-entropy of the logits of some rows.
    fn loss(
        &self,
        rows: &[usize],
        network: &Network,
        dropout: f64,
        draw: &mut Sequence,
    ) -> candle_core::Result<Tensor> {
        let pick = |values: &[f32]| -> candle_core::Result<Tensor> {
            Tensor::from_vec(rows.iter().map(|&row| values[row]).collect::<Vec<_>>(), rows.len(), &Device::Cpu)
        };
        let x = inputs(self.table, rows.iter().copied())?;
        let z = network.forward(&x, |x| drop_out(x, dropout, draw))?;
        // softplus(z) - target * z, in the form that does not overflow.
        let softplus = (z.relu()? + (z.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
        let loss = (softplus - (z * pick(&self.targets)?)?)?;
        (loss * pick(&self.weights)?)?.mean_all()
    }
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
    fn judge(&self, network: &Network) -> Result<Judged, TrainError> {
        let mut scores = Vec::with_capacity(self.table.rows());
        for start in (0..self.table.rows()).step_by(SCORE_ROWS) {
            let rows = start..(start + SCORE_ROWS).min(self.table.rows());
            let logits = network.forward(&inputs(self.table, rows)?.detach(), Ok)?.to_vec1::<f32>()?;
            scores.extend(logits.into_iter().map(|logit| (f64::from(logit) * RANK_SCALE) as i64));
        }
        let one_class = || TrainError::OneClass("selection");
        let auroc = metrics::auroc(&scores, self.table.labels()).ok_or_else(one_class)?;
        let (_, utility) = self.utility.best_threshold(&scores).ok_or_else(one_class)?;
        Ok(Judged { auroc, utility })
    }
}
