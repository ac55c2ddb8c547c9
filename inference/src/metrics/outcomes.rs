//! What happened: the labels of many rows, and which rows form a stay.

use std::ops::Range;

/// Hours from the first positive label to onset: the Challenge's labels turn positive six hours early.
const LABEL_LEAD_H: usize = 6;

/// The labels of some stays. Rows are counted over the whole table, so that a part of the stays reads the same scores.
#[derive(Clone, Debug)]
pub struct Outcomes<'a> {
    labels: &'a [bool],
    stays: Vec<Range<usize>>,
}

impl<'a> Outcomes<'a> {
    /// Labels of all rows, and the rows of each stay.
    pub fn new(labels: &'a [bool], stays: &[Range<usize>]) -> Self {
        assert!(stays.iter().all(|rows| rows.end <= labels.len()), "every row has a label");
        Self { labels, stays: stays.to_vec() }
    }

    /// The stays whose place in the list satisfies a condition.
    pub fn keep(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let kept = self.stays.iter().enumerate().filter(|&(stay, _)| keep(stay)).map(|(_, rows)| rows.clone());
        Self { labels: self.labels, stays: kept.collect() }
    }

    /// The stays that are not positive on their first row: those that can be warned of.
    pub fn without_positive_at_start(&self) -> Self {
        self.keep(|stay| self.of(stay).first() != Some(&true))
    }

    /// Number of stays.
    pub fn len(&self) -> usize {
        self.stays.len()
    }

    /// Whether there is no stay.
    pub fn is_empty(&self) -> bool {
        self.stays.is_empty()
    }

    /// Rows of each stay.
    pub fn stays(&self) -> &[Range<usize>] {
        &self.stays
    }

    /// Labels of a stay.
    pub fn of(&self, stay: usize) -> &'a [bool] {
        &self.labels[self.stays[stay].clone()]
    }

    /// Label of a row of the table.
    pub fn label(&self, row: usize) -> bool {
        self.labels[row]
    }

    /// Every row of these stays.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.stays.iter().cloned().flatten()
    }

    /// Number of rows.
    pub fn rows_count(&self) -> usize {
        self.stays.iter().map(ExactSizeIterator::len).sum()
    }

    /// Number of rows with a positive label.
    pub fn rows_septic(&self) -> usize {
        self.rows().filter(|&row| self.labels[row]).count()
    }

    /// Number of stays with a positive label.
    pub fn stays_septic(&self) -> usize {
        (0..self.len()).filter(|&stay| self.of(stay).contains(&true)).count()
    }

    /// Number of stays that are positive on their first row.
    pub fn stays_septic_at_start(&self) -> usize {
        (0..self.len()).filter(|&stay| self.of(stay).first() == Some(&true)).count()
    }

    /// Hour of onset of a septic stay, counted from its first row; it may lie after the last.
    pub fn onset(&self, stay: usize) -> Option<usize> {
        self.of(stay).iter().position(|&label| label).map(|first| first + LABEL_LEAD_H)
    }

    /// Days that patients were observed.
    pub fn patient_days(&self) -> f64 {
        self.rows_count() as f64 / 24.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_stays_keeps_its_rows() {
        let labels = [false, true, true, true, false, false];
        let all = Outcomes::new(&labels, &[0..2, 2..4, 4..6]);
        let count = |o: &Outcomes<'_>| (o.len(), o.rows_count(), o.stays_septic(), o.stays_septic_at_start());
        assert_eq!(count(&all), (3, 6, 2, 1));
        assert_eq!((all.onset(0), all.onset(1), all.onset(2)), (Some(7), Some(6), None));
        let part = all.without_positive_at_start();
        assert_eq!(count(&part), (2, 4, 1, 0));
        assert_eq!(part.rows().collect::<Vec<_>>(), [0, 1, 4, 5]);
        assert_eq!(part.rows_septic(), 1);
    }
}
