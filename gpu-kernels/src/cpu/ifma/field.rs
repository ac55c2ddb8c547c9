//! Eight elements of a prime field at a time: five limbs of 52 bits, which is what the processor multiplies.
//!
//! A product is reduced by 2^260, so [`Lanes::times`] gives `a * b / 2^260`. Elements in memory stand for themselves times
//! 2^256; whoever multiplies two of them brings the factor of 16 with [`Lanes::shift4`], and whoever multiplies one by a
//! constant prepares that constant instead.
//!
//! Limbs are *tight* where each is below 2^52 and the number is not negative, *loose* where they are signed sums of a few
//! tight ones. Only tight numbers can be multiplied. Comments give bounds as multiples of the prime `p`; 2^260 is 84.6 p.

use std::{
    arch::x86_64::{
        __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64,
        _mm512_mask_add_epi64, _mm512_mask_blend_epi64, _mm512_movepi64_mask, _mm512_or_si512, _mm512_set1_epi64,
        _mm512_setzero_si512, _mm512_slli_epi64, _mm512_srai_epi64, _mm512_srli_epi64, _mm512_sub_epi64,
        _mm512_testn_epi64_mask,
    },
    marker::PhantomData,
};

use halo2curves_axiom::bn256::{Fq, Fr};

/// Bits of a limb.
const BITS: u32 = 52;
const MASK: u64 = (1 << BITS) - 1;

/// A field whose elements are kept in four words, times 2^256.
///
/// # Safety
///
/// The type is its four words and nothing else, and no words are invalid for it.
pub unsafe trait Prime: Copy {
    /// The prime in words.
    const WORDS: [u64; 4];
    /// The prime in limbs.
    const LIMBS: [u64; 5] = split(Self::WORDS);
    /// `-1 / p` modulo 2^52.
    const INVERSE: u64 = negative_inverse(Self::WORDS[0]);
}

// SAFETY: the type is a structure around an array of four words; `memory` asserts that it is not larger.
unsafe impl Prime for Fq {
    const WORDS: [u64; 4] = [0x3c208c16d87cfd47, 0x97816a916871ca8d, 0xb85045b68181585d, 0x30644e72e131a029];
}

// SAFETY: as above.
unsafe impl Prime for Fr {
    const WORDS: [u64; 4] = [0x43e1f593f0000001, 0x2833e84879b97091, 0xb85045b68181585d, 0x30644e72e131a029];
}

/// Words as limbs.
pub const fn split(words: [u64; 4]) -> [u64; 5] {
    let [a, b, c, d] = words;
    [a & MASK, (a >> 52 | b << 12) & MASK, (b >> 40 | c << 24) & MASK, (c >> 28 | d << 36) & MASK, d >> 16]
}

/// Newton's iteration doubles the bits that are right.
const fn negative_inverse(odd: u64) -> u64 {
    let (mut inverse, mut round) = (1_u64, 0);
    while round < 6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        round += 1;
    }
    inverse.wrapping_neg() & MASK
}

/// Eight numbers that stand for elements of `F`.
#[derive(Clone, Copy)]
pub struct Lanes<F> {
    pub(super) limbs: [__m512i; 5],
    field: PhantomData<F>,
}

impl<F: Prime> Lanes<F> {
    /// The same number, below 2^52, in every lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn small(number: u64) -> Self {
        let mut limbs = [_mm512_setzero_si512(); 5];
        limbs[0] = _mm512_set1_epi64(number.cast_signed());
        Self::of(limbs)
    }

    /// The same number in every lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn splat(number: &[u64; 5]) -> Self {
        let mut limbs = [_mm512_setzero_si512(); 5];
        for (limb, number) in limbs.iter_mut().zip(number) {
            *limb = _mm512_set1_epi64(number.cast_signed());
        }
        Self::of(limbs)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn of(limbs: [__m512i; 5]) -> Self {
        Self { limbs, field: PhantomData }
    }

    /// From words, by word, then lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn from_words(words: [__m512i; 4]) -> Self {
        let [a, b, c, d] = words;
        let mask = _mm512_set1_epi64(MASK.cast_signed());
        let first = _mm512_and_si512(a, mask);
        let second = _mm512_or_si512(_mm512_srli_epi64::<52>(a), _mm512_slli_epi64::<12>(b));
        let third = _mm512_or_si512(_mm512_srli_epi64::<40>(b), _mm512_slli_epi64::<24>(c));
        let fourth = _mm512_or_si512(_mm512_srli_epi64::<28>(c), _mm512_slli_epi64::<36>(d));
        let [second, third, fourth] =
            [_mm512_and_si512(second, mask), _mm512_and_si512(third, mask), _mm512_and_si512(fourth, mask)];
        Self::of([first, second, third, fourth, _mm512_srli_epi64::<16>(d)])
    }

    /// To words. The number is tight and below 2^256.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn to_words(self) -> [__m512i; 4] {
        let [a, b, c, d, e] = self.limbs;
        [
            _mm512_or_si512(a, _mm512_slli_epi64::<52>(b)),
            _mm512_or_si512(_mm512_srli_epi64::<12>(b), _mm512_slli_epi64::<40>(c)),
            _mm512_or_si512(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<28>(d)),
            _mm512_or_si512(_mm512_srli_epi64::<36>(d), _mm512_slli_epi64::<16>(e)),
        ]
    }

    /// `a * b / 2^260`: tight, and below `(1 + x y / 84.6) p` for tight factors of at most `x p` and `y p`,
    /// of which one is at most 80 p: else there may be no limb for the last bit.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn times(self, other: Self) -> Self {
        self.times_loose(other).tight()
    }

    /// The same with limbs below 2^57, for what is carried anyway after additions.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn times_loose(self, other: Self) -> Self {
        let zero = _mm512_setzero_si512();
        let mask = _mm512_set1_epi64(MASK.cast_signed());
        let inverse = _mm512_set1_epi64(F::INVERSE.cast_signed());
        // Ten terms below 2^52 of each product at most meet in a limb, twenty in all: sums stay below 2^57.
        let mut sum = [zero; 10];
        for (i, left) in self.limbs.into_iter().enumerate() {
            for (j, right) in other.limbs.into_iter().enumerate() {
                sum[i + j] = _mm512_madd52lo_epu64(sum[i + j], left, right);
                sum[i + j + 1] = _mm512_madd52hi_epu64(sum[i + j + 1], left, right);
            }
        }
        for i in 0..5 {
            // The multiplication takes the low 52 bits of a limb by itself.
            let factor = _mm512_madd52lo_epu64(zero, sum[i], inverse);
            for (j, limb) in F::LIMBS.into_iter().enumerate() {
                let limb = _mm512_set1_epi64(limb.cast_signed());
                if j > 0 {
                    sum[i + j] = _mm512_madd52lo_epu64(sum[i + j], factor, limb);
                }
                sum[i + j + 1] = _mm512_madd52hi_epu64(sum[i + j + 1], factor, limb);
            }
            // The lowest product would make this limb a multiple of 2^52: what it carries is the limb, rounded up.
            let carry = _mm512_srli_epi64::<BITS>(_mm512_add_epi64(sum[i], mask));
            sum[i + 1] = _mm512_add_epi64(sum[i + 1], carry);
        }
        let [_, _, _, _, _, a, b, c, d, e] = sum;
        Self::of([a, b, c, d, e])
    }

    /// Sixteen times a tight number.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn shift4(self) -> Self {
        let mask = _mm512_set1_epi64(MASK.cast_signed());
        let [a, b, c, d, e] = self.limbs;
        let [mut b4, mut c4, mut d4] =
            [_mm512_slli_epi64::<4>(b), _mm512_slli_epi64::<4>(c), _mm512_slli_epi64::<4>(d)];
        b4 = _mm512_and_si512(_mm512_or_si512(b4, _mm512_srli_epi64::<48>(a)), mask);
        c4 = _mm512_and_si512(_mm512_or_si512(c4, _mm512_srli_epi64::<48>(b)), mask);
        d4 = _mm512_and_si512(_mm512_or_si512(d4, _mm512_srli_epi64::<48>(c)), mask);
        let e4 = _mm512_or_si512(_mm512_slli_epi64::<4>(e), _mm512_srli_epi64::<48>(d));
        Self::of([_mm512_and_si512(_mm512_slli_epi64::<4>(a), mask), b4, c4, d4, e4])
    }

    /// The sum, loose.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn plus(self, other: Self) -> Self {
        let mut limbs = self.limbs;
        for (limb, other) in limbs.iter_mut().zip(other.limbs) {
            *limb = _mm512_add_epi64(*limb, other);
        }
        Self::of(limbs)
    }

    /// The difference, loose.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn minus(self, other: Self) -> Self {
        let mut limbs = self.limbs;
        for (limb, other) in limbs.iter_mut().zip(other.limbs) {
            *limb = _mm512_sub_epi64(*limb, other);
        }
        Self::of(limbs)
    }

    /// Adds `factor * p` in some lanes, loose. The factor is small.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn plus_primes(self, lanes: __mmask8, factor: i64) -> Self {
        let mut limbs = self.limbs;
        for (limb, prime) in limbs.iter_mut().zip(F::LIMBS) {
            *limb = _mm512_mask_add_epi64(*limb, lanes, *limb, _mm512_set1_epi64(factor * prime.cast_signed()));
        }
        Self::of(limbs)
    }

    /// Carries. All limbs but the last are below 2^52 then; the last has the sign of the number.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn tight(self) -> Self {
        let mask = _mm512_set1_epi64(MASK.cast_signed());
        let mut limbs = self.limbs;
        for i in 0..4 {
            limbs[i + 1] = _mm512_add_epi64(limbs[i + 1], _mm512_srai_epi64::<BITS>(limbs[i]));
            limbs[i] = _mm512_and_si512(limbs[i], mask);
        }
        Self::of(limbs)
    }

    /// The lanes whose number, carried, is negative.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn negative(self) -> __mmask8 {
        _mm512_movepi64_mask(self.limbs[4])
    }

    /// From a loose number between `-2 p` and `2 p` to the one that memory holds, between 0 and `p`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn canonical(self) -> Self {
        let lifted = self.plus_primes(self.tight().negative(), 2).plus_primes(ALL, -1);
        let lowered = lifted.tight();
        lowered.plus_primes(lowered.negative(), 1).tight()
    }

    /// The lanes of `other` where the mask says so.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn or_else(self, lanes: __mmask8, other: Self) -> Self {
        let mut limbs = self.limbs;
        for (limb, other) in limbs.iter_mut().zip(other.limbs) {
            *limb = _mm512_mask_blend_epi64(lanes, *limb, other);
        }
        Self::of(limbs)
    }

    /// The lanes in which all limbs are zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub fn zero(self) -> __mmask8 {
        let [a, b, c, d, e] = self.limbs;
        let any = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(_mm512_or_si512(c, d), e));
        _mm512_testn_epi64_mask(any, any)
    }
}

/// All lanes.
pub const ALL: __mmask8 = 0xff;
