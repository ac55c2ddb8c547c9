// Vectors of the scalar field: combinations, powers, inverses, scans and polynomial values.
#include "../include/scan.cuh"

// Threads of a block that adds up what its threads found.
#define SUM_THREADS 256

// out[i] = sum(factors[t] vectors[t][i]); vectors end early where `lengths` says so.
extern "C" __global__ void __launch_bounds__(256)
    vector_combine(Fr* out, const Fr* const* vectors, const u32* lengths, const Fr* factors, u32 terms, u32 length) {
    u32 i = thread_index();
    if (i >= length) return;
    Fr sum = Fr::zero();
#pragma unroll 1
    for (u32 t = 0; t < terms; t++) {
        if (i < lengths[t]) sum = sum + load(&factors[t]) * load(&vectors[t][i]);
    }
    store(&out[i], sum);
}

// vector[i] -= low[i].
extern "C" __global__ void __launch_bounds__(256) vector_subtract_low(Fr* vector, const Fr* low, u32 count) {
    u32 i = thread_index();
    if (i < count) store(&vector[i], load(&vector[i]) - load(&low[i]));
}

// out[i] = base^i, from the powers below 2^low_bits and the powers of base^(2^low_bits).
extern "C" __global__ void __launch_bounds__(256)
    vector_powers(Fr* out, const Fr* low, const Fr* high, u32 low_bits, u32 length) {
    u32 i = thread_index();
    if (i < length) store(&out[i], load(&low[i & ((1u << low_bits) - 1)]) * load(&high[i >> low_bits]));
}

// out[i] = 1 / in[i], and 0 for 0. A thread inverts the product of every `thread_count`-th element. `out` must not be
// `in`.
extern "C" __global__ void __launch_bounds__(128) vector_invert(Fr* out, const Fr* in, u32 length) {
    u32 first = thread_index(), stride = thread_count();
    if (first >= length) return;
    Fr product = Fr::one();
#pragma unroll 1
    for (u32 i = first; i < length; i += stride) {
        store(&out[i], product);
        Fr element = load(&in[i]);
        if (!element.is_zero()) product = product * element;
    }
    product = inverse(product);
    u32 last = first + (length - 1 - first) / stride * stride;
#pragma unroll 1
    for (u32 i = last;; i -= stride) {
        Fr element = load(&in[i]);
        store(&out[i], element.is_zero() ? element : product * load(&out[i]));
        if (!element.is_zero()) product = product * element;
        if (i == first) break;
    }
}

// Values of polynomials, one query for each row of the grid: each thread takes every `thread_count`-th coefficient by
// Horner's rule in `steps` (the point to the power of thread_count), and a block adds up what its threads found.
extern "C" __global__ void __launch_bounds__(SUM_THREADS)
    evaluate_partial(Fr* partial, const Fr* const* polynomials, const u32* lengths, const Fr* points, const Fr* steps) {
    __shared__ Fr sums[SUM_THREADS];
    u32 query = blockIdx.y, length = lengths[query], first = thread_index(), stride = thread_count();
    const Fr* polynomial = polynomials[query];
    Fr value = Fr::zero();
    if (first < length) {
        Fr step = load(&steps[query]);
        u32 last = first + (length - 1 - first) / stride * stride;
#pragma unroll 1
        for (u32 i = last;; i -= stride) {
            value = value * step + load(&polynomial[i]);
            if (i == first) break;
        }
        value = value * power(load(&points[query]), first);
    }
    sums[threadIdx.x] = value;
#pragma unroll 1
    for (u32 half = SUM_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] = sums[threadIdx.x] + sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) store(&partial[query * gridDim.x + blockIdx.x], sums[0]);
}

// out[row] = the sum of `width` elements; one thread for each row.
extern "C" __global__ void __launch_bounds__(64) sum_rows(Fr* out, const Fr* in, u32 width, u32 rows) {
    u32 row = thread_index();
    if (row >= rows) return;
    Fr sum = Fr::zero();
#pragma unroll 1
    for (u32 i = 0; i < width; i++) sum = sum + load(&in[row * width + i]);
    store(&out[row], sum);
}

// The three kernels of a scan (scan.cuh). `factor` and its power of a whole chunk are read by the affine scan alone: it
// divides a polynomial by X - factor when it runs backwards.
#define HYGEIA_SCAN(name, type, element, make)                                                                       \
    extern "C" __global__ void __launch_bounds__(128)                                                                \
        name##_totals(element* totals, const element* in, Fr factor, Fr chunk_factor, u32 length, u32 chunk,         \
                      u32 backwards) {                                                                               \
        scan_totals(type make, totals, in, length, chunk, backwards != 0);                                           \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(SCAN_THREADS)                                                       \
        name##_carries(element* totals, Fr factor, Fr chunk_factor, u32 count) {                                     \
        scan_carries(type make, totals, count);                                                                      \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(128)                                                                \
        name##_apply(element* out, const element* in, const element* carries, Fr factor, Fr chunk_factor,            \
                     u32 length, u32 chunk, u32 backwards, u32 inclusive) {                                          \
        scan_apply(type make, out, in, carries, length, chunk, backwards != 0, inclusive != 0);                      \
    }

#define HYGEIA_AFFINE {factor, chunk_factor}
#define HYGEIA_EMPTY {}
HYGEIA_SCAN(scan_affine, AffineScan, Fr, HYGEIA_AFFINE)
HYGEIA_SCAN(scan_sum, SumScan, Fr, HYGEIA_EMPTY)
HYGEIA_SCAN(scan_product, ProductScan, Fr, HYGEIA_EMPTY)
HYGEIA_SCAN(scan_count, CountScan, u32, HYGEIA_EMPTY)
