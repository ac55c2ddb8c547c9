//! Sums of points by weights that follow each other, mostly by additions that do not wait for each other.
//!
//! Laid out as a matrix, points have a weight by row and one by column. So the sum over all is that over the rows' sums and
//! that over the columns' sums: two additions for each point, which share inversions, and few sums that remain.

use halo2curves_axiom::group::Group;

use super::addition::Adder;
use crate::{G1, G1Affine};

/// Points below this many are summed up in projective coordinates, one after the other.
const FEW: usize = 1 << 4;

/// A sum with weights 0, 1, 2 and so on, and the one without.
#[derive(Clone, Copy)]
pub struct Sums {
    /// `sum(i * points[i])`
    pub weighted: G1,
    /// `sum(points[i])`
    pub plain: G1,
}

/// Sums up a power of two of points.
pub fn sum(points: &[G1Affine], adder: &mut Adder) -> Sums {
    if points.len() <= FEW {
        return sum_few(points);
    }
    let shift = points.len().ilog2() / 2;
    let (width, height) = (1_usize << shift, points.len() >> shift);
    let mut arena = points.repeat(2);
    let mut pairs = Vec::with_capacity(points.len());
    // The row with number r begins at `r * width`; the column with number c begins c behind the first copy.
    for step in 1..=shift.max(height.ilog2()) {
        pairs.clear();
        let half = width >> step;
        pairs.extend((0..height * half).map(|i| {
            let left = i / half * width + i % half;
            (left as u32, (left + half) as u32)
        }));
        let half = (height >> step) * width;
        pairs.extend((points.len()..points.len() + half).map(|left| (left as u32, (left + half) as u32)));
        adder.add_pairs(&mut arena, &pairs);
    }
    let rows: Vec<G1Affine> = arena[..points.len()].iter().step_by(width).copied().collect();
    let rows = sum(&rows, adder);
    let columns = sum(&arena[points.len()..points.len() + width], adder);
    let by_row = (0..shift).fold(rows.weighted, |sum, _| sum.double());
    Sums { weighted: by_row + columns.weighted, plain: rows.plain }
}

fn sum_few(points: &[G1Affine]) -> Sums {
    let (mut running, mut weighted) = (G1::identity(), G1::identity());
    for point in points.iter().rev() {
        weighted += running;
        running += point;
    }
    Sums { weighted, plain: running }
}

#[cfg(test)]
mod tests {
    use halo2curves_axiom::{
        bn256::Fr,
        group::{Curve, prime::PrimeCurveAffine},
    };
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::cpu::Arithmetic;

    #[test]
    fn sums_are_those_of_the_definition() {
        let mut rng = ChaCha20Rng::seed_from_u64(31);
        for log_n in 0..=10 {
            let mut points: Vec<G1Affine> = (0..1 << log_n).map(|_| G1::random(&mut rng).to_affine()).collect();
            points.iter_mut().skip(1).step_by(3).for_each(|point| *point = G1Affine::identity());
            let plain: G1 = points.iter().map(PrimeCurveAffine::to_curve).sum();
            let weighted: G1 = (0..).zip(&points).map(|(weight, point)| *point * Fr::from(weight)).sum();
            for arithmetic in [Arithmetic::SCALAR, Arithmetic::detect()] {
                let sums = sum(&points, &mut Adder::new(arithmetic));
                assert_eq!((sums.weighted, sums.plain), (weighted, plain), "2^{log_n} points");
            }
        }
    }
}
