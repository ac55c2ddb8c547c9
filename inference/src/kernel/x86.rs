//! The vectors of x86-64, and the entry points compiled for each kind.

use std::arch::x86_64::*;

use super::pack::Packed;
use super::tile::{LOW_BITS, LOW_MASK, Lanes, Pointers, score_with};
use super::{BLOCK, SHIFT};

/// AVX-512 with BW.
pub(super) struct Avx512;
/// AVX-512 with BW and VNNI.
struct Avx512Vnni;
/// AVX2.
pub(super) struct Avx2;

/// # Safety
///
/// As [`score_with`]; the processor must have the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn score_vnni(packed: &Packed, windows: usize, buffers: [Pointers; 2], scores: &mut [i32; BLOCK]) {
    // SAFETY: the caller's.
    unsafe { score_with::<Avx512Vnni>(packed, windows, buffers, scores) }
}

/// # Safety
///
/// As [`score_with`]; the processor must have the features named.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn score_avx512(packed: &Packed, windows: usize, buffers: [Pointers; 2], scores: &mut [i32; BLOCK]) {
    // SAFETY: the caller's.
    unsafe { score_with::<Avx512>(packed, windows, buffers, scores) }
}

/// # Safety
///
/// As [`score_with`]; the processor must have the feature named.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn score_avx2(packed: &Packed, windows: usize, buffers: [Pointers; 2], scores: &mut [i32; BLOCK]) {
    // SAFETY: the caller's.
    unsafe { score_with::<Avx2>(packed, windows, buffers, scores) }
}

// The functions below are inlined into the entry points above, which have the instructions. Loads and stores are the
// unaligned ones; how many elements they touch is what the trait says.

impl Lanes for Avx512 {
    const COUNT: usize = 16;
    type Sums = __m512i;
    type Numbers = __m512i;

    #[inline(always)]
    unsafe fn zeros() -> __m512i {
        // SAFETY: the caller's: the processor has AVX-512.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn sums(from: *const i32) -> __m512i {
        // SAFETY: the caller's: there are sixteen.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn numbers(from: *const i16) -> __m512i {
        // SAFETY: the caller's: there are 32.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn pair(from: *const i16) -> __m512i {
        // SAFETY: the caller's: there are two.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn add_products(sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's: the processor has AVX-512 with BW.
        unsafe { _mm512_add_epi32(sums, _mm512_madd_epi16(a, b)) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's: the processor has AVX-512.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn raised(sums: __m512i) -> __m512i {
        // SAFETY: the caller's: the processor has AVX-512.
        unsafe { _mm512_slli_epi32::<LOW_BITS>(sums) }
    }

    #[inline(always)]
    unsafe fn split(sums: __m512i) -> [__m512i; 2] {
        // SAFETY: the caller's: the processor has AVX-512.
        unsafe { [_mm512_and_si512(sums, _mm512_set1_epi32(LOW_MASK)), _mm512_srli_epi32::<LOW_BITS>(sums)] }
    }

    #[inline(always)]
    unsafe fn activated(sums: __m512i) -> __m512i {
        // SAFETY: the caller's: the processor has AVX-512.
        unsafe { _mm512_max_epi32(_mm512_srai_epi32::<SHIFT>(sums), _mm512_setzero_si512()) }
    }

    #[inline(always)]
    unsafe fn union(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's: the processor has AVX-512.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn store(sums: __m512i, to: *mut i16, count: usize) {
        // SAFETY: the caller's: there is room for `count`, which is at most sixteen; the mask names as many.
        unsafe { _mm512_mask_cvtepi32_storeu_epi16(to.cast(), (u32::MAX >> (32 - count)) as u16, sums) }
    }

    #[inline(always)]
    unsafe fn array(sums: __m512i) -> [i32; 16] {
        // SAFETY: both are 64 bytes of plain integers.
        unsafe { std::mem::transmute(sums) }
    }
}

impl Lanes for Avx512Vnni {
    const COUNT: usize = 16;
    type Sums = __m512i;
    type Numbers = __m512i;

    #[inline(always)]
    unsafe fn zeros() -> __m512i {
        // SAFETY: the caller's.
        unsafe { Avx512::zeros() }
    }

    #[inline(always)]
    unsafe fn sums(from: *const i32) -> __m512i {
        // SAFETY: the caller's.
        unsafe { Avx512::sums(from) }
    }

    #[inline(always)]
    unsafe fn numbers(from: *const i16) -> __m512i {
        // SAFETY: the caller's.
        unsafe { Avx512::numbers(from) }
    }

    #[inline(always)]
    unsafe fn pair(from: *const i16) -> __m512i {
        // SAFETY: the caller's.
        unsafe { Avx512::pair(from) }
    }

    #[inline(always)]
    unsafe fn add_products(sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's: the processor has VNNI.
        unsafe { _mm512_dpwssd_epi32(sums, a, b) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { Avx512::add(a, b) }
    }

    #[inline(always)]
    unsafe fn raised(sums: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { Avx512::raised(sums) }
    }

    #[inline(always)]
    unsafe fn split(sums: __m512i) -> [__m512i; 2] {
        // SAFETY: the caller's.
        unsafe { Avx512::split(sums) }
    }

    #[inline(always)]
    unsafe fn activated(sums: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { Avx512::activated(sums) }
    }

    #[inline(always)]
    unsafe fn union(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { Avx512::union(a, b) }
    }

    #[inline(always)]
    unsafe fn store(sums: __m512i, to: *mut i16, count: usize) {
        // SAFETY: the caller's.
        unsafe { Avx512::store(sums, to, count) }
    }

    #[inline(always)]
    unsafe fn array(sums: __m512i) -> [i32; 16] {
        // SAFETY: the caller's.
        unsafe { Avx512::array(sums) }
    }
}

impl Lanes for Avx2 {
    const COUNT: usize = 8;
    type Sums = __m256i;
    type Numbers = __m256i;

    #[inline(always)]
    unsafe fn zeros() -> __m256i {
        // SAFETY: the caller's: the processor has AVX2.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn sums(from: *const i32) -> __m256i {
        // SAFETY: the caller's: there are eight.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn numbers(from: *const i16) -> __m256i {
        // SAFETY: the caller's: there are sixteen.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn pair(from: *const i16) -> __m256i {
        // SAFETY: the caller's: there are two.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn add_products(sums: __m256i, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's: the processor has AVX2.
        unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(a, b)) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's: the processor has AVX2.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn raised(sums: __m256i) -> __m256i {
        // SAFETY: the caller's: the processor has AVX2.
        unsafe { _mm256_slli_epi32::<{ LOW_BITS as i32 }>(sums) }
    }

    #[inline(always)]
    unsafe fn split(sums: __m256i) -> [__m256i; 2] {
        // SAFETY: the caller's: the processor has AVX2.
        unsafe { [_mm256_and_si256(sums, _mm256_set1_epi32(LOW_MASK)), _mm256_srli_epi32::<{ LOW_BITS as i32 }>(sums)] }
    }

    #[inline(always)]
    unsafe fn activated(sums: __m256i) -> __m256i {
        // SAFETY: the caller's: the processor has AVX2.
        unsafe { _mm256_max_epi32(_mm256_srai_epi32::<{ SHIFT as i32 }>(sums), _mm256_setzero_si256()) }
    }

    #[inline(always)]
    unsafe fn union(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's: the processor has AVX2.
        unsafe { _mm256_or_si256(a, b) }
    }

    #[inline(always)]
    unsafe fn store(sums: __m256i, to: *mut i16, count: usize) {
        // SAFETY: the caller's: the processor has AVX2, and there is room for `count`, which is at most eight.
        unsafe {
            // Nothing saturates: 15 bits fit.
            let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(sums, sums));
            let low = _mm256_castsi256_si128(packed);
            if count == 8 {
                _mm_storeu_si128(to.cast(), low);
            } else {
                let low: [i16; 8] = std::mem::transmute(low);
                std::ptr::copy_nonoverlapping(low.as_ptr(), to, count);
            }
        }
    }

    #[inline(always)]
    unsafe fn array(sums: __m256i) -> [i32; 16] {
        // SAFETY: both are 32 bytes of plain integers.
        let sums: [i32; 8] = unsafe { std::mem::transmute(sums) };
        std::array::from_fn(|lane| sums.get(lane).copied().unwrap_or(0))
    }
}
