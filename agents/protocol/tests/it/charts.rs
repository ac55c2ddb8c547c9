//! Charts of the size that intensive care produces, the same in every run.

use hygeia_protocol::code::Code;
use hygeia_protocol::observation::{DeviceId, Observation, PatientId};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig};

/// Eight in the evening of a day after the stay began.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600 + 20 * 3_600);
const HOUR_S: u64 = 3_600;

/// What a bedside monitor measures, with a usual value and the steps that the device rounds to.
const VITALS: [(Code, i32, i32); 7] = [
    (Code::HeartRate, 88_000, 1_000),
    (Code::Spo2, 95_000, 1_000),
    (Code::Temperature, 37_200, 100),
    (Code::Systolic, 118_000, 1_000),
    (Code::MeanArterial, 82_000, 1_000),
    (Code::Diastolic, 64_000, 1_000),
    (Code::RespiratoryRate, 19_000, 1_000),
];

/// What the laboratory sends, and the ventilator's setting that is charted with it.
const LABORATORY: [(Code, i32, i32); 17] = [
    (Code::Fio2, 40_000, 1_000),
    (Code::Ph, 7_380, 10),
    (Code::Paco2, 41_000, 1_000),
    (Code::Bicarbonate, 23_400, 100),
    (Code::Bun, 22_000, 1_000),
    (Code::Creatinine, 1_140, 10),
    (Code::Glucose, 131_000, 1_000),
    (Code::Lactate, 1_900, 100),
    (Code::Wbc, 11_700, 100),
    (Code::Platelets, 204_000, 1_000),
    (Code::Haemoglobin, 10_300, 100),
    (Code::Potassium, 4_100, 100),
    (Code::Chloride, 104_000, 1_000),
    (Code::Calcium, 8_300, 100),
    (Code::Magnesium, 2_000, 100),
    (Code::Phosphate, 3_300, 100),
    (Code::BilirubinTotal, 900, 100),
];

/// A monitor that sends often.
#[derive(Clone, Copy)]
pub(crate) struct Monitor {
    pub(crate) every_ms: u64,
    /// Steps that values are rounded to; `None` for what is usual for each variable.
    pub(crate) step_milli: Option<i32>,
}

/// One machine, its devices' numbers and a source of variation.
pub(crate) struct Stay {
    pub(crate) window: PatientWindow,
    seq: u64,
    noise: u64,
}

impl Stay {
    /// One value of each vital sign an hour for ten hours; each laboratory value twice in two days, the first of them
    /// before the trend; four facts.
    pub(crate) fn charted() -> Stay {
        let mut stay = Stay::new();
        stay.admit();
        stay.sample_blood(NOW.minus_seconds(44 * HOUR_S));
        for hour in (0..10).rev() {
            if hour == 5 {
                stay.sample_blood(NOW.minus_seconds(hour * HOUR_S + 20 * 60));
            }
            for (index, (code, usual, step)) in (0..).zip(VITALS) {
                stay.send("monitor-0417", code, usual, step, NOW.minus_seconds(hour * HOUR_S).plus_seconds(index * 60));
            }
        }
        stay
    }

    /// Vital signs every half minute for ten hours, so that the first, the last, the lowest and the highest value of
    /// each tick differ.
    pub(crate) fn monitored(monitor: Monitor) -> Stay {
        let mut stay = Stay::new();
        let beats = 10 * HOUR_S * 1_000 / monitor.every_ms;
        for back in (0..beats).rev() {
            stay.beat(monitor, Timestamp::from_millis(NOW.as_millis() - back * monitor.every_ms));
        }
        stay
    }

    /// Everything that is monitored, once.
    pub(crate) fn beat(&mut self, monitor: Monitor, at: Timestamp) {
        for (code, usual, step) in VITALS {
            self.send("monitor-0417", code, usual, monitor.step_milli.unwrap_or(step), at);
        }
    }

    fn new() -> Stay {
        Stay { window: PatientWindow::new(WindowConfig::default()), seq: 0, noise: 7 }
    }

    fn admit(&mut self) {
        let admitted = NOW.minus_seconds(45 * HOUR_S);
        for (code, value_milli) in
            [(Code::Age, 71_000), (Code::Sex, 1_000), (Code::IcuUnit, 0), (Code::HoursBeforeIcu, 6_000)]
        {
            let observation = self.observation("admission", code, value_milli, admitted);
            self.window.observe(&observation).unwrap();
        }
    }

    fn sample_blood(&mut self, at: Timestamp) {
        for (index, (code, usual, step)) in (0..).zip(LABORATORY) {
            self.send("laboratory", code, usual, step, at.plus_seconds(index % 4 * 60));
        }
    }

    /// Sends a value up to a fifth from the usual one.
    fn send(&mut self, device: &str, code: Code, usual_milli: i32, step_milli: i32, at: Timestamp) {
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let thousandths = i32::try_from(self.noise >> 33).unwrap() % 200;
        let spec = code.spec();
        let value_milli = (usual_milli - usual_milli / 1_000 * thousandths - thousandths) / step_milli * step_milli;
        let observation = self.observation(device, code, value_milli.clamp(spec.min_milli, spec.max_milli), at);
        self.window.observe(&observation).unwrap();
    }

    fn observation(&mut self, device: &str, code: Code, value_milli: i32, at: Timestamp) -> Observation {
        self.seq += 1;
        let (patient, device) = (PatientId::new("p").unwrap(), DeviceId::new(device).unwrap());
        Observation::new(patient, device, self.seq, code, value_milli, at).unwrap()
    }
}
