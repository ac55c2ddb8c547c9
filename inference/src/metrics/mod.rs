//! How well integer scores tell stays apart: ranking, the official utility of the Challenge 2019, alarms, calibration,
//! net benefit, and intervals of all of them by resampling stays.
//!
//! Everything here is a function of scores and labels: nothing reads files or keeps state, and the same input gives
//! the same figures on every machine and with any number of threads.

mod alarm;
mod bootstrap;
mod budget;
mod decision;
mod figures;
#[cfg(test)]
mod golden;
mod logistic;
mod outcomes;
mod ranking;
mod reliability;
mod utility;

pub use alarm::{Alarm, Burden, EveryHour, LeadBin, LeadTime, StayAlarms, burden, lead_time, stay_alarms};
pub use bootstrap::{Interval, REPLICATES, Resamples, SEED, interval};
pub use budget::{AlertBudget, BUDGETS, BudgetPoint, threshold_within};
pub use decision::{net_benefit, net_benefit_of_all};
pub use figures::{Figures, Replicate};
#[cfg(feature = "candle")]
pub(crate) use logistic::{Design, fit_logistic};
pub use outcomes::Outcomes;
pub use ranking::{Ranked, Ranking, auprc, auroc};
pub use reliability::{LogisticFit, Reliability, ReliabilityBin, recalibrated, reliability};
pub use utility::{Labels, StayUtility, Utility, utility_by_stay};

/// Value below which a share of sorted values lies, linear between neighbours. Nothing when there is no value.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}
