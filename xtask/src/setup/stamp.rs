//! Stamps: which pin a tool was made from, as one hash in one small file.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::Tools;

/// Raise it when the way of installing changes, so that every tool is installed anew.
const RECIPE: &str = "hygeia setup 1";

/// The hash of a pin's text.
pub fn digest(pin: &str) -> String {
    hex::encode(Sha256::new().chain_update(RECIPE).chain_update([0]).chain_update(pin).finalize())
}

/// The stamp of a tool, if it has one.
pub fn read(tools: &Tools, name: &str) -> Option<String> {
    fs::read_to_string(path(tools, name)).ok()
}

/// Stamps a tool that is whole.
pub fn write(tools: &Tools, name: &str, digest: &str) -> Result<()> {
    let path = path(tools, name);
    fs::create_dir_all(tools.path("stamps"))
        .and_then(|()| fs::write(&path, digest))
        .with_context(|| format!("write {}", path.display()))
}

/// Removes the stamp before the tool is touched: a run that is killed half-way leaves no promise behind.
pub fn clear(tools: &Tools, name: &str) -> Result<()> {
    match fs::remove_file(path(tools, name)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove the stamp of {name}"))
        }
        _ => Ok(()),
    }
}

fn path(tools: &Tools, name: &str) -> PathBuf {
    tools.path("stamps").join(name)
}
