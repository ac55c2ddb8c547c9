// Number-theoretic transforms: decimation in time, in passes of up to eleven stages over shared memory.
//
// The first pass reads in bit-reversed order, so values come out in natural order without a pass of their own for it.
// Scaling by powers of a coset's shift is part of the first pass's loads or the last one's stores.
#include "../include/field.cuh"

// What to multiply by at position i: nothing (no table), one number (`high[0]`, no low table), or
// low[i mod 2^low_bits] high[i / 2^low_bits].
struct Scale {
    const Fr* low;
    const Fr* high;
    u32 low_bits;

    __device__ __forceinline__ Fr apply(const Fr& value, u32 i) const {
        if (high == nullptr) return value;
        if (low == nullptr) return value * ::load(&high[0]);
        return value * (::load(&low[i & ((1u << low_bits) - 1)]) * ::load(&high[i >> low_bits]));
    }
};

// Elements in shared memory, as two planes of sixteen bytes so that neighbours fall into different banks.
struct Tile {
    uint4* words;
    u32 size;

    __device__ __forceinline__ Fr load(u32 i) const {
        uint4 a = words[i], b = words[size + i];
        return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
    }
    __device__ __forceinline__ void store(u32 i, const Fr& value) const {
        const u32* v = value.limb;
        words[i] = make_uint4(v[0], v[1], v[2], v[3]);
        words[size + i] = make_uint4(v[4], v[5], v[6], v[7]);
    }
};

__device__ __forceinline__ u32 reverse_bits(u32 value, u32 bits) {
    return bits == 0 ? 0 : __brev(value) >> (32 - bits);
}

// Stages `first .. first + stages` of the transforms of a batch (the grid's second axis). A block works on 2^log_lanes
// neighbouring groups of 2^stages elements. `twiddles` are the powers of the root of unity below 2^(log_n - 1). Later
// passes run in place; in the first one outputs must not be inputs, and inputs end at `lengths` (what is left out is
// zero).
extern "C" __global__ void __launch_bounds__(512)
    ntt_pass(Fr* const* outputs, const Fr* const* inputs, const u32* lengths, const Fr* twiddles, u32 log_n, u32 first,
             u32 stages, u32 log_lanes, const Fr* load_low, const Fr* load_high, const Fr* store_low,
             const Fr* store_high, u32 low_bits) {
    HYGEIA_SHARED(uint4, shared);
    u32 lanes = 1u << log_lanes, size = 1u << (stages + log_lanes), rest = log_n - stages;
    Tile tile = {shared, size};
    Scale before = {load_low, load_high, low_bits}, after = {store_low, store_high, low_bits};
    const Fr* input = inputs[blockIdx.y];
    Fr* output = outputs[blockIdx.y];
    u32 length = lengths[blockIdx.y];

    // Where this block's lanes begin: in the first pass among the reversed high bits, later among the low bits.
    u32 lane_start = blockIdx.x << log_lanes, high = 0;
    if (first > 0) {
        high = lane_start >> first;
        lane_start &= (1u << first) - 1;
    }
    u32 base = high << (first + stages);

#pragma unroll 1
    for (u32 e = threadIdx.x; e < size; e += blockDim.x) {
        u32 lane = e & (lanes - 1), middle = e >> log_lanes;
        if (first == 0) {
            u32 i = middle << rest | (lane_start + lane);
            Fr value = i < length ? before.apply(load(&input[i]), i) : Fr::zero();
            tile.store(reverse_bits(middle, stages) << log_lanes | lane, value);
        } else {
            tile.store(e, load(&input[base | middle << first | (lane_start + lane)]));
        }
    }

#pragma unroll 1
    for (u32 s = 0; s < stages; s++) {
        __syncthreads();
        u32 stage = first + s;
#pragma unroll 1
        for (u32 b = threadIdx.x; b < size / 2; b += blockDim.x) {
            u32 lane = b & (lanes - 1), k = b >> log_lanes, position = k & ((1u << s) - 1);
            u32 left = ((k >> s) << (s + 1) | position) << log_lanes | lane, right = left + (lanes << s);
            Fr x = tile.load(left), y = tile.load(right);
            if (stage > 0) {
                u32 low = first > 0 ? lane_start + lane : 0;
                y = y * load(&twiddles[(position << first | low) << (log_n - 1 - stage)]);
            }
            tile.store(left, x + y);
            tile.store(right, x - y);
        }
    }
    __syncthreads();

#pragma unroll 1
    for (u32 e = threadIdx.x; e < size; e += blockDim.x) {
        if (first == 0) {
            u32 middle = e & ((1u << stages) - 1), lane = e >> stages;
            u32 i = reverse_bits(lane_start + lane, rest) << stages | middle;
            store(&output[i], after.apply(tile.load(middle << log_lanes | lane), i));
        } else {
            u32 lane = e & (lanes - 1), middle = e >> log_lanes;
            u32 i = base | middle << first | (lane_start + lane);
            store(&output[i], after.apply(tile.load(e), i));
        }
    }
}
