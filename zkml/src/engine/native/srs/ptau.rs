//! The `.ptau` form of snarkjs, in which the perpetual powers of tau are published.
//!
//! ```text
//! "ptau"  version (u32, 1)  number of sections (u32)
//! each section: type (u32), bytes (u64), content
//!     1   header: bytes of a coordinate (u32, 32), the prime, power p (u32), power of the whole ceremony (u32)
//!     2   tauG1: 2^(p+1) - 1 points
//!     3   tauG2: 2^p points
//! ```
//!
//! All numbers are little-endian, coordinates are in Montgomery form. Further sections (the other powers of the ceremony,
//! its contributions, what Groth16 prepares) are passed over. Each section may stand once, the header before the points,
//! and the last one ends with the file.

use halo2_axiom::halo2curves::bn256::{G1Affine, G2Affine};

use super::{Powers, SrsError, source::Source, source::point_bytes};

pub const MAGIC: &[u8; 4] = b"ptau";
const VERSION: u32 = 1;
/// The file's own number of sections is 7, and 11 when it is prepared for Groth16.
const SECTIONS_MAX: u32 = 64;
const HEADER: u32 = 1;
const TAU_G1: u32 = 2;
const TAU_G2: u32 = 3;
const COORDINATE_BYTES: u32 = 32;
/// The base field of BN254, little-endian.
pub const PRIME: [u8; 32] = [
    0x47, 0xfd, 0x7c, 0xd8, 0x16, 0x8c, 0x20, 0x3c, 0x8d, 0xca, 0x71, 0x68, 0x91, 0x6a, 0x81, 0x97, 0x5d, 0x58, 0x81,
    0x81, 0xb6, 0x45, 0x50, 0xb8, 0x29, 0xa0, 0x31, 0xe1, 0x72, 0x4e, 0x64, 0x30,
];
/// Powers of the largest string that this curve's scalar field has use for.
const POWER_MAX: u32 = 28;

/// Sections found so far.
#[derive(Default)]
struct Found {
    power: Option<u32>,
    g1: Option<Vec<G1Affine>>,
    g2: Option<Vec<G2Affine>>,
}

/// Reads what follows the magic, and of the points what is needed.
pub fn read(source: &mut Source<'_>, k_needed: u32) -> Result<Powers, SrsError> {
    if source.u32()? != VERSION {
        return Err(SrsError::Ptau("unknown version"));
    }
    let sections = source.u32()?;
    if sections > SECTIONS_MAX {
        return Err(SrsError::Ptau("too many sections"));
    }
    let mut found = Found::default();
    for _ in 0..sections {
        let (kind, bytes) = (source.u32()?, source.u64()?);
        match kind {
            HEADER => found.header(source, bytes, k_needed)?,
            TAU_G1 => found.tau_g1(source, bytes, k_needed)?,
            TAU_G2 => found.tau_g2(source, bytes)?,
            _ => source.skip(bytes)?,
        }
    }
    if source.left() > 0 {
        return Err(SrsError::Length { expected: source.length() - source.left(), actual: source.length() });
    }
    found.powers()
}

impl Found {
    fn header(&mut self, source: &mut Source<'_>, bytes: u64, k_needed: u32) -> Result<(), SrsError> {
        if self.power.is_some() {
            return Err(SrsError::Ptau("two headers"));
        }
        if source.u32()? != COORDINATE_BYTES || source.array()? != PRIME {
            return Err(SrsError::WrongCurve);
        }
        let (power, _of_ceremony) = (source.u32()?, source.u32()?);
        if bytes != u64::from(4 + COORDINATE_BYTES + 4 + 4) {
            return Err(SrsError::Ptau("the header has another size"));
        }
        if !(1..=POWER_MAX).contains(&power) {
            return Err(SrsError::Ptau("no string has this power"));
        }
        if power < k_needed {
            return Err(SrsError::TooSmall { needed: k_needed, available: power });
        }
        self.power = Some(power);
        Ok(())
    }

    fn tau_g1(&mut self, source: &mut Source<'_>, bytes: u64, k_needed: u32) -> Result<(), SrsError> {
        let points = (2_u64 << self.power()?) - 1;
        self.g1 = Some(section(source, "tauG1", bytes, points, 1 << k_needed, self.g1.is_some())?);
        Ok(())
    }

    fn tau_g2(&mut self, source: &mut Source<'_>, bytes: u64) -> Result<(), SrsError> {
        let points = 1_u64 << self.power()?;
        self.g2 = Some(section(source, "tauG2", bytes, points, 2, self.g2.is_some())?);
        Ok(())
    }

    fn power(&self) -> Result<u32, SrsError> {
        self.power.ok_or(SrsError::Ptau("points before the header"))
    }

    fn powers(self) -> Result<Powers, SrsError> {
        let available = self.power.ok_or(SrsError::Ptau("no header"))?;
        let g = self.g1.ok_or(SrsError::Ptau("no tauG1"))?;
        let g2 = self.g2.ok_or(SrsError::Ptau("no tauG2"))?;
        let &[g2, s_g2] = g2.as_slice() else { return Err(SrsError::Ptau("no tauG2")) };
        Ok(Powers { available, g, lagrange: None, g2, s_g2 })
    }
}

/// The first `wanted` of a section's points. The section's size must be the one that the header makes it.
fn section<C: halo2_axiom::SerdeCurveAffine>(
    source: &mut Source<'_>,
    group: &'static str,
    bytes: u64,
    points: u64,
    wanted: usize,
    is_second: bool,
) -> Result<Vec<C>, SrsError> {
    if is_second {
        return Err(SrsError::Ptau("a section of points stands twice"));
    }
    let point = point_bytes::<C>() as u64;
    if bytes != points * point {
        return Err(SrsError::Ptau("a section of points has another size than the header says"));
    }
    // The whole section must be there before anything of it is read.
    source.announced(bytes)?;
    let read = source.points(group, wanted)?;
    source.skip(bytes - wanted as u64 * point)?;
    Ok(read)
}
