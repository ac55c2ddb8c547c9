//! Other provers of the alert statement, each measured in a process of its own.
//!
//! ```text
//! cargo run --release -- --prover groth16 --model "mlp 48-64-32-1" --folder DIR [--threads N]
//! ```
//!
//! Run it in this folder: the flags in `.cargo/config.toml` are what arkworks' assembly needs. Keys are made in the folder by
//! the first start, so a second start's memory is a proof's. For measurement alone: no key here is from a ceremony.

mod groth16;
#[expect(dead_code, reason = "the suite beside it also exports the models")]
#[path = "../../../src/models.rs"]
mod models;
mod protocol;
mod r1cs;
mod solidity;
mod spartan;
mod statement;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use models::Model;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let model = Model::named(&value("--model").context("--model NAME")?);
    let folder = PathBuf::from(value("--folder").context("--folder DIR")?);
    let threads = value("--threads").map_or(Ok(0), |text| text.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    std::fs::create_dir_all(&folder)?;
    let peer: Box<dyn protocol::Peer> = match value("--prover").as_deref() {
        Some("groth16") => Box::new(groth16::ArkworksProver::open(&model.network, &folder)?),
        Some("spartan") => Box::new(spartan::SpartanProver::open(&model.network, &folder)?),
        other => bail!("--prover groth16 or spartan, not {other:?}"),
    };
    protocol::serve(peer.as_ref(), &model.network, &folder)
}
