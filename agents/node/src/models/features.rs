//! `hygeia features`: what a model is given, hour by hour, for tools elsewhere.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use hygeia_inference::dataset::{self, Table};
use hygeia_inference::package::ModelPackage;
use hygeia_inference::quantise::{FloatLayer, float_score};
use hygeia_inference::schema::FeatureSchema;

use super::{exchange, load};
use crate::cli::FeaturesArgs;
use crate::demo::{replay, stays};

/// A feature of 1.0: one standard deviation.
const ONE: f64 = 1024.0;
/// Stays of a CLIF directory, and hours of each, at most.
const CLIF_STAYS_MAX: usize = 100;
const CLIF_HOURS_MAX: u32 = 72;

/// One hour of one stay.
struct Row {
    stay: usize,
    hour: usize,
    septic: bool,
    features: Vec<i32>,
}

/// Writes the features of every hour of the data, and the model's scores if asked for.
pub fn features(args: &FeaturesArgs) -> Result<()> {
    let package = load(args.model.as_deref())?;
    let schema = match &args.schema {
        Some(path) => exchange::read_schema(path)?,
        None => package.schema().clone(),
    };
    let rows = rows(&args.data, &schema)?;
    let floats = if args.scores { Some(package.float_layers()?) } else { None };
    let file = File::create(&args.out).with_context(|| format!("writing {}", args.out.display()))?;
    let mut out = BufWriter::new(file);
    write(&mut out, &schema, &package, floats.as_deref(), &rows)
        .and_then(|()| Ok(out.flush()?))
        .with_context(|| format!("writing {}", args.out.display()))?;
    eprintln!("wrote {} ({} rows, {} features)", args.out.display(), rows.len(), schema.len());
    Ok(())
}

fn write(
    out: &mut impl Write,
    schema: &FeatureSchema,
    package: &ModelPackage,
    floats: Option<&[FloatLayer]>,
    rows: &[Row],
) -> Result<()> {
    write!(out, "stay,hour,label")?;
    for feature in schema.list() {
        write!(out, ",{}", feature.name)?;
    }
    writeln!(out, "{}", if floats.is_some() { ",score_float,score" } else { "" })?;
    for row in rows {
        write!(out, "{},{},{}", row.stay, row.hour, u8::from(row.septic))?;
        // Ten binary digits after the point are ten decimal ones at most, so nothing is rounded.
        for &feature in &row.features {
            write!(out, ",{}", f64::from(feature) / ONE)?;
        }
        if let Some(floats) = floats {
            let score = package.network().score(&row.features)?;
            write!(out, ",{},{score}", float_score(floats, &row.features))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn rows(data: &Path, schema: &FeatureSchema) -> Result<Vec<Row>> {
    if stays::is_clif(data) { rows_of_clif(data, schema) } else { rows_of_challenge(data, schema) }
}

fn rows_of_challenge(data: &Path, schema: &FeatureSchema) -> Result<Vec<Row>> {
    let mut table = Table::new(schema);
    dataset::read(data, |stay| table.push(&stay, schema))?;
    let mut rows = Vec::with_capacity(table.rows());
    for (stay, labels) in table.labels_by_stay().enumerate() {
        for (hour, &septic) in labels.iter().enumerate() {
            let features = table.features(rows.len()).iter().copied().map(i32::from).collect();
            rows.push(Row { stay, hour, septic, features });
        }
    }
    Ok(rows)
}

/// The windows an oracle would attest of the stays the demo replays.
fn rows_of_clif(data: &Path, schema: &FeatureSchema) -> Result<Vec<Row>> {
    let stays = stays::read(data, CLIF_STAYS_MAX, CLIF_HOURS_MAX)?;
    let mut rows = Vec::new();
    for stay in &stays {
        for (hour, state) in replay::states(stay)?.iter().enumerate() {
            rows.push(Row { stay: stay.number, hour, septic: false, features: schema.features(state) });
        }
    }
    Ok(rows)
}
