//! The course of one simulated patient: what is true of them at an instant, before any sensor has seen it.
//!
//! Each vital sign has the patient's own level, a rhythm of the day, a noise with memory, and what a deterioration adds to
//! it. Deteriorations come at any time, rise over hours, stay, and pass. Made up for load: it claims nothing about patients.

use std::f64::consts::TAU;

use hygeia_protocol::code::Code;

use super::rng::Rng;

/// Hours from one deterioration to the next, on average.
const HOURS_BETWEEN_EPISODES: f64 = 72.0;
/// How much of a noise is left at the next measurement.
const NOISE_KEPT: f64 = 0.8;
/// When the body is at its lowest, in hours after midnight (UTC).
const NADIR_H: f64 = 4.0;

/// How a variable behaves, in the code's unit.
#[derive(Debug)]
struct Behaviour {
    code: Code,
    mean: f64,
    /// Deviation between patients.
    between: f64,
    /// Deviation within a patient.
    within: f64,
    /// Half the difference between day and night.
    rhythm: f64,
    /// What a full deterioration adds.
    deterioration: f64,
    /// Steps that the device reports in.
    step: f64,
}

const fn behaviour(code: Code, level: [f64; 3], rhythm: f64, deterioration: f64, step: f64) -> Behaviour {
    let [mean, between, within] = level;
    Behaviour { code, mean, between, within, rhythm, deterioration, step }
}

/// What a bedside monitor charts.
pub const VITALS: usize = 7;
static VITAL: [Behaviour; VITALS] = [
    behaviour(Code::HeartRate, [82.0, 11.0, 4.0], 5.0, 38.0, 1.0),
    behaviour(Code::Spo2, [96.5, 1.2, 0.8], 0.2, -7.0, 1.0),
    behaviour(Code::Temperature, [36.9, 0.25, 0.12], 0.3, 1.8, 0.1),
    behaviour(Code::Systolic, [123.0, 13.0, 6.0], 5.0, -38.0, 1.0),
    behaviour(Code::MeanArterial, [84.0, 8.0, 4.5], 3.5, -27.0, 1.0),
    behaviour(Code::Diastolic, [65.0, 7.0, 4.0], 2.5, -18.0, 1.0),
    behaviour(Code::RespiratoryRate, [17.0, 2.2, 1.6], 1.0, 13.0, 1.0),
];

/// What a laboratory reports.
pub const LABS: usize = 14;
static LAB: [Behaviour; LABS] = [
    behaviour(Code::Ph, [7.40, 0.02, 0.02], 0.0, -0.14, 0.01),
    behaviour(Code::Paco2, [40.0, 3.5, 2.0], 0.0, -6.0, 1.0),
    behaviour(Code::Bun, [20.0, 8.0, 2.0], 0.0, 22.0, 1.0),
    behaviour(Code::Creatinine, [1.05, 0.3, 0.08], 0.0, 1.5, 0.01),
    behaviour(Code::Glucose, [128.0, 24.0, 14.0], 4.0, 40.0, 1.0),
    behaviour(Code::Lactate, [1.4, 0.3, 0.2], 0.0, 4.5, 0.1),
    behaviour(Code::Wbc, [9.5, 2.4, 0.8], 0.0, 10.0, 0.1),
    behaviour(Code::Platelets, [215.0, 55.0, 12.0], 0.0, -95.0, 1.0),
    behaviour(Code::Haemoglobin, [10.8, 1.4, 0.3], 0.0, -0.6, 0.1),
    behaviour(Code::Potassium, [4.1, 0.35, 0.2], 0.0, 0.6, 0.1),
    behaviour(Code::Calcium, [8.5, 0.5, 0.2], 0.0, -0.7, 0.1),
    behaviour(Code::Magnesium, [2.0, 0.2, 0.1], 0.0, 0.1, 0.1),
    behaviour(Code::Phosphate, [3.5, 0.7, 0.3], 0.0, 1.0, 0.1),
    behaviour(Code::BilirubinTotal, [0.9, 0.4, 0.1], 0.0, 1.6, 0.1),
];

/// One patient's course.
#[derive(Debug, Clone)]
pub struct Course {
    vital_levels: [f64; VITALS],
    vital_noise: [f64; VITALS],
    lab_levels: [f64; LABS],
    episode: Episode,
}

/// One deterioration; times in hours on the patient's clock.
#[derive(Debug, Clone, Copy)]
struct Episode {
    onset_h: f64,
    rise_h: f64,
    hold_h: f64,
    fall_h: f64,
    /// 1 is the full effect of the tables.
    depth: f64,
}

impl Course {
    /// A patient whose clock stands at `now_h`. Some are in the middle of a deterioration already.
    pub fn new(rng: &mut Rng, now_h: f64) -> Self {
        let vital_levels = VITAL.each_ref().map(|vital| vital.mean + vital.between * rng.normal());
        let lab_levels = LAB.each_ref().map(|lab| lab.mean + lab.between * rng.normal());
        let vital_noise = [0.0; VITALS];
        // Drawn from before the beginning on, so that a ward is as sick in its first hour as in any later one.
        let mut episode = Episode::after(rng, now_h - 2.0 * HOURS_BETWEEN_EPISODES);
        while episode.end_h() < now_h {
            episode = Episode::after(rng, episode.end_h());
        }
        Self { vital_levels, vital_noise, lab_levels, episode }
    }

    /// The vital signs at `now_h`, in thousandths of their unit, in the order of the monitor.
    pub fn vitals(&mut self, rng: &mut Rng, now_h: f64) -> [(Code, i32); VITALS] {
        let severity = self.severity(rng, now_h);
        let rhythm = -((now_h - NADIR_H) / 24.0 * TAU).cos();
        let fresh = (1.0 - NOISE_KEPT * NOISE_KEPT).sqrt();
        std::array::from_fn(|index| {
            let (Some(vital), Some(noise), Some(level)) =
                (VITAL.get(index), self.vital_noise.get_mut(index), self.vital_levels.get(index))
            else {
                unreachable!("an index of {VITALS} vital signs")
            };
            *noise = NOISE_KEPT * *noise + fresh * rng.normal();
            let value = level + vital.rhythm * rhythm + vital.within * *noise + vital.deterioration * severity;
            (vital.code, vital.reported(value))
        })
    }

    /// The laboratory values of blood drawn at `now_h`, in thousandths of their unit.
    pub fn labs(&mut self, rng: &mut Rng, now_h: f64) -> [(Code, i32); LABS] {
        let severity = self.severity(rng, now_h);
        std::array::from_fn(|index| {
            let (Some(lab), Some(level)) = (LAB.get(index), self.lab_levels.get(index)) else {
                unreachable!("an index of {LABS} laboratory values")
            };
            (lab.code, lab.reported(level + lab.within * rng.normal() + lab.deterioration * severity))
        })
    }

    /// How far the patient has deteriorated, from 0.
    fn severity(&mut self, rng: &mut Rng, now_h: f64) -> f64 {
        while self.episode.end_h() < now_h {
            self.episode = Episode::after(rng, self.episode.end_h());
        }
        self.episode.severity(now_h)
    }
}

impl Episode {
    fn after(rng: &mut Rng, now_h: f64) -> Self {
        Self {
            onset_h: now_h + rng.exponential(HOURS_BETWEEN_EPISODES),
            rise_h: rng.between(4.0, 14.0),
            hold_h: rng.between(2.0, 10.0),
            fall_h: rng.between(8.0, 24.0),
            depth: rng.between(0.3, 1.0),
        }
    }

    fn end_h(&self) -> f64 {
        self.onset_h + self.rise_h + self.hold_h + self.fall_h
    }

    fn severity(&self, now_h: f64) -> f64 {
        let rising = (now_h - self.onset_h) / self.rise_h;
        let falling = (self.end_h() - now_h) / self.fall_h;
        self.depth * rising.min(falling).clamp(0.0, 1.0)
    }
}

impl Behaviour {
    /// The value as the device writes it: in its steps, and never one that no patient has.
    fn reported(&self, value: f64) -> i32 {
        let spec = self.code.spec();
        let steps = (value / self.step).round() * self.step;
        let milli = (steps * 1e3).round();
        (milli as i32).clamp(spec.min_milli, spec.max_milli)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean of a vital sign over many patients at hours that `when` names.
    fn mean_of(code: Code, hours: &[f64], wanted: impl Fn(f64) -> bool) -> f64 {
        let mut values = Vec::new();
        for number in 0..400 {
            let mut rng = Rng::of(3, number);
            let mut course = Course::new(&mut rng, 0.0);
            for &hour in hours {
                let severity = course.severity(&mut rng, hour);
                let vitals = course.vitals(&mut rng, hour);
                let value = vitals.iter().find(|(found, _)| *found == code).map(|(_, value)| f64::from(*value) / 1e3);
                values.extend(value.filter(|_| wanted(severity)));
            }
        }
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn nights_are_calmer_than_afternoons() {
        let well = |severity: f64| severity == 0.0;
        let night = mean_of(Code::HeartRate, &[4.0, 28.0, 52.0], well);
        let day = mean_of(Code::HeartRate, &[16.0, 40.0, 64.0], well);
        assert!((day - night - 10.0).abs() < 1.5, "night {night}, day {day}");
        assert!((0.5..0.7).contains(
            &(mean_of(Code::Temperature, &[16.0, 40.0], well) - mean_of(Code::Temperature, &[4.0, 28.0], well))
        ));
    }

    #[test]
    fn a_deterioration_shows_in_the_vital_signs() {
        let hours: Vec<f64> = (0..96).map(f64::from).collect();
        let (well, ill) = (|severity: f64| severity == 0.0, |severity: f64| severity > 0.6);
        for (code, up) in [(Code::HeartRate, true), (Code::RespiratoryRate, true), (Code::MeanArterial, false)] {
            let (before, during) = (mean_of(code, &hours, well), mean_of(code, &hours, ill));
            assert_eq!(during > before, up, "{code:?}: {before} to {during}");
        }
    }

    #[test]
    fn the_ward_is_as_sick_in_its_first_hour_as_later() {
        let share = |hour: f64| {
            let ill = (0..4_000).filter(|&number| {
                let mut rng = Rng::of(9, number);
                Course::new(&mut rng, 0.0).severity(&mut rng, hour) > 0.0
            });
            ill.count() as f64 / 4_000.0
        };
        let (first, later) = (share(0.0), share(200.0));
        assert!((first - later).abs() < 0.04 && (0.2..0.45).contains(&first), "{first} and {later}");
    }

    #[test]
    fn every_value_is_one_a_patient_can_have() {
        for number in 0..200 {
            let mut rng = Rng::of(5, number);
            let mut course = Course::new(&mut rng, 0.0);
            for hour in 0..120 {
                let now_h = f64::from(hour);
                for (code, value) in course.vitals(&mut rng, now_h).into_iter().chain(course.labs(&mut rng, now_h)) {
                    assert!(code.is_plausible(value), "{code:?}");
                }
            }
        }
    }
}
