//! Between memory, where the words of an element lie beside each other, and lanes, where the same word of eight does.

use std::{
    arch::x86_64::{
        __m512i, _mm256_loadu_si256, _mm256_storeu_si256, _mm512_castsi256_si512, _mm512_castsi512_si256,
        _mm512_extracti64x4_epi64, _mm512_inserti64x4, _mm512_loadu_si512, _mm512_permutex2var_epi64, _mm512_set_epi64,
        _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_storeu_si512, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
    },
    mem::offset_of,
};

use halo2curves_axiom::bn256::{Fq, Fr};

use super::field::{Lanes, Prime};
use crate::G1Affine;

// An element is a structure around four words: with this size it is nothing else. What the words mean is tested.
const _: () = assert!(size_of::<Fq>() == 32 && size_of::<Fr>() == 32);
const _: () = assert!(size_of::<G1Affine>() == 64 && offset_of!(G1Affine, x) == 0 && offset_of!(G1Affine, y) == 32);

/// The coordinates of eight points.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn load_points(points: [&G1Affine; 8]) -> (Lanes<Fq>, Lanes<Fq>) {
    let mut rows = [_mm512_setzero_si512(); 8];
    for (row, point) in rows.iter_mut().zip(points) {
        // SAFETY: a point has the 64 bytes that are read.
        *row = unsafe { _mm512_loadu_si512(std::ptr::from_ref(point).cast()) };
    }
    let [a, b, c, d, e, f, g, h] = transpose(rows);
    (Lanes::from_words([a, b, c, d]), Lanes::from_words([e, f, g, h]))
}

/// Points with coordinates below 2^256 as rows, to be stored one by one.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn rows_of_points(x: Lanes<Fq>, y: Lanes<Fq>) -> [__m512i; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (x.to_words(), y.to_words());
    transpose([a, b, c, d, e, f, g, h])
}

/// Writes a row of [`rows_of_points`].
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn store_point(place: &mut G1Affine, row: __m512i) {
    // SAFETY: a point has the 64 bytes that are written, and is made of integers alone.
    unsafe { _mm512_storeu_si512(std::ptr::from_mut(place).cast(), row) }
}

/// Eight elements from anywhere.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn load<F: Prime>(elements: [&F; 8]) -> Lanes<F> {
    const { assert!(size_of::<F>() == 32) }
    let [a, b, c, d, e, f, g, h] = elements;
    let mut pairs = [_mm512_setzero_si512(); 4];
    for (pair, (low, high)) in pairs.iter_mut().zip([(a, c), (b, d), (e, g), (f, h)]) {
        // SAFETY: an element has the 32 bytes that are read.
        let [low, high] = unsafe {
            [_mm256_loadu_si256(std::ptr::from_ref(low).cast()), _mm256_loadu_si256(std::ptr::from_ref(high).cast())]
        };
        *pair = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
    }
    Lanes::from_words(words_of_pairs(pairs))
}

/// Eight elements beside each other.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn load_slice<F: Prime>(elements: &[F; 8]) -> Lanes<F> {
    load(elements.each_ref())
}

/// Writes eight elements beside each other. Numbers are what memory holds.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn store_slice<F: Prime>(elements: &mut [F; 8], lanes: Lanes<F>) {
    const { assert!(size_of::<F>() == 32) }
    let [a, b, c, d] = lanes.to_words();
    let (even_low, even_high) = (_mm512_unpacklo_epi64(a, b), _mm512_unpacklo_epi64(c, d));
    let (odd_low, odd_high) = (_mm512_unpackhi_epi64(a, b), _mm512_unpackhi_epi64(c, d));
    let first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    let second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    let pairs = [
        (0, _mm512_permutex2var_epi64(even_low, first, even_high)),
        (1, _mm512_permutex2var_epi64(odd_low, first, odd_high)),
        (4, _mm512_permutex2var_epi64(even_low, second, even_high)),
        (5, _mm512_permutex2var_epi64(odd_low, second, odd_high)),
    ];
    for (index, pair) in pairs {
        // SAFETY: an element has the 32 bytes that are written, and is made of integers alone.
        unsafe {
            _mm256_storeu_si256(std::ptr::from_mut(&mut elements[index]).cast(), _mm512_castsi512_si256(pair));
            let high = _mm512_extracti64x4_epi64::<1>(pair);
            _mm256_storeu_si256(std::ptr::from_mut(&mut elements[index + 2]).cast(), high);
        }
    }
}

/// The words of an element.
pub fn words<F: Prime>(element: &F) -> [u64; 4] {
    const { assert!(size_of::<F>() == 32) }
    // SAFETY: an element has the 32 bytes that are read, and is made of integers alone.
    unsafe { std::ptr::from_ref(element).cast::<[u64; 4]>().read_unaligned() }
}

/// Takes pairs of rows apart: the first holds the rows 0 and 2, the second 1 and 3, the others 4 and 6, 5 and 7.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn words_of_pairs([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (even, odd) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let (even_high, odd_high) = (_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
    [
        _mm512_shuffle_i64x2::<0b10_00_10_00>(even, even_high),
        _mm512_shuffle_i64x2::<0b10_00_10_00>(odd, odd_high),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(even, even_high),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(odd, odd_high),
    ]
}

/// Rows become columns.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub fn transpose([a, b, c, d, e, f, g, h]: [__m512i; 8]) -> [__m512i; 8] {
    // Columns 0, 4, 2 and 6 come from the even words, the others from the odd ones.
    let even = quarter([
        _mm512_unpacklo_epi64(a, b),
        _mm512_unpacklo_epi64(c, d),
        _mm512_unpacklo_epi64(e, f),
        _mm512_unpacklo_epi64(g, h),
    ]);
    let odd = quarter([
        _mm512_unpackhi_epi64(a, b),
        _mm512_unpackhi_epi64(c, d),
        _mm512_unpackhi_epi64(e, f),
        _mm512_unpackhi_epi64(g, h),
    ]);
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}

/// Transposes four by four pairs of words.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn quarter([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (first, second) = (_mm512_shuffle_i64x2::<0b10_00_10_00>(a, b), _mm512_shuffle_i64x2::<0b10_00_10_00>(c, d));
    let (third, fourth) = (_mm512_shuffle_i64x2::<0b11_01_11_01>(a, b), _mm512_shuffle_i64x2::<0b11_01_11_01>(c, d));
    [
        _mm512_shuffle_i64x2::<0b10_00_10_00>(first, second),
        _mm512_shuffle_i64x2::<0b10_00_10_00>(third, fourth),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(first, second),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(third, fourth),
    ]
}
