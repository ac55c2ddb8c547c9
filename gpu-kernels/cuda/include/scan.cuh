// Scans: each element is replaced by what all elements before it come to (or before it and itself).
//
// A thread takes a chunk of neighbours. Three kernels: what each chunk comes to; what stands before each chunk, in one
// block; and each chunk once more, from there. Backwards, the last element counts as the first.
#pragma once
#include "field.cuh"

// Threads of the block that scans the chunks' totals.
#define SCAN_THREADS 1024

// state * factor + element; what a whole chunk multiplies by is `chunk_factor`.
struct AffineScan {
    typedef Fr Element;
    Fr factor, chunk_factor;

    __device__ __forceinline__ static Fr start() { return Fr::zero(); }
    __device__ __forceinline__ Fr step(const Fr& state, const Fr& element) const { return state * factor + element; }
    // Totals of chunks: the left one is scaled by what stands between.
    __device__ __forceinline__ Fr join(const Fr& left, const Fr& right, const Fr& scale) const {
        return left * scale + right;
    }
    __device__ __forceinline__ Fr scale() const { return chunk_factor; }
    __device__ __forceinline__ static Fr square_scale(const Fr& scale) { return square(scale); }
    __device__ __forceinline__ static Fr power_scale(const Fr& scale, u32 exponent) { return power(scale, exponent); }
};

struct SumScan {
    typedef Fr Element;

    __device__ __forceinline__ static Fr start() { return Fr::zero(); }
    __device__ __forceinline__ Fr step(const Fr& state, const Fr& element) const { return state + element; }
    __device__ __forceinline__ Fr join(const Fr& left, const Fr& right, u32) const { return left + right; }
    __device__ __forceinline__ u32 scale() const { return 0; }
    __device__ __forceinline__ static u32 square_scale(u32) { return 0; }
    __device__ __forceinline__ static u32 power_scale(u32, u32) { return 0; }
};

struct ProductScan {
    typedef Fr Element;

    __device__ __forceinline__ static Fr start() { return Fr::one(); }
    __device__ __forceinline__ Fr step(const Fr& state, const Fr& element) const { return state * element; }
    __device__ __forceinline__ Fr join(const Fr& left, const Fr& right, u32) const { return left * right; }
    __device__ __forceinline__ u32 scale() const { return 0; }
    __device__ __forceinline__ static u32 square_scale(u32) { return 0; }
    __device__ __forceinline__ static u32 power_scale(u32, u32) { return 0; }
};

struct CountScan {
    typedef u32 Element;

    __device__ __forceinline__ static u32 start() { return 0; }
    __device__ __forceinline__ u32 step(u32 state, u32 element) const { return state + element; }
    __device__ __forceinline__ u32 join(u32 left, u32 right, u32) const { return left + right; }
    __device__ __forceinline__ u32 scale() const { return 0; }
    __device__ __forceinline__ static u32 square_scale(u32) { return 0; }
    __device__ __forceinline__ static u32 power_scale(u32, u32) { return 0; }
};

__device__ __forceinline__ u32 load(const u32* place) { return *place; }

__device__ __forceinline__ void store(u32* place, u32 value) { *place = value; }

template <class Scan>
__device__ __forceinline__ void scan_totals(const Scan& scan, typename Scan::Element* totals,
                                            const typename Scan::Element* in, u32 length, u32 chunk, bool backwards) {
    u32 start = thread_index() * chunk;
    if (start >= length) return;
    u32 end = length - start < chunk ? length : start + chunk;
    typename Scan::Element state = Scan::start();
#pragma unroll 1
    for (u32 i = start; i < end; i++) state = scan.step(state, load(&in[backwards ? length - 1 - i : i]));
    store(&totals[thread_index()], state);
}

// Replaces each total by what stands before its chunk. One block.
template <class Scan>
__device__ __forceinline__ void scan_carries(const Scan& scan, typename Scan::Element* totals, u32 count) {
    typedef typename Scan::Element Element;
    __shared__ Element joined[SCAN_THREADS];
    u32 mine = threadIdx.x, per = (count + SCAN_THREADS - 1) / SCAN_THREADS, start = mine * per;
    auto scale = scan.scale();
    Element state = Scan::start();
#pragma unroll 1
    for (u32 i = start; i < start + per && i < count; i++) state = scan.join(state, load(&totals[i]), scale);
    joined[mine] = state;
    auto distance_scale = Scan::power_scale(scale, per);
#pragma unroll 1
    for (u32 distance = 1; distance < SCAN_THREADS; distance *= 2) {
        __syncthreads();
        Element left = Scan::start();
        if (mine >= distance) left = joined[mine - distance];
        __syncthreads();
        if (mine >= distance) joined[mine] = scan.join(left, joined[mine], distance_scale);
        distance_scale = Scan::square_scale(distance_scale);
    }
    __syncthreads();
    state = mine > 0 ? joined[mine - 1] : Scan::start();
#pragma unroll 1
    for (u32 i = start; i < start + per && i < count; i++) {
        Element total = load(&totals[i]);
        store(&totals[i], state);
        state = scan.join(state, total, scale);
    }
}

template <class Scan>
__device__ __forceinline__ void scan_apply(const Scan& scan, typename Scan::Element* out,
                                           const typename Scan::Element* in, const typename Scan::Element* carries,
                                           u32 length, u32 chunk, bool backwards, bool inclusive) {
    u32 start = thread_index() * chunk;
    if (start >= length) return;
    u32 end = length - start < chunk ? length : start + chunk;
    typename Scan::Element state = load(&carries[thread_index()]);
#pragma unroll 1
    for (u32 i = start; i < end; i++) {
        u32 place = backwards ? length - 1 - i : i;
        typename Scan::Element next = scan.step(state, load(&in[place]));
        store(&out[place], inclusive ? next : state);
        state = next;
    }
}
