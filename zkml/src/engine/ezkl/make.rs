//! From a network to a package: exported, compiled, tried, hashed, and only then put in its place.

use std::{fs, path::Path};

use hygeia_inference::{IntegerNetwork, onnx::export_exact};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    EZKL_PROOF_SYSTEM_ID, EzklConfig, EzklEngine, TOLERANCE,
    bound::freedom_max,
    error::{EzklError, PackageError},
    lanes::{self, SALT_LANES},
    package::{self, FILES, MODEL, Manifest, SRS},
    pool::Pool,
};
use crate::{
    engine::native::Srs,
    statement::{Salt, StatementError},
};

/// Range checks in limbs of ten bits: three cover every quotient of a network within its bounds, twice over.
const DECOMP_BASE: u32 = 1024;
const DECOMP_LEGS: u32 = 3;
/// Windows that settings are found with: both ends of all bounds, and some at random in between.
const WINDOWS: usize = 8;
const SEED: u64 = 17;

/// What EZKL says of settings.
#[derive(Deserialize)]
pub(super) struct Settled {
    run_args: Value,
    rows: u64,
}

impl Settled {
    /// Logarithm of the number of rows.
    pub fn logrows(&self) -> Option<u32> {
        self.run_args.get("logrows")?.as_u64()?.try_into().ok()
    }
}

/// The network as EZKL reads it.
pub(super) fn model(network: &IntegerNetwork) -> Result<Vec<u8>, EzklError> {
    Ok(export_exact(network, SALT_LANES, "hygeia")?)
}

/// The bench on which a package is made: a folder of its own, and workers without a package.
pub(super) struct Bench<'a> {
    pub network: &'a IntegerNetwork,
    pub schema_hash: [u8; 32],
    pub config: &'a EzklConfig,
    pub folder: tempfile::TempDir,
    pub pool: Pool,
}

impl<'a> Bench<'a> {
    /// A bench in the directory where the package will stand, so that it can be moved there.
    pub fn new(
        network: &'a IntegerNetwork,
        schema_hash: [u8; 32],
        directory: &Path,
        config: &'a EzklConfig,
    ) -> Result<Self, EzklError> {
        let error = |source| PackageError::Write { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(error)?;
        let folder = tempfile::Builder::new().prefix("ezkl-partial-").tempdir_in(directory).map_err(error)?;
        package::write(&folder.path().join(MODEL), &model(network)?)?;
        let pool = Pool::new(config, Box::new(|_| Ok(()))).map_err(EzklError::Pool)?;
        Ok(Self { network, schema_hash, config, folder, pool })
    }

    /// Settings, with the number of rows that the reference string must have.
    pub fn settle(&self) -> Result<Settled, EzklError> {
        let request = json!({
            "do": "settings", "folder": self.folder.path(), "cpu_s": self.config.cpu_s(self.config.make_timeout),
            "decomp_base": DECOMP_BASE, "decomp_legs": DECOMP_LEGS, "calibration": windows(self.network)?.iter().map(|window| window.as_slice()).collect::<Vec<_>>(),
        });
        Ok(self.pool.with(|worker| worker.ask(&request, self.config.make_timeout))?)
    }

    /// Compiles, tries what was compiled with a window, and moves it to its place.
    pub fn finish(self, settled: Settled, srs: &Srs, place: &Path) -> Result<EzklEngine, EzklError> {
        let logrows = settled.logrows().ok_or(PackageError::Manifest)?;
        let srs = srs.trimmed(logrows)?;
        package::write(&self.folder.path().join(SRS), &srs.raw())?;
        let timeout = self.config.make_timeout;
        let compile = json!({ "do": "compile", "folder": self.folder.path(), "cpu_s": self.config.cpu_s(timeout) });
        let about = self.pool.with(|worker| {
            let _: Value = worker.ask(&compile, timeout)?;
            Ok(worker.about().clone())
        })?;
        let manifest = Manifest {
            version: package::VERSION,
            proof_system: EZKL_PROOF_SYSTEM_ID.to_owned(),
            ezkl: about.ezkl,
            module_hash: super::hash_from_hex(&about.module_sha256)?,
            run_args: settled.run_args,
            logrows,
            rows: settled.rows,
            proof_bytes: 0,
            network_hash: self.network.hash(),
            schema_hash: self.schema_hash,
            srs_digest: srs.digest(),
            is_development: srs.is_development(),
            tolerance: TOLERANCE,
            freedom_max: freedom_max(self.network),
            files: Default::default(),
        };
        self.remove_strangers()?;
        let proof_bytes = self.tried(manifest.clone())?;
        Manifest { proof_bytes, ..manifest }.write(self.folder.path())?;
        let (network, schema_hash, config) = (self.network, self.schema_hash, self.config);
        self.place(place)?;
        EzklEngine::load_from(network, schema_hash, &srs, place, config)
    }

    /// The length of a proof: one is made of a window within the bounds, and passes all that a released one passes.
    fn tried(&self, manifest: Manifest) -> Result<usize, EzklError> {
        manifest.write(self.folder.path())?;
        let package = package::Package::load(self.folder.path())?;
        let engine = EzklEngine::around(self.network, package, self.config)?;
        Ok(engine.trial()?.bytes.len())
    }

    /// Takes away what EZKL wrote besides.
    fn remove_strangers(&self) -> Result<(), PackageError> {
        let error = |source| PackageError::Write { path: self.folder.path().to_owned(), source };
        for entry in fs::read_dir(self.folder.path()).map_err(error)? {
            let entry = entry.map_err(error)?;
            let is_ours = FILES.iter().any(|&name| entry.file_name() == name);
            if !is_ours {
                fs::remove_file(entry.path()).map_err(error)?;
            }
        }
        Ok(())
    }

    /// Moves the folder to its place at once. Where somebody else was faster, theirs stands.
    fn place(self, place: &Path) -> Result<(), PackageError> {
        let folder = self.folder.keep();
        let moved = fs::rename(&folder, place);
        if moved.is_err() {
            // The partial folder is worth nothing now, and its place will say what is wrong.
            let _ = fs::remove_dir_all(&folder);
        }
        if place.join(package::MANIFEST).is_file() {
            return Ok(());
        }
        moved.map_err(|source| PackageError::Write { path: place.to_owned(), source })
    }
}

/// Lanes of made-up windows at the bounds of a network.
fn windows(network: &IntegerNetwork) -> Result<Vec<Zeroizing<Vec<i32>>>, StatementError> {
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    let ends = [0, 1].map(|end| network.input_bounds().iter().map(|&(low, high)| [low, high][end]).collect());
    let between = std::iter::repeat_with(|| random_window(network, &mut rng)).take(WINDOWS - ends.len());
    let windows: Vec<Vec<i32>> = between.chain(ends).collect();
    windows.iter().map(|window| lanes::lanes(window, &Salt::new([0xff; 16]))).collect()
}

fn random_window(network: &IntegerNetwork, rng: &mut ChaCha20Rng) -> Vec<i32> {
    network.input_bounds().iter().map(|&(low, high)| rng.gen_range(low..=high)).collect()
}
