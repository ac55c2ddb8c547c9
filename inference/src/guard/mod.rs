//! The guard: whether a window is like those that a model was validated on.
//!
//! A network gives a score to anything. The guard measures how far a window lies from the training windows, in two
//! spaces: that of the features, where a fault of a sensor or another hospital's habits show, and that of the last hidden
//! layer, where the network tells patients apart. In each it takes the Mahalanobis distance, which counts a deviation
//! in units of what is usual for that direction, and compares it with a quantile of held-back stays. A window beyond
//! either limit is outside the validated range: its alert still goes out, marked as such.
//!
//! The guard is no part of what is proved, so it may compute in floats; its order of operations is fixed.

mod space;

use serde::{Deserialize, Serialize};

pub use space::{Moments, Space, SpaceError};

/// Share of held-back windows that each limit lets pass, in parts per million.
pub const INSIDE_PPM: u32 = 995_000;

/// Distances and limits of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// The space of the features.
    pub features: Space,
    /// The space of the last hidden layer's activations; a network without one has none.
    pub hidden: Option<Space>,
}

/// What the guard finds of one window. Distances are square roots of Mahalanobis forms: usual ones are near the square
/// root of the number of dimensions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Familiarity {
    /// Distance in the space of the features, over its limit.
    pub features: f64,
    /// Distance in the space of the hidden layer, over its limit.
    pub hidden: f64,
}

impl Familiarity {
    /// Whether the window is like those the model was validated on.
    pub fn is_inside(&self) -> bool {
        self.features <= 1.0 && self.hidden <= 1.0
    }
}

impl Guard {
    /// Judges a window by its features and the activations of each layer, as
    /// [`Evaluation`](crate::network::Evaluation) has them.
    pub fn judge(&self, features: &[i32], activations: &[Vec<i64>]) -> Familiarity {
        let over = |space: &Space, point: &mut dyn Iterator<Item = f64>| space.distance(point) / space.limit();
        let hidden = self.hidden.as_ref().zip(last_hidden(activations));
        Familiarity {
            features: over(&self.features, &mut features.iter().map(|&x| f64::from(x))),
            hidden: hidden.map_or(0.0, |(space, layer)| over(space, &mut layer.iter().map(|&x| x as f64))),
        }
    }

    /// Whether the guard has the dimensions of a network: its inputs, and its last hidden layer where there is one.
    pub fn fits(&self, dims: &[usize]) -> bool {
        let hidden = (dims.len() > 2).then(|| dims[dims.len() - 2]);
        dims.first() == Some(&self.features.dimensions()) && hidden == self.hidden.as_ref().map(Space::dimensions)
    }
}

/// Fits a guard to training windows, its limits to windows that were held back.
///
/// Both are given as features with the activations that a network makes of them.
pub fn fit<'a>(
    dims: &[usize],
    training: impl Iterator<Item = &'a (Vec<i32>, Vec<Vec<i64>>)>,
    held_back: impl Iterator<Item = &'a (Vec<i32>, Vec<Vec<i64>>)> + Clone,
) -> Result<Guard, SpaceError> {
    let has_hidden = dims.len() > 2;
    let mut features = Moments::new(dims[0]);
    let mut hidden = Moments::new(if has_hidden { dims[dims.len() - 2] } else { 0 });
    for window in training {
        features.add(&of_features(window));
        if has_hidden {
            hidden.add(&of_hidden(window));
        }
    }
    Ok(Guard {
        features: features.space(held_back.clone().map(of_features), INSIDE_PPM)?,
        hidden: has_hidden.then(|| hidden.space(held_back.map(of_hidden), INSIDE_PPM)).transpose()?,
    })
}

fn of_features((features, _): &(Vec<i32>, Vec<Vec<i64>>)) -> Vec<f64> {
    features.iter().map(|&x| f64::from(x)).collect()
}

fn of_hidden((_, activations): &(Vec<i32>, Vec<Vec<i64>>)) -> Vec<f64> {
    last_hidden(activations).map_or_else(Vec::new, |layer| layer.iter().map(|&x| x as f64).collect())
}

/// Activations of the last hidden layer.
pub fn last_hidden(activations: &[Vec<i64>]) -> Option<&Vec<i64>> {
    activations.len().checked_sub(2).map(|index| &activations[index])
}
