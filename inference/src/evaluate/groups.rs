//! Groups of patients: whether a model serves some of them worse.

use super::{GroupReport, GroupScore, judge};
use crate::dataset::Patient;
use crate::metrics::{EveryHour, Figures, Outcomes, burden, stay_alarms};
use crate::package::{Gap, OperatingPoints};
use crate::schema::{Sex, Unit};
use crate::score::{ByScore, ScoreName};

/// A group of fewer stays is left out: its figures would say more of persons than of the model.
const STAYS_MIN: usize = 10;
/// Only groups with this many septic stays, and others, are compared: below it a gap is mostly chance.
const EACH_CLASS_MIN: usize = 10;

/// What divides the groups, their names, and who belongs to them.
type Group = (&'static str, &'static str, fn(&Patient) -> bool);

const GROUPS: [Group; 11] = [
    ("sex", "female", |patient| patient.sex == Some(Sex::Female)),
    ("sex", "male", |patient| patient.sex == Some(Sex::Male)),
    ("sex", "not known", |patient| patient.sex.is_none()),
    ("age", "below 45", |patient| patient.age_years.is_some_and(|age| age < 45)),
    ("age", "45 to 64", |patient| patient.age_years.is_some_and(|age| (45..65).contains(&age))),
    ("age", "65 to 79", |patient| patient.age_years.is_some_and(|age| (65..80).contains(&age))),
    ("age", "80 and above", |patient| patient.age_years.is_some_and(|age| age >= 80)),
    ("age", "not known", |patient| patient.age_years.is_none()),
    ("unit", "medical", |patient| patient.unit == Some(Unit::Medical)),
    ("unit", "surgical", |patient| patient.unit == Some(Unit::Surgical)),
    ("unit", "not known", |patient| patient.unit.is_none()),
];

/// A figure that is compared between groups.
type GroupFigure = (&'static str, fn(&GroupScore) -> Option<f64>);

const FIGURES: [GroupFigure; 4] = [
    ("AUROC", |score| score.figures.map(|figures| figures.auroc)),
    ("sensitivity", |score| score.sensitivity_by_stay),
    ("PPV", |score| score.ppv_by_stay),
    ("utility", |score| score.figures.map(|figures| figures.utility)),
];

/// Every group of enough stays, at the thresholds that hold for all.
pub(super) fn groups(
    patients: &[Patient],
    outcomes: &Outcomes<'_>,
    scores: &ByScore<Vec<i64>>,
    points: &OperatingPoints,
) -> Vec<GroupReport> {
    let of = |&(attribute, group, belongs): &Group| {
        let part = outcomes.keep(|stay| belongs(&patients[stay]));
        let score = |name| group_score(name, scores.get(name), &part, points.get(name).threshold);
        (part.len() >= STAYS_MIN).then(|| GroupReport {
            attribute,
            group,
            stays: part.len(),
            stays_septic: part.stays_septic(),
            scores: ByScore::from_fn(score),
        })
    };
    GROUPS.iter().filter_map(of).collect()
}

fn group_score(name: ScoreName, scores: &[i64], part: &Outcomes<'_>, threshold: i64) -> GroupScore {
    let figures = Figures::of(scores, part, threshold, judge::resamples(part));
    let spent = burden(&stay_alarms(scores, part, &EveryHour, name.scale(), threshold), None);
    GroupScore {
        figures: figures.map(|(figures, _)| figures),
        stays_alerted: spent.stays_alerted,
        sensitivity_by_stay: spent.sensitivity_by_stay,
        ppv_by_stay: spent.ppv_by_stay,
    }
}

/// The widest difference of each figure between known groups of each attribute.
pub(super) fn gaps(groups: &[GroupReport], name: ScoreName) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for attribute in ["sex", "age", "unit"] {
        let large = |group: &&GroupReport| {
            group.stays_septic >= EACH_CLASS_MIN && group.stays - group.stays_septic >= EACH_CLASS_MIN
        };
        let compared = || groups.iter().filter(|g| g.attribute == attribute && g.group != "not known").filter(large);
        for (figure, of) in FIGURES {
            let mut values: Vec<(f64, &str)> =
                compared().filter_map(|group| Some((of(group.scores.get(name))?, group.group))).collect();
            values.sort_by(|a, b| a.0.total_cmp(&b.0));
            if let [(least, worst), .., (greatest, best)] = values[..] {
                gaps.push(Gap {
                    attribute: attribute.to_owned(),
                    figure: figure.to_owned(),
                    gap: greatest - least,
                    worst: worst.to_owned(),
                    best: best.to_owned(),
                });
            }
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(attribute: &'static str, name: &'static str, septic: usize, sensitivity: Option<f64>) -> GroupReport {
        let score =
            GroupScore { figures: None, stays_alerted: 0.0, sensitivity_by_stay: sensitivity, ppv_by_stay: None };
        let scores = ByScore::from_fn(|_| score);
        GroupReport { attribute, group: name, stays: 100, stays_septic: septic, scores }
    }

    #[test]
    fn the_widest_gap_names_both_ends_and_leaves_out_small_and_unknown_groups() {
        let groups = [
            group("age", "below 45", 9, Some(0.0)),
            group("age", "45 to 64", 10, Some(0.75)),
            group("age", "65 to 79", 30, Some(0.5)),
            group("age", "80 and above", 95, Some(0.1)),
            group("age", "not known", 30, Some(0.1)),
            group("sex", "female", 30, Some(0.7)),
        ];
        let found = gaps(&groups, ScoreName::Model);
        assert_eq!(found.len(), 1, "one group cannot differ from itself: {found:?}");
        assert_eq!((found[0].attribute.as_str(), found[0].figure.as_str()), ("age", "sensitivity"));
        assert_eq!((found[0].gap, found[0].worst.as_str(), found[0].best.as_str()), (0.25, "65 to 79", "45 to 64"));
    }

    #[test]
    fn everybody_belongs_to_one_group_of_each_attribute() {
        for age_years in [None, Some(0), Some(44), Some(45), Some(64), Some(65), Some(79), Some(80), Some(120)] {
            for (sex, unit) in [(None, None), (Some(Sex::Male), Some(Unit::Surgical))] {
                let patient = Patient { age_years, sex, unit };
                for attribute in ["sex", "age", "unit"] {
                    let belonging = GROUPS.iter().filter(|(of, _, belongs)| *of == attribute && belongs(&patient));
                    assert_eq!(belonging.count(), 1, "{attribute}");
                }
            }
        }
    }
}
