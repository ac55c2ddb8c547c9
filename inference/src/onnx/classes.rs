//! What classifiers put behind the logit: a sigmoid, the two classes' probabilities, labels.
//!
//! The score is the logit, so these operators are undone rather than computed. Of two classes the second is the one the
//! score speaks for, as in scikit-learn.

use super::Fault;
use super::affine::{Affine, Budget};
use super::linear::{Binary, binary};

/// Something a graph computes.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Numbers in front of the last activation.
    Affine(Affine),
    /// The sigmoid of one number, which is kept.
    Probability(Affine),
    /// The probabilities of two classes: the logit of the second is kept.
    Classes(Affine),
}

impl Value {
    pub fn affine(&self) -> Result<&Affine, Fault> {
        match self {
            Self::Affine(affine) => Ok(affine),
            Self::Probability(_) | Self::Classes(_) => Err(Fault::Probability),
        }
    }

    /// Memory, in units of sixteen bytes.
    pub fn units(&self) -> usize {
        match self {
            Self::Affine(affine) | Self::Probability(affine) | Self::Classes(affine) => affine.units(),
        }
    }

    pub fn is_probability(&self) -> bool {
        !matches!(self, Self::Affine(_))
    }
}

/// The sigmoid of one number.
pub(super) fn sigmoid(x: &Affine) -> Result<Value, Fault> {
    if x.len() == 1 { Ok(Value::Probability(x.clone())) } else { Err(Fault::Operator) }
}

/// The softmax of two numbers: the sigmoid of their difference.
pub(super) fn softmax(x: &Affine, axis: usize, budget: &mut Budget) -> Result<Value, Fault> {
    if x.len() != 2 || x.shape.get(axis) != Some(&2) {
        return Err(Fault::Operator);
    }
    let [first, second] = [0, 1].map(|place| x.picked(vec![1, 1], &[place], budget));
    binary(Binary::Sub, &second?, &first?, budget).map(Value::Classes)
}

/// Operators that probabilities may go through: they change type or shape, choose a class, or turn one into the other.
pub(super) fn apply(
    operator: &str,
    inputs: &[Option<&Value>],
    class: Option<i64>,
    budget: &mut Budget,
) -> Result<Value, Fault> {
    match (operator, inputs) {
        ("Identity" | "Cast" | "ZipMap" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze", [Some(value), ..]) => {
            Ok((*value).clone())
        }
        ("Sub", [Some(Value::Affine(one)), Some(Value::Probability(logit))]) if one.values() == Some(&[1.0]) => {
            Ok(Value::Probability(negated(logit, budget)?))
        }
        ("Concat", [Some(Value::Probability(first)), Some(Value::Probability(second))])
            if negated(first, budget)? == *second =>
        {
            Ok(Value::Classes(second.clone()))
        }
        ("Gather", [Some(Value::Classes(logit)), ..]) => match class {
            Some(1 | -1) => Ok(Value::Probability(logit.clone())),
            Some(0 | -2) => Ok(Value::Probability(negated(logit, budget)?)),
            _ => Err(Fault::Probability),
        },
        _ => Err(Fault::Probability),
    }
}

fn negated(logit: &Affine, budget: &mut Budget) -> Result<Affine, Fault> {
    binary(Binary::Mul, &Affine::constant(Vec::new(), vec![-1.0]), logit, budget)
}
