//! The scores that are compared: the model, and what a ward has without it.

use serde::{Deserialize, Serialize};

/// A score of every hour of a stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreName {
    /// The model of the package.
    Model,
    /// NEWS2 without consciousness.
    News2,
    /// Criteria of the systemic inflammatory response syndrome.
    Sirs,
    /// Hours since the first observation alone.
    Clock,
    /// Logistic regression over the model's features.
    Logistic,
}

/// What one step of a score means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// 1024 is one unit of log-odds.
    Logit,
    /// Whole points, or hours.
    Points,
}

/// One thing for each score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByScore<T> {
    /// Of the model.
    pub model: T,
    /// Of NEWS2 without consciousness.
    pub news2: T,
    /// Of SIRS.
    pub sirs: T,
    /// Of the hours since the first observation.
    pub clock: T,
    /// Of the logistic regression.
    pub logistic: T,
}

impl ScoreName {
    /// Every score, the model first.
    pub const ALL: [Self; 5] = [Self::Model, Self::News2, Self::Sirs, Self::Clock, Self::Logistic];

    /// Short name for tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Model => "Model",
            Self::News2 => "NEWS2",
            Self::Sirs => "SIRS",
            Self::Clock => "Clock only",
            Self::Logistic => "Logistic regression",
        }
    }

    /// Unit of the score.
    pub fn scale(self) -> Scale {
        match self {
            Self::Model | Self::Logistic => Scale::Logit,
            Self::News2 | Self::Sirs | Self::Clock => Scale::Points,
        }
    }
}

impl<T> ByScore<T> {
    /// Asks for each score in turn.
    pub fn from_fn(mut of: impl FnMut(ScoreName) -> T) -> Self {
        Self {
            model: of(ScoreName::Model),
            news2: of(ScoreName::News2),
            sirs: of(ScoreName::Sirs),
            clock: of(ScoreName::Clock),
            logistic: of(ScoreName::Logistic),
        }
    }

    /// Asks for each score in turn until one fails.
    pub fn try_from_fn<E>(mut of: impl FnMut(ScoreName) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            model: of(ScoreName::Model)?,
            news2: of(ScoreName::News2)?,
            sirs: of(ScoreName::Sirs)?,
            clock: of(ScoreName::Clock)?,
            logistic: of(ScoreName::Logistic)?,
        })
    }

    /// That of one score.
    pub fn get(&self, name: ScoreName) -> &T {
        match name {
            ScoreName::Model => &self.model,
            ScoreName::News2 => &self.news2,
            ScoreName::Sirs => &self.sirs,
            ScoreName::Clock => &self.clock,
            ScoreName::Logistic => &self.logistic,
        }
    }

    /// All of them with their names, the model first.
    pub fn iter(&self) -> impl Iterator<Item = (ScoreName, &T)> {
        ScoreName::ALL.into_iter().map(|name| (name, self.get(name)))
    }
}
