//! Additions of affine points in lanes: eight chains of products, which share one inversion.

use std::arch::x86_64::__mmask8;

use halo2curves_axiom::{
    bn256::Fq,
    ff::{BatchInvert, Field},
};

use super::{
    Ifma,
    field::{ALL, Lanes},
    memory::{load, load_points, rows_of_points, store_point},
};
use crate::G1Affine;

/// Pairs that share an inversion. It costs as much as some forty additions in lanes; the products of more pairs would
/// leave the first-level cache.
const BATCH: usize = 1 << 10;

/// What the way back needs of eight additions.
struct Step {
    denominator: Lanes<Fq>,
    /// The product of the denominators before.
    before: Lanes<Fq>,
    special: Option<Special>,
}

/// Eight chains of additions.
pub struct Chains {
    ifma: Ifma,
    steps: Vec<Step>,
}

impl Chains {
    /// No additions yet.
    pub fn new(ifma: Ifma) -> Self {
        Self { ifma, steps: Vec::with_capacity(BATCH / 8) }
    }

    /// Adds the second point of each pair to the first. No place may be in two pairs.
    pub fn add_pairs(&mut self, arena: &mut [G1Affine], pairs: &[(u32, u32)]) {
        let Self { ifma: Ifma(()), steps } = self;
        for batch in pairs.chunks(BATCH) {
            // SAFETY: an `Ifma` exists only where the processor has the instructions.
            unsafe { add_batch(steps, arena, batch) }
        }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn add_batch(steps: &mut Vec<Step>, arena: &mut [G1Affine], pairs: &[(u32, u32)]) {
    steps.clear();
    let mut product = Lanes::small(1);
    for group in pairs.chunks(8) {
        let (denominator, special) = denominator(places(arena, group));
        steps.push(Step { denominator, before: product, special });
        product = product.times(denominator);
    }
    let mut inverse = invert(product);
    for (group, step) in pairs.chunks(8).zip(steps.iter()).rev() {
        let (x, y) = sum(places(arena, group), inverse.times(step.before), step.special.as_ref());
        inverse = inverse.times(step.denominator);
        for (&(left, _), row) in group.iter().zip(rows_of_points(x, y)) {
            store_point(&mut arena[left as usize], row);
        }
    }
}

/// The points of up to eight pairs, left and right. What lacks is the identity.
#[inline]
fn places<'a>(arena: &'a [G1Affine], group: &[(u32, u32)]) -> [[&'a G1Affine; 8]; 2] {
    let mut places = [[&IDENTITY; 8]; 2];
    for (lane, &(left, right)) in group.iter().enumerate() {
        places[0][lane] = &arena[left as usize];
        places[1][lane] = &arena[right as usize];
    }
    places
}

/// The identity is written as (0, 0), which is no point of the curve.
static IDENTITY: G1Affine = G1Affine { x: Fq::ZERO, y: Fq::ZERO };

/// What is special about pairs, by lane.
struct Special {
    left_identity: __mmask8,
    right_identity: __mmask8,
    /// Equal points, which are doubled. No point of this curve has order two.
    equal: __mmask8,
    /// A point and its negative.
    opposite: __mmask8,
}

impl Special {
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn of(left: &(Lanes<Fq>, Lanes<Fq>), right: &(Lanes<Fq>, Lanes<Fq>)) -> Self {
        let left_identity = left.0.zero() & left.1.zero();
        let right_identity = right.0.zero() & right.1.zero();
        let same = left.0.minus(right.0).zero() & !left_identity & !right_identity;
        let equal = same & left.1.minus(right.1).zero();
        Self { left_identity, right_identity, equal, opposite: same & !equal }
    }

    /// The denominator where there is something special: one where there is no slope.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn denominator(&self, difference: Lanes<Fq>, y: Lanes<Fq>) -> Lanes<Fq> {
        let none = self.left_identity | self.right_identity | self.opposite;
        difference.or_else(none, Lanes::small(1)).or_else(self.equal, y.plus(y).tight())
    }

    /// A coordinate of the sum, where what the formula gives is not it.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn select(&self, sum: Lanes<Fq>, left: Lanes<Fq>, right: Lanes<Fq>) -> Lanes<Fq> {
        let sum = sum.or_else(self.opposite, Lanes::small(0));
        sum.or_else(self.right_identity, left).or_else(self.left_identity, right)
    }
}

/// Whether any pair needs a look at what is special about it. An x of zero is as rare as two equal ones; the identity has
/// one too.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn is_special(left_x: Lanes<Fq>, right_x: Lanes<Fq>) -> bool {
    left_x.zero() | right_x.zero() | left_x.minus(right_x).zero() != 0
}

/// `right - left`, tight and below `2 p`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn difference(right: Lanes<Fq>, left: Lanes<Fq>) -> Lanes<Fq> {
    right.minus(left).plus_primes(ALL, 1).tight()
}

/// What the slopes of the lines through pairs of points divide by: tight, below `2 p`, and not a multiple of `p`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn denominator([left, right]: [[&G1Affine; 8]; 2]) -> (Lanes<Fq>, Option<Special>) {
    let (left_x, right_x) = (load(left.map(|point| &point.x)), load(right.map(|point| &point.x)));
    let difference = difference(right_x, left_x);
    if !is_special(left_x, right_x) {
        return (difference, None);
    }
    let (left, right) = (load_points(left), load_points(right));
    let special = Special::of(&left, &right);
    (special.denominator(difference, left.1), Some(special))
}

/// The sums of pairs, given the inverses of their denominators.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn sum([left, right]: [[&G1Affine; 8]; 2], inverse: Lanes<Fq>, special: Option<&Special>) -> (Lanes<Fq>, Lanes<Fq>) {
    let (left, right) = (load_points(left), load_points(right));
    let mut rise = difference(right.1, left.1);
    if let Some(special) = special.filter(|special| special.equal != 0) {
        let square = left.0.times(left.0.shift4());
        rise = rise.or_else(special.equal, square.plus(square).plus(square).tight());
    }
    let (x, y) = chord(rise.times(inverse), left, right.0);
    match special {
        None => (x, y),
        Some(special) => (special.select(x, left.0, right.0), special.select(y, left.1, right.1)),
    }
}

/// The third point of a line with its y turned over, as memory holds it. The slope is below `1.1 p`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn chord(slope: Lanes<Fq>, left: (Lanes<Fq>, Lanes<Fq>), right_x: Lanes<Fq>) -> (Lanes<Fq>, Lanes<Fq>) {
    let slope16 = slope.shift4();
    // The square is below 1.3 p.
    let x = slope.times_loose(slope16).minus(left.0).minus(right_x).canonical();
    let y = difference(left.0, x).times_loose(slope16).minus(left.1).canonical();
    (x, y)
}

/// For each lane the number that, times the product, gives 2^516: times a product of some of the factors and over 2^260
/// it is 2^260 over the product of the others, by the way in which [`Lanes::times`] loses 2^260 each time.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn invert(product: Lanes<Fq>) -> Lanes<Fq> {
    let mut points = [IDENTITY; 8];
    for (point, row) in points.iter_mut().zip(rows_of_points(product.canonical(), Lanes::small(0))) {
        store_point(point, row);
    }
    let mut products = points.map(|point| point.x);
    // Elements stand for themselves times 2^256, so that inverses come out of 2^512.
    products.iter_mut().batch_invert();
    for (point, inverse) in points.iter_mut().zip(products) {
        point.x = inverse * Fq::from(16);
    }
    load(points.each_ref().map(|point| &point.x))
}
