//! What is known of a stay beside its measurements.

use serde::{Deserialize, Serialize};

use super::track::{Sample, replace_if_newer};
use crate::code::{Code, Sex, Unit};

/// The newest record of each fact, whenever it arrived.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) age: Option<Sample>,
    pub(super) sex: Option<Sample>,
    pub(super) unit: Option<Sample>,
    pub(super) before_icu: Option<Sample>,
}

impl Facts {
    /// Takes a record in; one of a measured variable is none of ours.
    pub(super) fn record(&mut self, code: Code, sample: Sample) {
        let fact = match code {
            Code::Age => &mut self.age,
            Code::Sex => &mut self.sex,
            Code::IcuUnit => &mut self.unit,
            Code::HoursBeforeIcu => &mut self.before_icu,
            _ => return,
        };
        replace_if_newer(fact, sample);
    }

    pub(super) fn age_years(&self) -> Option<u8> {
        self.age.and_then(|age| u8::try_from(age.value_milli / 1000).ok())
    }

    pub(super) fn sex(&self) -> Option<Sex> {
        self.sex.map(|sex| if sex.value_milli == 0 { Sex::Female } else { Sex::Male })
    }

    pub(super) fn unit(&self) -> Option<Unit> {
        self.unit.map(|unit| if unit.value_milli == 0 { Unit::Medical } else { Unit::Surgical })
    }

    pub(super) fn hours_before_icu(&self) -> Option<u32> {
        self.before_icu.and_then(|hours| u32::try_from(hours.value_milli / 1000).ok())
    }
}
