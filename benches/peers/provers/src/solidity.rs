//! The verifier contract of a Groth16 key with two public values, and the words it takes.
//!
//! Raw calldata: commitment, score, then the proof's points A, B and C as the precompiled contracts take them. It reverts
//! unless the proof holds and both public values are canonical.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use ark_bn254::{Bn254, Fq, Fq2, G1Affine, G2Affine};
use ark_ff::PrimeField as _;
use ark_groth16::{Proof, VerifyingKey};

use crate::groth16::coordinates;

/// Bytes of a word.
const WORD: usize = 32;

/// Writes the contract of a key.
pub fn write(key: &VerifyingKey<Bn254>, path: &Path) -> Result<()> {
    let constants = [
        ("ALPHA", g1(&key.alpha_g1)),
        ("BETA", g2(&key.beta_g2)),
        ("GAMMA", g2(&key.gamma_g2)),
        ("DELTA", g2(&key.delta_g2)),
        ("BASE", g1(&key.gamma_abc_g1[0])),
        ("COMMITMENT", g1(&key.gamma_abc_g1[1])),
        ("SCORE", g1(&key.gamma_abc_g1[2])),
    ];
    let mut source = TEMPLATE.to_owned();
    for (name, words) in constants {
        for (index, word) in words.chunks(WORD).enumerate() {
            let mut number = String::from("0x");
            word.iter().try_for_each(|byte| write!(number, "{byte:02x}"))?;
            source = source.replace(&format!("{name}_{index}"), &number);
        }
    }
    Ok(std::fs::write(path, source)?)
}

/// A proof as eight words.
pub fn words(proof: &Proof<Bn254>) -> [Vec<u8>; 3] {
    [g1(&proof.a), g2(&proof.b), g1(&proof.c)]
}

/// A proof out of its words; nothing where a point is not on its curve.
pub fn proof(bytes: &[u8]) -> Option<Proof<Bn254>> {
    let number = |index: usize| bytes.get(index * WORD..(index + 1) * WORD).map(Fq::from_be_bytes_mod_order);
    let point = |x: usize, y: usize| {
        let point = G1Affine::new_unchecked(number(x)?, number(y)?);
        point.is_on_curve().then_some(point)
    };
    let b = G2Affine::new_unchecked(Fq2::new(number(3)?, number(2)?), Fq2::new(number(5)?, number(4)?));
    let is_b = b.is_on_curve() && b.is_in_correct_subgroup_assuming_on_curve();
    let proof = Proof { a: point(0, 1)?, b, c: point(6, 7)? };
    (bytes.len() == 8 * WORD && is_b).then_some(proof)
}

fn g1(point: &G1Affine) -> Vec<u8> {
    coordinates(point).concat()
}

fn g2(point: &G2Affine) -> Vec<u8> {
    coordinates(point).concat()
}

/// `e(-A, B) e(alpha, beta) e(base + commitment * X + score * Y, gamma) e(C, delta) = 1`.
const TEMPLATE: &str = r#"// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.19;

contract Groth16Verifier {
    fallback(bytes calldata) external returns (bytes memory) {
        assembly ("memory-safe") {
            let r := 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001
            let q := 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47
            let ok := eq(calldatasize(), 0x140)
            ok := and(ok, lt(calldataload(0x00), r))
            ok := and(ok, lt(calldataload(0x20), r))
            let p := mload(0x40)

            // base + commitment * X + score * Y, in the place where the pairing takes it
            mstore(p, COMMITMENT_0)
            mstore(add(p, 0x20), COMMITMENT_1)
            mstore(add(p, 0x40), calldataload(0x00))
            ok := and(ok, staticcall(gas(), 0x07, p, 0x60, p, 0x40))
            mstore(add(p, 0x40), BASE_0)
            mstore(add(p, 0x60), BASE_1)
            ok := and(ok, staticcall(gas(), 0x06, p, 0x80, p, 0x40))
            mstore(add(p, 0x40), SCORE_0)
            mstore(add(p, 0x60), SCORE_1)
            mstore(add(p, 0x80), calldataload(0x20))
            ok := and(ok, staticcall(gas(), 0x07, add(p, 0x40), 0x60, add(p, 0x40), 0x40))
            ok := and(ok, staticcall(gas(), 0x06, p, 0x80, add(p, 0x180), 0x40))

            // the negative of A, and B
            calldatacopy(p, 0x40, 0xc0)
            ok := and(ok, lt(mload(add(p, 0x20)), q))
            mstore(add(p, 0x20), mod(sub(q, mload(add(p, 0x20))), q))
            mstore(add(p, 0xc0), ALPHA_0)
            mstore(add(p, 0xe0), ALPHA_1)
            mstore(add(p, 0x100), BETA_0)
            mstore(add(p, 0x120), BETA_1)
            mstore(add(p, 0x140), BETA_2)
            mstore(add(p, 0x160), BETA_3)
            mstore(add(p, 0x1c0), GAMMA_0)
            mstore(add(p, 0x1e0), GAMMA_1)
            mstore(add(p, 0x200), GAMMA_2)
            mstore(add(p, 0x220), GAMMA_3)
            calldatacopy(add(p, 0x240), 0x100, 0x40)
            mstore(add(p, 0x280), DELTA_0)
            mstore(add(p, 0x2a0), DELTA_1)
            mstore(add(p, 0x2c0), DELTA_2)
            mstore(add(p, 0x2e0), DELTA_3)
            ok := and(ok, staticcall(gas(), 0x08, p, 0x300, p, 0x20))
            ok := and(ok, mload(p))
            if iszero(ok) { revert(0, 0) }
            return(0, 0)
        }
    }
}
"#;
