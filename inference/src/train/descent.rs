//! AdamW (Loshchilov and Hutter 2019) and the average of the weights, with a state that can be written down.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

use super::network::Network;

/// Decay of the mean gradient and of its mean square.
const BETA: (f64, f64) = (0.9, 0.999);
/// Keeps the division away from 0.
const EPSILON: f64 = 1e-8;
/// Share of the average that one step leaves in place: a memory of about 500 steps.
const AVERAGE_KEEP: f64 = 0.998;

/// Where a descent is: the weights, their average and the moments of their gradients.
pub(super) struct Descent {
    /// The weights that the next gradient is taken at.
    pub network: Network,
    /// Their exponential average over the steps. It is smoother than any single step, does better on stays that were
    /// not fitted, and is what is judged and kept.
    pub average: Network,
    /// Mean gradient and mean squared gradient of each variable, in the order of the variables.
    moments: Vec<(Var, Var)>,
    /// Steps taken.
    pub step: usize,
}

impl Descent {
    pub(super) fn new(network: Network) -> Result<Self> {
        let zeros = |var: &Var| Var::from_tensor(&var.as_tensor().zeros_like()?);
        let moments = network.variables().iter().map(|var| Ok((zeros(var)?, zeros(var)?))).collect::<Result<_>>()?;
        Ok(Self { average: network.copy()?, network, moments, step: 0 })
    }

    /// Takes one step against the gradient.
    pub(super) fn descend(&mut self, gradients: &GradStore, learning_rate: f64, weight_decay: f64) -> Result<()> {
        self.step += 1;
        let bias = |beta: f64| 1.0 - beta.powi(self.step as i32);
        for (var, (mean, square)) in self.network.variables().iter().zip(&self.moments) {
            let Some(gradient) = gradients.get(var) else { continue };
            mean.set(&((mean.as_tensor() * BETA.0)? + (gradient * (1.0 - BETA.0))?)?)?;
            square.set(&((square.as_tensor() * BETA.1)? + (gradient.sqr()? * (1.0 - BETA.1))?)?)?;
            let spread = ((square.as_tensor() / bias(BETA.1))?.sqrt()? + EPSILON)?;
            let move_by = ((mean.as_tensor() / bias(BETA.0))? / spread)?;
            let decayed = (var.as_tensor().detach() * (1.0 - learning_rate * weight_decay))?;
            var.set(&(decayed - (move_by * learning_rate)?)?)?;
        }
        self.update_average()
    }

    /// The first steps weigh more, so that the initial weights are forgotten.
    fn update_average(&self) -> Result<()> {
        let keep = AVERAGE_KEEP.min((1.0 + self.step as f64) / (10.0 + self.step as f64));
        for (average, current) in self.average.variables().iter().zip(self.network.variables()) {
            average.set(&((average.as_tensor() * keep)? + (current.as_tensor().detach() * (1.0 - keep))?)?)?;
        }
        Ok(())
    }

    /// Every variable of the state under a name of its own.
    pub(super) fn variables(&self) -> Vec<(String, Var)> {
        let named = |kind: &'static str, vars: Vec<Var>| {
            vars.into_iter().enumerate().map(move |(index, var)| (format!("{kind}.{index}"), var))
        };
        let (means, squares) = self.moments.iter().cloned().unzip();
        named("weights", self.network.variables())
            .chain(named("average", self.average.variables()))
            .chain(named("mean", means))
            .chain(named("square", squares))
            .collect()
    }
}

/// The network alone, for what a state keeps of its best epoch.
pub(super) fn snapshot(network: &Network) -> Result<Vec<Tensor>> {
    network.variables().iter().map(|var| var.as_tensor().copy()).collect()
}
