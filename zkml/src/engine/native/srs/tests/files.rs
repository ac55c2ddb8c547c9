//! Files of all three forms, written here from a secret.

use halo2_axiom::{
    SerdeCurveAffine,
    halo2curves::bn256::{G1, G2},
};

use super::*;

/// Type and content.
pub type Section = (u32, Vec<u8>);

/// One string in every form.
pub struct Files {
    /// Header, tauG1, tauG2, and one that is passed over.
    pub sections: Vec<Section>,
    pub ptau: Vec<u8>,
    pub raw: Vec<u8>,
    pub sealed: Vec<u8>,
}

impl Files {
    /// The string of a secret, of 2^k powers.
    pub fn of_secret(secret: Fr, k: u32) -> Self {
        let powers = |count: usize| std::iter::successors(Some(Fr::ONE), |power| Some(*power * secret)).take(count);
        let g1: Vec<G1Affine> = powers((2 << k) - 1).map(|power| (G1::generator() * power).to_affine()).collect();
        let g2: Vec<G2Affine> = powers(1 << k).map(|power| (G2::generator() * power).to_affine()).collect();
        Self::of_points(&g1, &g2, k)
    }

    /// Files with these points in them, good or bad.
    pub fn of_points(g1: &[G1Affine], g2: &[G2Affine], k: u32) -> Self {
        let sections = vec![(1, header(&ptau::PRIME, k)), (2, encode(g1)), (3, encode(g2)), (7, vec![0; 40])];
        let powers = g1[..1 << k].to_vec();
        let params = verifier_params(k, g1[0], g2[0], g2[1]).from_parts(k, powers, None, g2[0], g2[1]);
        let mut raw = Vec::new();
        params.write(&mut raw).unwrap();
        Self { ptau: ptau(&sections), sections, sealed: sealed(0, &raw), raw }
    }
}

/// A file of these sections.
pub fn ptau(sections: &[Section]) -> Vec<u8> {
    let mut bytes = [b"ptau".as_slice(), &1_u32.to_le_bytes(), &(sections.len() as u32).to_le_bytes()].concat();
    for (kind, content) in sections {
        bytes.extend(kind.to_le_bytes());
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend(content);
    }
    bytes
}

/// The section that says what the points are of.
pub fn header(prime: &[u8], power: u32) -> Vec<u8> {
    let bytes = (prime.len() as u32).to_le_bytes();
    [bytes.as_slice(), prime, &power.to_le_bytes(), &power.to_le_bytes()].concat()
}

/// The raw form in this project's envelope.
pub fn sealed(mark: u8, raw: &[u8]) -> Vec<u8> {
    Sealed::new(MAGIC, &[&[mark], raw].concat()).bytes().to_vec()
}

fn encode<C: SerdeCurveAffine>(points: &[C]) -> Vec<u8> {
    points.iter().flat_map(|point| point.to_raw_bytes()).collect()
}
