//! Each check of a file, broken alone.

use halo2_axiom::halo2curves::{CurveAffine, bn256::Fq2, ff::Field};
use rayon::prelude::*;

use super::{files::*, *};

const K: u32 = 3;
/// Bytes before the content of the first section's, the header.
const BEFORE_HEADER: usize = 12 + 12;

type Bend = fn(&mut [G1Affine], &mut [G2Affine]);

fn good() -> Files {
    Files::of_secret(Fr::from(7), K)
}

fn refused(bytes: &[u8]) -> SrsError {
    open(bytes, K).expect_err("this file is no reference string")
}

/// The ptau file with one section changed.
fn bent(section: usize, bend: impl Fn(&mut Section)) -> Vec<u8> {
    let mut sections = good().sections;
    bend(&mut sections[section]);
    ptau(&sections)
}

/// Points of the good string, to be changed.
fn points() -> (Vec<G1Affine>, Vec<G2Affine>) {
    let powers = |count| std::iter::successors(Some(Fr::ONE), |power| Some(*power * Fr::from(7))).take(count);
    let g1 = powers((2 << K) - 1).map(|power| (G1Affine::generator() * power).to_affine()).collect();
    (g1, powers(1 << K).map(|power| (G2Affine::generator() * power).to_affine()).collect())
}

#[test]
fn another_file_than_the_one_asked_for() {
    let Files { ptau, raw, sealed, .. } = good();
    for file in [ptau, raw, sealed] {
        let open = |hash| Srs::from_reader(&mut file.as_slice(), file.len() as u64, Some(hash), K, &mut |_| ());
        let right: [u8; 32] = Sha256::digest(&file).into();
        assert!(open(right).is_ok());
        let mut wrong = right;
        wrong[31] ^= 1;
        let refused = open(wrong).unwrap_err();
        assert!(matches!(refused, SrsError::WrongHash { expected, actual } if expected == wrong && actual == right));
        assert!(refused.to_string().contains(&hex::encode(right)));
    }
    // The hash is what is complained of first, whatever is in the file.
    let garbage = [b"ptau".as_slice(), &[0xff; 100]].concat();
    let expected = Some([0; 32]);
    let refused = Srs::from_reader(&mut garbage.as_slice(), 104, expected, K, &mut |_| ()).unwrap_err();
    assert!(matches!(refused, SrsError::WrongHash { .. }));
}

#[test]
fn truncated_files_and_bytes_after_the_end() {
    let Files { ptau, raw, sealed, .. } = good();
    for file in [&ptau, &raw, &sealed] {
        (0..file.len()).into_par_iter().for_each(|end| {
            let refused = refused(&file[..end]);
            let is_length = matches!(refused, SrsError::Length { .. } | SrsError::File(FileError::Length { .. }));
            assert!(is_length || matches!(refused, SrsError::UnknownForm), "{end} bytes: {refused}");
        });
        for more in [1, 64, 300_000] {
            let refused = refused(&[file.as_slice(), &vec![0; more]].concat());
            let is_length = matches!(refused, SrsError::Length { .. } | SrsError::File(FileError::Length { .. }));
            assert!(is_length, "{more} bytes more: {refused}");
        }
        // A file that shrinks while it is read.
        let shrunk = Srs::from_reader(&mut &file[..file.len() - 1], file.len() as u64, None, K, &mut |_| ());
        assert!(matches!(shrunk, Err(SrsError::Read(_))));
    }
}

#[test]
fn another_curve() {
    for change in 0..32 {
        let mut prime = ptau::PRIME;
        prime[change] ^= 1;
        assert!(matches!(refused(&bent(0, |section| section.1 = header(&prime, K))), SrsError::WrongCurve));
    }
    // BLS12-381 has coordinates of 48 bytes.
    assert!(matches!(refused(&bent(0, |section| section.1 = header(&[0x11; 48], K))), SrsError::WrongCurve));
}

#[test]
fn no_form_at_all() {
    for bytes in [vec![0; 100], vec![0xff; 100], b"{\"curve\":\"bn254\"}".to_vec(), b"ptaus and more".to_vec()] {
        assert!(matches!(refused(&bytes), SrsError::UnknownForm | SrsError::Ptau(_)));
    }
    assert!(matches!(refused(&bent(0, |_| ())[..3]), SrsError::Length { .. }));
}

#[test]
fn sections_missing_twice_or_out_of_order() {
    let sections = good().sections;
    let of = |wanted: &[usize]| ptau(&wanted.iter().map(|&index| sections[index].clone()).collect::<Vec<_>>());
    for wanted in [&[][..], &[0], &[0, 1], &[0, 2], &[1, 0, 2], &[2, 0, 1], &[0, 1, 1, 2], &[0, 1, 2, 2], &[0, 0, 1, 2]]
    {
        assert!(matches!(refused(&of(wanted)), SrsError::Ptau(_)), "{wanted:?}");
    }
    assert!(open(&of(&[0, 1, 2]), K).is_ok());
    let mut version = of(&[0, 1, 2]);
    version[4] = 2;
    assert!(matches!(refused(&version), SrsError::Ptau("unknown version")));
    version[4] = 1;
    version[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(refused(&version), SrsError::Ptau("too many sections")));
}

/// Sizes that are not there are refused before room is made for them: 2^28 powers would take 16 GiB.
#[test]
fn sizes_that_lie() {
    for power in [0, 29, 31, 32, 63, 64, u32::MAX] {
        let file = bent(0, |section| section.1 = header(&ptau::PRIME, power));
        assert!(matches!(refused(&file), SrsError::Ptau(_)), "power {power}");
    }
    for power in [K + 1, 20, 28] {
        let file = bent(0, |section| section.1 = header(&ptau::PRIME, power));
        assert!(matches!(open(&file, power.min(K_MAX)), Err(SrsError::Ptau(_))), "power {power}");
    }
    // A section that says it is as large as the header makes it, in a file that is not.
    let huge = bent(0, |section| section.1 = header(&ptau::PRIME, 20));
    for bytes in [u64::MAX, u64::MAX - 100, ((2 << 20) - 1) * 64, 0, 1] {
        let mut file = huge.clone();
        let at = BEFORE_HEADER + 44 + 4;
        file[at..at + 8].copy_from_slice(&u64::to_le_bytes(bytes));
        let refused = open(&file, 20).unwrap_err();
        assert!(matches!(refused, SrsError::Ptau(_) | SrsError::Length { .. }), "{bytes}: {refused}");
    }
    for bytes in [0, 43, 45, u64::MAX] {
        let mut file = good().ptau;
        file[BEFORE_HEADER - 8..BEFORE_HEADER].copy_from_slice(&u64::to_le_bytes(bytes));
        assert!(matches!(refused(&file), SrsError::Ptau(_)), "header of {bytes} bytes");
    }
    for k in [21, 28] {
        let raw = [u32::to_le_bytes(k).as_slice(), &[0; 1000]].concat();
        assert!(matches!(open(&raw, 21), Err(SrsError::Length { .. })));
    }
}

#[test]
fn too_few_powers() {
    let Files { ptau, raw, sealed, .. } = good();
    for file in [ptau, raw, sealed] {
        assert!(matches!(open(&file, 4), Err(SrsError::TooSmall { needed: 4, available: K })));
        for k in [0, K_MAX + 1, u32::MAX] {
            assert!(matches!(open(&file, k), Err(SrsError::Size(refused)) if refused == k));
        }
    }
}

#[test]
fn points_off_their_curves() {
    let group = |section: usize| ["tauG1", "tauG2"][section - 1];
    // One more in a coordinate, and a coordinate that is the prime: 0, said otherwise.
    for (section, point, size) in [(1, 0, 64), (1, 5, 64), (2, 0, 128), (2, 1, 128)] {
        for change in [0, 1] {
            let file = bent(section, |(_, content)| {
                let coordinate = &mut content[point * size..][..32];
                if change == 0 { coordinate[0] ^= 1 } else { coordinate.copy_from_slice(&ptau::PRIME) }
            });
            let refused = refused(&file);
            let as_expected =
                matches!(refused, SrsError::OffCurve { group: g, index } if (g, index) == (group(section), point));
            assert!(as_expected, "{refused}");
        }
    }
    let mut raw = good().raw;
    raw[4 + 64 * 8 + 3 * 64] ^= 1;
    for file in [sealed(0, &raw), raw] {
        assert!(matches!(refused(&file), SrsError::OffCurve { group: "Lagrange", index: 3 }));
    }
}

#[test]
fn the_identity() {
    for (section, point, size, group) in [(1, 0, 64, "tauG1"), (1, 4, 64, "tauG1"), (2, 1, 128, "tauG2")] {
        let file = bent(section, |(_, content)| content[point * size..][..size].fill(0));
        let refused = refused(&file);
        assert!(matches!(refused, SrsError::Identity { group: g, index } if (g, index) == (group, point)), "{refused}");
    }
}

#[test]
fn a_secret_outside_the_group_of_the_pairing() {
    let generator = G2Affine::generator();
    let b = generator.y.square() - generator.x.square() * generator.x;
    let on_curve = |x: u64| {
        let x = Fq2::from(x);
        let y = Option::<Fq2>::from((x.square() * x + b).sqrt())?;
        Option::<G2Affine>::from(G2Affine::from_xy(x, y))
    };
    let outside = (1..).filter_map(on_curve).find(|point| !in_subgroup(point)).unwrap();
    let (g1, mut g2) = points();
    g2[1] = outside;
    let Files { ptau, raw, sealed, .. } = Files::of_points(&g1, &g2, K);
    for file in [ptau, raw, sealed] {
        assert!(matches!(refused(&file), SrsError::Subgroup));
    }
}

#[test]
fn other_generators_and_secrets_that_are_none() {
    let (g1, g2) = points();
    let doubled: Vec<G2Affine> = g2.iter().map(|point| (*point + *point).to_affine()).collect();
    let refused_points = |g1: &[G1Affine], g2: &[G2Affine]| {
        let Files { ptau, raw, sealed, .. } = Files::of_points(g1, g2, K);
        [ptau, raw, sealed].map(|file| refused(&file))
    };
    // The string of the same secret over other generators.
    let shifted: Vec<G1Affine> = g1.iter().map(|point| (*point * Fr::from(3)).to_affine()).collect();
    assert!(refused_points(&shifted, &g2).iter().all(|error| matches!(error, SrsError::Generator(_))));
    assert!(refused_points(&g1, &doubled).iter().all(|error| matches!(error, SrsError::Generator(_))));
    // What `snarkjs powersoftau new` writes: every power is the generator.
    let new = Files::of_secret(Fr::ONE, K);
    assert!(matches!(refused(&new.ptau), SrsError::NoContribution));
    // 1 is a root of unity, so all points of the Lagrange form but one are the identity.
    for file in [new.raw, new.sealed] {
        assert!(matches!(refused(&file), SrsError::Identity { group: "Lagrange", index: 1 }));
    }
}

/// Proper points in the wrong places, or one that is another: only the structure tells.
#[test]
fn points_that_are_no_powers() {
    let bends: [Bend; 5] = [
        |g1, _| g1.swap(2, 3),
        |g1, _| g1[4] = (g1[4] + g1[4]).to_affine(),
        |g1, _| g1[7] = -g1[7],
        |g1, _| g1[1] = g1[2],
        |_, g2| g2[1] = g2[2],
    ];
    for (index, bend) in bends.into_iter().enumerate() {
        let (mut g1, mut g2) = points();
        bend(&mut g1, &mut g2);
        let Files { ptau, raw, sealed, .. } = Files::of_points(&g1, &g2, K);
        for file in [ptau, raw, sealed] {
            assert!(matches!(refused(&file), SrsError::Structure), "bend {index}");
        }
    }
    // The Lagrange form of a raw file: two points exchanged, and a proper point that is another.
    let (first, size) = (4 + 64 * 8, 64);
    let mut raw = good().raw;
    let (left, right) = raw[first..first + 2 * size].split_at_mut(size);
    left.swap_with_slice(right);
    assert!(matches!(refused(&raw), SrsError::Structure));
    // A point beyond those needed is not this string's.
    let (mut g1, g2) = points();
    g1.swap(4, 5);
    assert!(open(&Files::of_points(&g1, &g2, K).ptau, 2).is_ok());
}

/// Any byte changed: refused, or the very same string read from a file with another hash. The latter for what is passed
/// over: points beyond those needed, other sections, the size of the ceremony the file was cut from.
#[test]
fn no_flip_of_a_byte_gives_another_string() {
    let small = Files::of_secret(Fr::from(11), 2);
    for (file, changes_nothing_max) in [(&small.ptau, 500), (&small.raw, 0), (&small.sealed, 0)] {
        let good = open(file, 2).unwrap();
        let unchanged: usize = (0..file.len())
            .into_par_iter()
            .map(|at| {
                let mut bytes = file.clone();
                bytes[at] ^= 1 << (at % 8);
                let Ok(srs) = open(&bytes, 2) else { return 0 };
                assert_eq!(srs.digest(), good.digest(), "byte {at}");
                assert_ne!(srs.origin().unwrap().sha256, good.origin().unwrap().sha256);
                1
            })
            .sum();
        assert!(unchanged <= changes_nothing_max, "{unchanged} of {} changes are not seen", file.len());
    }
}
