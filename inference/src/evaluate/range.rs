//! Whether the guard knows the data at hand, and whether it would notice data that is broken.

use super::{BrokenData, ValidatedRange};
use crate::dataset::{Hour, Stay, Table};
use crate::metrics;
use crate::package::ModelPackage;
use crate::schema::Variable;

/// A fault of the data: what it is called, and what it does to the hours of a stay.
type Fault = (&'static str, fn(&mut [Hour], &[Hour]));

/// Faults that happen between a sensor and a database. The second argument is another patient's stay.
const FAULTS: [Fault; 5] = [
    ("heart rate and respiratory rate exchanged", |hours, _| {
        exchange(hours, Variable::HeartRate, Variable::RespiratoryRate);
    }),
    ("systolic and diastolic pressure exchanged", |hours, _| {
        exchange(hours, Variable::Systolic, Variable::Diastolic);
    }),
    ("every value a third too high", |hours, _| {
        for variable in Variable::ALL {
            change(hours, variable, |milli, _| milli.saturating_add(milli / 3));
        }
    }),
    ("heart rate leaping between the ends of what is plausible", |hours, _| {
        let (low, high) = Variable::HeartRate.plausible_milli();
        change(hours, Variable::HeartRate, |_, hour| if hour % 2 == 0 { low } else { high });
    }),
    ("every other hour from another patient", |hours, other| {
        for (hour, theirs) in hours.iter_mut().zip(other).skip(1).step_by(2) {
            hour.values_milli = theirs.values_milli;
        }
    }),
];

/// Asks the guard about every row of the table, and about stays that were broken on purpose.
pub(super) fn validated_range(
    package: &ModelPackage,
    table: &Table,
    scores: &[i64],
    threshold: i64,
    sample: &[Stay],
) -> ValidatedRange {
    let inside = inside(package, table);
    let outcomes = table.outcomes();
    let stays_outside = outcomes.stays().iter().filter(|rows| inside[(*rows).clone()].contains(&false)).count();
    let known: Vec<usize> = (0..table.rows()).filter(|&row| inside[row]).collect();
    let pick = |row: &usize| (scores[*row], table.labels()[*row]);
    let (known_scores, known_labels): (Vec<i64>, Vec<bool>) = known.iter().map(pick).unzip();
    let alerts = || (0..table.rows()).filter(|&row| scores[row] >= threshold);
    ValidatedRange {
        rows_outside: share(table.rows() - known.len(), table.rows()).unwrap_or(0.0),
        stays_outside: share(stays_outside, outcomes.len()).unwrap_or(0.0),
        alerts_outside: share(alerts().filter(|&row| !inside[row]).count(), alerts().count()),
        auroc_inside: metrics::auroc(&known_scores, &known_labels),
        broken: FAULTS.iter().map(|fault| broken(package, sample, fault)).collect(),
    }
}

fn broken(package: &ModelPackage, sample: &[Stay], &(fault, apply): &Fault) -> BrokenData {
    let mut table = Table::new(package.schema());
    for (index, stay) in sample.iter().enumerate() {
        let mut stay = stay.clone();
        apply(&mut stay.hours, &sample[(index + 1) % sample.len()].hours);
        table.push(&stay, package.schema());
    }
    let inside = inside(package, &table);
    let outside = inside.iter().filter(|&&inside| !inside).count();
    BrokenData { fault, rows_outside: share(outside, inside.len()).unwrap_or(0.0) }
}

/// What the guard says of each row.
fn inside(package: &ModelPackage, table: &Table) -> Vec<bool> {
    let of = |row| {
        let features: Vec<i32> = table.features(row).iter().copied().map(i32::from).collect();
        let evaluation = package.network().evaluate(&features).expect("the table holds the network's own features");
        package.guard().judge(&features, &evaluation.activations).is_inside()
    };
    (0..table.rows()).map(of).collect()
}

fn exchange(hours: &mut [Hour], a: Variable, b: Variable) {
    for hour in hours {
        let [first, second] = [a, b].map(|variable| hour.values_milli[variable as usize]);
        hour.values_milli[a as usize] = second.filter(|&milli| plausible(a, milli));
        hour.values_milli[b as usize] = first.filter(|&milli| plausible(b, milli));
    }
}

/// Changes every value of a variable by the place of its hour; what is no longer plausible is dropped, as on arrival.
fn change(hours: &mut [Hour], variable: Variable, to: impl Fn(i32, usize) -> i32) {
    for (place, hour) in hours.iter_mut().enumerate() {
        let value = &mut hour.values_milli[variable as usize];
        *value = value.map(|milli| to(milli, place)).filter(|&milli| plausible(variable, milli));
    }
}

fn plausible(variable: Variable, milli: i32) -> bool {
    let (low, high) = variable.plausible_milli();
    (low..=high).contains(&milli)
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stay(rate: i32) -> Vec<Hour> {
        let mut values_milli = [None; Variable::COUNT];
        values_milli[Variable::HeartRate as usize] = Some(rate);
        values_milli[Variable::Systolic as usize] = Some(rate + 40_000);
        let hour = Hour { values_milli, age_years: None, sex: None, unit: None, hours_before_icu: None, septic: false };
        vec![hour; 4]
    }

    #[test]
    fn every_fault_changes_what_it_names_and_nothing_implausible_is_left() {
        for (fault, apply) in FAULTS {
            let mut hours = stay(80_000);
            apply(&mut hours, &stay(120_000));
            let values = |hours: &[Hour]| hours.iter().map(|hour| hour.values_milli).collect::<Vec<_>>();
            assert!(values(&hours) != values(&stay(80_000)), "{fault}");
            for hour in &hours {
                let all = Variable::ALL.into_iter().filter_map(|v| Some((v, hour.values_milli[v as usize]?)));
                all.for_each(|(variable, milli)| assert!(plausible(variable, milli), "{fault}"));
            }
        }
        let mut hours = stay(80_000);
        FAULTS[0].1(&mut hours, &[]);
        assert_eq!(hours[0].values_milli[Variable::RespiratoryRate as usize], Some(80_000));
        assert_eq!(hours[0].values_milli[Variable::HeartRate as usize], None);
    }
}
