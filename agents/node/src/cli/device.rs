//! Where scores and proofs are computed.

use anyhow::{Context as _, Result};
use hygeia_zkml::{CudaConfig, IcicleConfig, IcicleDevice, Placement};

use super::ProverArgs;

/// Where windows are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoringDevice {
    /// On the processor.
    Cpu,
    /// On the CUDA device with this number.
    Cuda(usize),
}

/// Where proofs are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofDevice {
    /// On the processor.
    Cpu,
    /// On the CUDA device with this number, by kernels of our own.
    Cuda(usize),
    /// By ICICLE, on the CUDA device with this number.
    Icicle(i32),
    /// By ICICLE on the processor: a check of its libraries, not a quicker way.
    IcicleCpu,
}

/// Reads where windows are scored.
pub fn scoring_device(text: &str) -> std::result::Result<ScoringDevice, String> {
    match (text, numbered(text, "cuda")) {
        ("cpu", _) => Ok(ScoringDevice::Cpu),
        (_, Some(number)) => Ok(ScoringDevice::Cuda(number)),
        _ => Err("`cpu`, `cuda` or `cuda:NUMBER` is needed".to_owned()),
    }
}

/// Reads where proofs are made.
pub fn proof_device(text: &str) -> std::result::Result<ProofDevice, String> {
    match (text, numbered(text, "cuda"), numbered(text, "icicle")) {
        ("cpu", ..) => Ok(ProofDevice::Cpu),
        ("icicle-cpu", ..) => Ok(ProofDevice::IcicleCpu),
        (_, Some(number), _) => Ok(ProofDevice::Cuda(number)),
        (_, _, Some(number)) => Ok(ProofDevice::Icicle(number)),
        _ => Err("`cpu`, `cuda`, `cuda:NUMBER`, `icicle`, `icicle:NUMBER` or `icicle-cpu` is needed".to_owned()),
    }
}

/// The number behind a name and a colon; 0 behind the name alone.
fn numbered<N: std::str::FromStr + Default>(text: &str, name: &str) -> Option<N> {
    match text.strip_prefix(name)? {
        "" => Some(N::default()),
        rest => rest.strip_prefix(':')?.parse().ok(),
    }
}

impl ProverArgs {
    /// Where proofs are made, and how. Compiled kernels are kept beside the keys, which are as precious.
    pub fn placement(&self) -> Result<Placement> {
        let icicle = |device, ordinal| {
            let library_folder =
                self.icicle_dir.clone().context("--icicle-dir names the folder of ICICLE's libraries")?;
            let backend_folder = self.icicle_backend_dir.clone();
            Ok(Placement::Icicle(IcicleConfig { library_folder, backend_folder, device, ordinal }))
        };
        match self.device {
            ProofDevice::Cpu => Ok(Placement::Cpu),
            ProofDevice::Cuda(ordinal) => Ok(Placement::Cuda(CudaConfig {
                ordinal,
                image_folder: Some(self.keys_dir.join("kernels")),
                memory_bytes_max: self.device_memory_mib.map(|mib| mib << 20),
            })),
            ProofDevice::Icicle(ordinal) => icicle(IcicleDevice::Cuda, ordinal),
            ProofDevice::IcicleCpu => icicle(IcicleDevice::Cpu, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read() {
        for (text, device) in [
            ("cpu", Some(ProofDevice::Cpu)),
            ("cuda", Some(ProofDevice::Cuda(0))),
            ("cuda:3", Some(ProofDevice::Cuda(3))),
            ("icicle", Some(ProofDevice::Icicle(0))),
            ("icicle:1", Some(ProofDevice::Icicle(1))),
            ("icicle-cpu", Some(ProofDevice::IcicleCpu)),
            ("cuda3", None),
            ("cuda:", None),
            ("cuda:-1", None),
            ("gpu", None),
            ("", None),
        ] {
            assert_eq!(proof_device(text).ok(), device, "{text}");
        }
        assert_eq!(scoring_device("cuda:2"), Ok(ScoringDevice::Cuda(2)));
        assert!(scoring_device("icicle").is_err());
    }
}
