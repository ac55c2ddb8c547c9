//! `hygeia quantize`.

use std::path::Path;

use anyhow::Result;
use hygeia_inference::certify::{Certificate, certify};
use hygeia_inference::package::ModelPackage;

use super::load;
use crate::alarm::Triaged;
use crate::cli::QuantizeArgs;

/// Share of the stays kept for thresholds when a package is rounded anew: the one training keeps.
const KEPT_PERCENT: u8 = 15;

/// Certifies a package, which may be rounded anew first. False when more of the ranking is lost than allowed.
pub fn quantize(args: &QuantizeArgs) -> Result<bool> {
    let mut package = load(args.model.as_deref())?;
    if let Some(out) = &args.out {
        eprintln!("choosing scales on {}", args.data.display());
        package = hygeia_inference::train::requantise(&package, &args.data, KEPT_PERCENT, &Triaged::default())?;
        save(&package, out)?;
    }
    eprintln!("comparing integers and floats on {}", args.data.display());
    print(&certify(&package, &args.data)?, args.json)
}

/// Writes a package and says where.
pub(super) fn save(package: &ModelPackage, out: &Path) -> Result<()> {
    package.save(out)?;
    eprintln!("wrote {} (content hash {})", out.display(), hex::encode(package.hash()));
    Ok(())
}

/// Prints a certificate; false when it does not hold.
pub(super) fn print(certificate: &Certificate, json: bool) -> Result<bool> {
    match json {
        true => println!("{}", serde_json::to_string_pretty(certificate)?),
        false => print!("{}", certificate.text()),
    }
    Ok(certificate.holds())
}
