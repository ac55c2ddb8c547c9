//! What the machine itself must bring, and what to do where it does not.

use std::env::consts::{ARCH, OS};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// The oldest Python for which the compiled wheels are pinned.
const PYTHON_MIN: (u32, u32) = (3, 10);
/// The oldest Node.js that the compiler wrapper and the ABI export are run with.
const NODE_MAJOR_MIN: u32 = 20;

/// Refuses a platform for which there is no pinned binary.
pub fn check_platform() -> Result<()> {
    if (OS, ARCH) != ("linux", "x86_64") {
        bail!(
            "{OS} on {ARCH} is not supported by setup: nats-server, EZKL, helm and kubectl are pinned as x86-64 Linux \
             binaries. Run it on x86-64 Linux or in a container of that platform"
        );
    }
    Ok(())
}

/// Checks that Python can make a virtual environment with pip in it.
pub fn check_python() -> Result<()> {
    let version = match process::capture(Command::new("python3").arg("--version")) {
        Ok(version) => version,
        Err(_) => {
            bail!("python3 is missing. Install it (Debian: apt-get install python3 python3-venv)")
        }
    };
    let (major, minor) = PYTHON_MIN;
    if leading_version(&version) < Some(PYTHON_MIN) {
        bail!("{} is too old: Python {major}.{minor} or newer is needed", version.trim());
    }
    if !process::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        bail!("{} comes without venv and pip. Install them (Debian: apt-get install python3-venv)", version.trim());
    }
    Ok(())
}

/// Checks that Node.js and npm are there.
pub fn check_node() -> Result<()> {
    let version = match process::capture(Command::new("node").arg("--version")) {
        Ok(version) => version,
        Err(_) => {
            bail!("node is missing. Install Node.js {NODE_MAJOR_MIN} or newer (Debian: apt-get install nodejs npm)")
        }
    };
    if leading_version(&version).map(|(major, _)| major) < Some(NODE_MAJOR_MIN) {
        bail!("Node.js {} is too old: {NODE_MAJOR_MIN} or newer is needed", version.trim());
    }
    if !process::succeeds(Command::new("npm").arg("--version")) {
        bail!("npm is missing. Install it (Debian: apt-get install npm)");
    }
    Ok(())
}

/// Reads `major.minor` out of texts like `Python 3.11.7` and `v20.20.2`.
fn leading_version(text: &str) -> Option<(u32, u32)> {
    let digits = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text[digits..].trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::leading_version;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(leading_version("Python 3.11.7\n"), Some((3, 11)));
        assert_eq!(leading_version("v20.20.2"), Some((20, 20)));
        assert!(leading_version("Python 3.9.2") < Some((3, 10)));
        assert_eq!(leading_version("no version"), None);
    }
}
