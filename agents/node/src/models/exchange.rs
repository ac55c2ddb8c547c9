//! `hygeia export` and `hygeia import`: models from here to other tools and back.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use hygeia_inference::certify::certify;
use hygeia_inference::onnx;
use hygeia_inference::package::DataSource;
use hygeia_inference::schema::FeatureSchema;
use hygeia_inference::train::{self, Import};

use super::{fidelity, load};
use crate::alarm::Triaged;
use crate::cli::{ExportArgs, ImportArgs};

/// Largest schema read: names and numbers of a few hundred features.
const SCHEMA_BYTES_MAX: u64 = 1 << 20;

/// Writes a model's floats as an ONNX file.
pub fn export(args: &ExportArgs) -> Result<()> {
    let package = load(args.model.as_deref())?;
    let file = onnx::export(&package.float_layers()?, package.schema().len(), &package.card().name)?;
    std::fs::write(&args.onnx, &file).with_context(|| format!("writing {}", args.onnx.display()))?;
    eprintln!("wrote {} ({} features, {} bytes)", args.onnx.display(), package.schema().len(), file.len());
    Ok(())
}

/// Makes a package of an ONNX file and certifies it. False when more of the ranking is lost than allowed.
pub fn import(args: &ImportArgs) -> Result<bool> {
    let bytes = read(&args.onnx, onnx::FILE_BYTES_MAX as u64)?;
    let imported = onnx::import(&bytes).with_context(|| format!("reading {}", args.onnx.display()))?;
    let schema = read_schema(&args.schema)?;
    let import = Import {
        name: args.name.clone().unwrap_or_else(|| stem(&args.onnx)),
        layers: imported.layers,
        inputs: imported.inputs,
        origin: train::origin_of(&name(&args.onnx), &bytes),
        schema,
        data: args.calibration.clone(),
        source: DataSource {
            name: args.data_name.clone().unwrap_or_else(|| name(&args.calibration)),
            licence: args.licence.clone(),
            citation: "Given by whoever imported the model.".to_owned(),
            changes: "hourly records were turned into the features of the schema; the data itself is not part of this \
                      package."
                .to_owned(),
        },
        selection_percent: args.kept_percent,
    };
    eprintln!("calibrating on {}", args.calibration.display());
    let package = train::import(import, &Triaged::default())?;
    fidelity::save(&package, &args.out)?;
    fidelity::print(&certify(&package, &args.calibration)?, false)
}

/// A schema out of its JSON file.
pub(super) fn read_schema(path: &Path) -> Result<FeatureSchema> {
    let bytes = read(path, SCHEMA_BYTES_MAX)?;
    serde_json::from_slice(&bytes).with_context(|| format!("reading the feature schema in {}", path.display()))
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?.len();
    ensure!(size <= bytes_max, "{} is larger than {bytes_max} bytes", path.display());
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
