//! The arithmetic itself: tiles of rows by vectors of outputs, written once for vectors of any kind.

use super::pack::{Packed, PackedLayer, PackedRow, TAIL};
use super::{Activations, BLOCK, SHIFT, Units};

/// Rows of a tile. With two vectors of outputs its sums take half of AVX-512's registers.
const ROWS: usize = 8;
/// Bits of an activation that are kept apart from those above: what a signed 16-bit number holds.
pub(super) const LOW_BITS: u32 = 15;
pub(super) const LOW_MASK: i32 = (1 << LOW_BITS) - 1;

/// Vectors of 32-bit sums, and of twice as many 16-bit numbers.
///
/// # Safety
///
/// All functions need the instructions of the implementation, and pointers to as many elements as they say.
pub(super) trait Lanes {
    /// Sums of a vector.
    const COUNT: usize;
    /// A vector of sums.
    type Sums: Copy;
    /// A vector of 16-bit numbers, twice as many.
    type Numbers: Copy;

    /// Zeros.
    unsafe fn zeros() -> Self::Sums;
    /// The `COUNT` sums there.
    unsafe fn sums(from: *const i32) -> Self::Sums;
    /// The `2 * COUNT` numbers there.
    unsafe fn numbers(from: *const i16) -> Self::Numbers;
    /// The two numbers there, `COUNT` times.
    unsafe fn pair(from: *const i16) -> Self::Numbers;
    /// To each sum the products of its two numbers, modulo 2^32.
    unsafe fn add_products(sums: Self::Sums, a: Self::Numbers, b: Self::Numbers) -> Self::Sums;
    /// The two vectors' sums, modulo 2^32.
    unsafe fn add(a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// Each sum times 2^15, modulo 2^32.
    unsafe fn raised(sums: Self::Sums) -> Self::Sums;
    /// `max(floor(sum / 2^SHIFT), 0)`.
    unsafe fn activated(sums: Self::Sums) -> Self::Sums;
    /// The low 15 bits of sums that are not negative, and the bits above.
    unsafe fn split(sums: Self::Sums) -> [Self::Sums; 2];
    /// The bits that either has.
    unsafe fn union(a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// Writes the first `count` sums, which fit into 15 bits.
    unsafe fn store(sums: Self::Sums, to: *mut i16, count: usize);
    /// The sums one by one.
    unsafe fn array(sums: Self::Sums) -> [i32; 16];
}

/// Sums of a vector of these units.
pub(super) fn lanes(units: Units) -> usize {
    match units {
        #[cfg(target_arch = "x86_64")]
        Units::Avx512Vnni | Units::Avx512 => super::x86::Avx512::COUNT,
        #[cfg(target_arch = "x86_64")]
        Units::Avx2 => super::x86::Avx2::COUNT,
        _ => Plain::COUNT,
    }
}

/// Activations of a block: low and high bits.
#[derive(Clone, Copy)]
pub(super) struct Pointers {
    low: *mut i16,
    high: *mut i16,
}

/// Scores the windows in the first buffer.
pub(super) fn score(
    units: Units,
    packed: &Packed,
    windows: usize,
    activations: &mut [Activations; 2],
    scores: &mut [i32; BLOCK],
) {
    assert!(windows <= BLOCK, "a block has its size");
    let room = activations.iter().flat_map(|a| [a.low.len(), a.high.len()]).min().unwrap_or(0);
    for layer in &packed.hidden {
        let furthest = |places: &[u32]| places.last().map_or(0, |&place| place as usize);
        let reads = furthest(&layer.starts) + 2 * layer.pairs;
        let writes = furthest(&layer.targets) + layer.outputs;
        assert!(reads <= room && writes <= room, "buffers are as large as any layer");
    }
    let last = &packed.last;
    assert!(BLOCK * last.width + TAIL <= room, "buffers have a tail");
    assert!(last.weights.len() <= last.width + TAIL, "and a vector fits into it");
    let buffers = activations.each_mut().map(|a| Pointers { low: a.low.as_mut_ptr(), high: a.high.as_mut_ptr() });
    // SAFETY: an engine exists only for units that its processor has. What the layers read and write lies within the
    // buffers, as was just asserted; the weights are as many as `PackedLayer` says, and the lanes are those of `lanes`.
    unsafe {
        match units {
            #[cfg(target_arch = "x86_64")]
            Units::Avx512Vnni => super::x86::score_vnni(packed, windows, buffers, scores),
            #[cfg(target_arch = "x86_64")]
            Units::Avx512 => super::x86::score_avx512(packed, windows, buffers, scores),
            #[cfg(target_arch = "x86_64")]
            Units::Avx2 => super::x86::score_avx2(packed, windows, buffers, scores),
            _ => score_with::<Plain>(packed, windows, buffers, scores),
        }
    }
}

/// As [`score`], in the instructions of the caller.
///
/// # Safety
///
/// As [`Lanes`]; `buffers` must have room for what [`score`] asserts.
#[inline(always)]
pub(super) unsafe fn score_with<L: Lanes>(
    packed: &Packed,
    windows: usize,
    [mut x, mut y]: [Pointers; 2],
    scores: &mut [i32; BLOCK],
) {
    // SAFETY: the caller's.
    unsafe {
        // Whether a high bit is set in what the next layer reads. The network's input has none.
        let mut wide = false;
        for layer in &packed.hidden {
            wide = hidden::<L>(layer, windows * layer.steps, x, wide, y);
            std::mem::swap(&mut x, &mut y);
        }
        for (window, score) in scores.iter_mut().enumerate().take(windows) {
            let start = window * packed.last.width;
            *score = last::<L>(&packed.last, x.low.add(start), wide.then_some(x.high.add(start)));
        }
    }
}

/// One hidden layer of `rows` rows. Says whether an activation has more than 15 bits.
#[inline(always)]
unsafe fn hidden<L: Lanes>(layer: &PackedLayer, rows: usize, x: Pointers, wide: bool, y: Pointers) -> bool {
    let vectors = layer.outputs.div_ceil(L::COUNT);
    // SAFETY: the caller's; rows and vectors are those of the layer.
    unsafe {
        let mut bits = L::zeros();
        let mut vector = 0;
        while vector < vectors {
            let two = vector + 1 < vectors;
            let mut row = 0;
            while row < rows {
                let whole = row + ROWS <= rows;
                let of_tile = match (whole, two) {
                    (true, true) => tile::<L, ROWS, 2>(layer, row, vector, x, wide, y),
                    (true, false) => tile::<L, ROWS, 1>(layer, row, vector, x, wide, y),
                    (false, true) => tile::<L, 1, 2>(layer, row, vector, x, wide, y),
                    (false, false) => tile::<L, 1, 1>(layer, row, vector, x, wide, y),
                };
                bits = L::union(bits, of_tile);
                row += if whole { ROWS } else { 1 };
            }
            vector += if two { 2 } else { 1 };
        }
        L::array(bits).iter().any(|&bits| bits != 0)
    }
}

/// `R` rows by `V` vectors of outputs; returns the union of the activations' high bits.
#[expect(
    clippy::needless_range_loop,
    reason = "unrolled, these indices are constants, which keeps the sums in registers"
)]
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const V: usize>(
    layer: &PackedLayer,
    row: usize,
    vector: usize,
    x: Pointers,
    wide: bool,
    y: Pointers,
) -> L::Sums {
    let rows: [usize; R] = std::array::from_fn(|r| layer.starts[row + r] as usize);
    // SAFETY: the caller's: rows start within `x` and end within it, also with an odd last input's neighbour; there are
    // `pairs` vectors of weights for each vector of outputs.
    unsafe {
        let weights: [*const i16; V] =
            std::array::from_fn(|v| layer.weights.as_ptr().add((vector + v) * layer.pairs * 2 * L::COUNT));
        let bias: [L::Sums; V] = std::array::from_fn(|v| L::sums(layer.bias.as_ptr().add((vector + v) * L::COUNT)));
        let mut sums = [[L::zeros(); V]; R];
        if wide {
            products::<L, R, V>(&mut sums, layer.pairs, weights, rows, x.high);
            for r in 0..R {
                for v in 0..V {
                    sums[r][v] = L::raised(sums[r][v]);
                }
            }
        }
        products::<L, R, V>(&mut sums, layer.pairs, weights, rows, x.low);
        let mut bits = L::zeros();
        for r in 0..R {
            let target = layer.targets[row + r] as usize;
            for v in 0..V {
                let first = (vector + v) * L::COUNT;
                let count = (layer.outputs - first).min(L::COUNT);
                let [low, high] = L::split(L::activated(L::add(sums[r][v], bias[v])));
                L::store(low, y.low.add(target + first), count);
                if layer.may_be_wide {
                    bits = L::union(bits, high);
                    L::store(high, y.high.add(target + first), count);
                }
            }
        }
        bits
    }
}

/// Adds the products of all pairs of inputs of each row.
#[inline(always)]
unsafe fn products<L: Lanes, const R: usize, const V: usize>(
    sums: &mut [[L::Sums; V]; R],
    pairs: usize,
    mut weights: [*const i16; V],
    rows: [usize; R],
    x: *const i16,
) {
    // SAFETY: as `tile`, which is the caller.
    unsafe {
        let mut x = rows.map(|row| x.add(row));
        for _ in 0..pairs {
            let of_pair: [L::Numbers; V] = std::array::from_fn(|v| L::numbers(weights[v]));
            for r in 0..R {
                let inputs = L::pair(x[r]);
                for v in 0..V {
                    sums[r][v] = L::add_products(sums[r][v], of_pair[v], inputs);
                }
                x[r] = x[r].add(2);
            }
            weights = weights.map(|weights| weights.add(2 * L::COUNT));
        }
    }
}

/// The score of one window.
#[inline(always)]
unsafe fn last<L: Lanes>(row: &PackedRow, low: *const i16, high: Option<*mut i16>) -> i32 {
    // SAFETY: the caller's: behind the window lies a tail of at least a vector, whose weights are 0.
    unsafe {
        let products = |mut sums: L::Sums, x: *const i16| {
            for place in (0..row.weights.len()).step_by(2 * L::COUNT) {
                sums = L::add_products(sums, L::numbers(row.weights.as_ptr().add(place)), L::numbers(x.add(place)));
            }
            sums
        };
        let sums = high.map_or(L::zeros(), |high| L::raised(products(L::zeros(), high)));
        L::array(products(sums, low)).iter().fold(row.bias, |sum, &part| sum.wrapping_add(part)) >> SHIFT
    }
}

/// Plain arrays.
struct Plain;

impl Lanes for Plain {
    const COUNT: usize = 8;
    type Sums = [i32; 8];
    type Numbers = [i16; 16];

    #[inline(always)]
    unsafe fn zeros() -> [i32; 8] {
        [0; 8]
    }

    #[inline(always)]
    unsafe fn sums(from: *const i32) -> [i32; 8] {
        // SAFETY: the caller's: there are eight.
        unsafe { from.cast::<[i32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn numbers(from: *const i16) -> [i16; 16] {
        // SAFETY: the caller's: there are sixteen.
        unsafe { from.cast::<[i16; 16]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn pair(from: *const i16) -> [i16; 16] {
        // SAFETY: the caller's: there are two.
        let [first, second] = unsafe { from.cast::<[i16; 2]>().read_unaligned() };
        std::array::from_fn(|place| if place % 2 == 0 { first } else { second })
    }

    #[inline(always)]
    unsafe fn add_products(sums: [i32; 8], a: [i16; 16], b: [i16; 16]) -> [i32; 8] {
        let product = |place: usize| i32::from(a[place]) * i32::from(b[place]);
        // Two products of -2^15 by itself make 2^31, which wraps like every other sum.
        std::array::from_fn(|lane| sums[lane].wrapping_add(product(2 * lane).wrapping_add(product(2 * lane + 1))))
    }

    #[inline(always)]
    unsafe fn add(a: [i32; 8], b: [i32; 8]) -> [i32; 8] {
        std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    #[inline(always)]
    unsafe fn raised(sums: [i32; 8]) -> [i32; 8] {
        sums.map(|sum| sum << LOW_BITS)
    }

    #[inline(always)]
    unsafe fn split(sums: [i32; 8]) -> [[i32; 8]; 2] {
        [sums.map(|sum| sum & LOW_MASK), sums.map(|sum| sum >> LOW_BITS)]
    }

    #[inline(always)]
    unsafe fn activated(sums: [i32; 8]) -> [i32; 8] {
        sums.map(|sum| (sum >> SHIFT).max(0))
    }

    #[inline(always)]
    unsafe fn union(a: [i32; 8], b: [i32; 8]) -> [i32; 8] {
        std::array::from_fn(|lane| a[lane] | b[lane])
    }

    #[inline(always)]
    unsafe fn store(sums: [i32; 8], to: *mut i16, count: usize) {
        let low = sums.map(|sum| sum as i16);
        // SAFETY: the caller's: there is room for `count`, which is at most eight.
        unsafe { std::ptr::copy_nonoverlapping(low.as_ptr(), to, count) }
    }

    #[inline(always)]
    unsafe fn array(sums: [i32; 8]) -> [i32; 16] {
        std::array::from_fn(|lane| sums.get(lane).copied().unwrap_or(0))
    }
}
