//! What the suite can be run on, and how much it asks of it.

use std::{env, ops::RangeInclusive};

use hygeia_benches::{Arguments, models::MODELS};
use hygeia_gpu_emulator::Emulator;
use hygeia_gpu_kernels::{
    KernelError,
    cuda::{Device, Driver, DriverConfig},
};

/// A device, or what stands in its place.
pub trait Place: Device {
    /// What is asked of it where the command line says nothing else.
    const SCALE: Scale;

    /// Opens it, with no more than so much memory.
    fn open(memory_bytes_max: Option<usize>) -> Result<Self, KernelError>
    where
        Self: Sized;

    /// Its name, for the record.
    fn title(&self) -> Result<String, KernelError>;

    /// Waits until it has done everything that it was asked for.
    fn settle(&self) -> Result<(), KernelError>;

    /// Memory that may still be taken, where that is known.
    fn memory_bytes_left(&self) -> Option<usize>;
}

/// Sizes of all parts.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Logarithms of the sizes of kernels.
    pub log_n: RangeInclusive<u32>,
    /// Models of the alerts.
    pub alerts: &'static [&'static str],
    /// Windows of the audits.
    pub audits: &'static [usize],
    /// Timed proofs of each kind.
    pub runs: usize,
    /// Alerts proved at a time where throughput is measured, and how many each of the callers proves.
    pub in_flight: (usize, usize),
    /// How many times longer than on a device the parts may take.
    pub patience: u32,
}

impl Scale {
    pub fn read<P: Place>(arguments: &Arguments) -> Self {
        let Scale { log_n, runs, .. } = P::SCALE;
        let log_max = arguments.value("--log-max").map_or(*log_n.end(), |text| text.parse().expect("a number"));
        Self { log_n: *log_n.start()..=log_max, runs: arguments.number("--runs", runs), ..P::SCALE }
    }
}

impl Place for Driver {
    const SCALE: Scale = Scale {
        log_n: 12..=22,
        alerts: &[MODELS[0], MODELS[1]],
        audits: &[256, 1024],
        runs: 5,
        in_flight: (8, 8),
        patience: 1,
    };

    fn open(memory_bytes_max: Option<usize>) -> Result<Self, KernelError> {
        // The pack's script makes a folder that only its user can write to, and has temporary files lie there.
        let folder = env::temp_dir().join("hygeia-kernel-images");
        Self::open(&DriverConfig { ordinal: 0, image_folder: Some(folder), memory_bytes_max })
    }

    fn title(&self) -> Result<String, KernelError> {
        self.device_name()
    }

    fn settle(&self) -> Result<(), KernelError> {
        self.synchronise()
    }

    fn memory_bytes_left(&self) -> Option<usize> {
        Some(Driver::memory_bytes_left(self))
    }
}

impl Place for Emulator {
    /// The smallest audit of this model has 128 slots.
    const SCALE: Scale =
        Scale { log_n: 6..=10, alerts: &[MODELS[0]], audits: &[128], runs: 1, in_flight: (2, 1), patience: 8 };

    fn open(memory_bytes_max: Option<usize>) -> Result<Self, KernelError> {
        memory_bytes_max.map_or_else(Self::new, Self::with_memory)
    }

    fn title(&self) -> Result<String, KernelError> {
        Ok("none: emulated on the processor".to_owned())
    }

    fn settle(&self) -> Result<(), KernelError> {
        Ok(())
    }

    fn memory_bytes_left(&self) -> Option<usize> {
        None
    }
}
