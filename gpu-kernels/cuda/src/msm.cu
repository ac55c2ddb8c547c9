// Multi-scalar multiplication: signed digits, a counting sort of points by bucket, sums of equal shares of the sorted
// points, and the weighted sum of the buckets.
//
// A set of buckets belongs to a column of scalars, or to a window of digits where there is no table of multiples.
// Bucket b of a set stands for the digit b + 1.
#include "../include/curve.cuh"

// Threads of a block that adds up points.
#define POINT_THREADS 128
// Threads of a block that sums shares: of blocks this small, a multiprocessor's registers hold fourteen warps.
#define SHARE_THREADS 64

// The digits of the smaller of s and r - s, from the lowest on, between -2^(bits - 1) and 2^(bits - 1).
struct Digits {
    Fr value;
    bool is_negative;
    u32 carry;

    __device__ __forceinline__ explicit Digits(const Fr& scalar) : carry(0) {
        value = canonical(scalar);
        Fr opposite;
        opposite.limb[0] = chain::sub_cc(FrModulus::word(0), value.limb[0]);
#pragma unroll
        for (int i = 1; i < 7; i++) opposite.limb[i] = chain::subc_cc(FrModulus::word(i), value.limb[i]);
        opposite.limb[7] = chain::subc(FrModulus::word(7), value.limb[7]);
        is_negative = !value.is_zero() && less(opposite, value);
        if (is_negative) value = opposite;
    }

    __device__ __forceinline__ static bool less(const Fr& a, const Fr& b) {
        chain::sub_cc(a.limb[0], b.limb[0]);
#pragma unroll
        for (int i = 1; i < 8; i++) chain::subc_cc(a.limb[i], b.limb[i]);
        return chain::subc(0, 0) != 0;
    }

    // The next digit's absolute value; whether the point is to be subtracted. Takes the low bits off the number.
    __device__ __forceinline__ u32 take(u32 bits, bool& subtracts) {
        u32 digit = (value.limb[0] & ((1u << bits) - 1)) + carry;
#pragma unroll
        for (int i = 0; i < 7; i++) value.limb[i] = value.limb[i] >> bits | value.limb[i + 1] << (32 - bits);
        value.limb[7] >>= bits;
        carry = digit > 1u << (bits - 1) ? 1 : 0;
        subtracts = is_negative != (carry != 0);
        return carry ? (1u << bits) - digit : digit;
    }
};

// Where digits go: the first bucket of a column's first window is column * column_stride, the next window's is
// window_stride further, and its points are table_stride further in the table.
struct Layout {
    u32 digit_bits, windows, column_stride, window_stride, table_stride;
};

// Counts the points of each bucket. Columns are the grid's second axis.
extern "C" __global__ void __launch_bounds__(256)
    msm_count(u32* counts, const Fr* const* columns, const u32* lengths, Layout layout) {
    u32 i = thread_index();
    if (i >= lengths[blockIdx.y]) return;
    Digits digits(load(&columns[blockIdx.y][i]));
    u32* set = counts + blockIdx.y * layout.column_stride;
#pragma unroll 1
    for (u32 window = 0; window < layout.windows; window++) {
        bool subtracts;
        u32 digit = digits.take(layout.digit_bits, subtracts);
        if (digit > 0) atomicAdd(&set[window * layout.window_stride + digit - 1], 1u);
    }
}

// Puts each point behind those of its bucket. `cursors` begin where buckets begin, and end where they end. An entry is
// a bucket, and a place in the table with a lowest bit that says whether to subtract.
extern "C" __global__ void __launch_bounds__(256)
    msm_scatter(uint2* entries, u32* cursors, const Fr* const* columns, const u32* lengths, Layout layout) {
    u32 i = thread_index();
    if (i >= lengths[blockIdx.y]) return;
    Digits digits(load(&columns[blockIdx.y][i]));
#pragma unroll 1
    for (u32 window = 0; window < layout.windows; window++) {
        bool subtracts;
        u32 digit = digits.take(layout.digit_bits, subtracts);
        if (digit == 0) continue;
        u32 bucket = blockIdx.y * layout.column_stride + window * layout.window_stride + digit - 1;
        u32 place = atomicAdd(&cursors[bucket], 1u);
        entries[place] = make_uint2(bucket, (window * layout.table_stride + i) << 1 | (subtracts ? 1 : 0));
    }
}

// Sorted points of a table.
struct Points {
    const uint2* entries;
    const Affine* table;

    __device__ __forceinline__ u32 bucket(u32 i) const { return entries[i].x; }
    __device__ __forceinline__ Sum add_to(const Sum& sum, u32 i) const {
        u32 source = entries[i].y;
        Affine point = load(&table[source >> 1]);
        if (source & 1) point.y = negate(point.y);
        return add(sum, point);
    }
};

// Sums that belong to one bucket but were computed by different threads.
struct Parts {
    const u32* buckets;
    const Sum* sums;

    __device__ __forceinline__ u32 bucket(u32 i) const { return buckets[i]; }
    __device__ __forceinline__ Sum add_to(const Sum& sum, u32 i) const { return add(sum, load(&sums[i])); }
};

// Each thread sums an equal share of a sorted list, however few buckets it falls into. Runs that begin and end within a
// share are added to their buckets. A share's first and last run may go on in its neighbours: they become two parts of
// a shorter list, for the next launch. How long the list is stands on the device, so that launches can be recorded
// before it is known: threads beyond it do nothing. Parts that do not exist are the identity, under a bucket that keeps the list
// sorted.
template <class Source>
__device__ __forceinline__ void sum_share(const Source& source, u32 count, u32 share, Sum* buckets, u32* part_buckets,
                                          Sum* part_sums) {
    u32 t = thread_index(), start = t * share;
    if (start >= count) return;
    u32 end = count - start < share ? count : start + share;
    u32 current = source.bucket(start);
    bool goes_on = start > 0 && source.bucket(start - 1) == current;
    Sum sum = Sum::identity();
    part_buckets[2 * t] = current;
    store(&part_sums[2 * t], sum);
#pragma unroll 1
    for (u32 i = start; i < end; i++) {
        u32 bucket = source.bucket(i);
        if (bucket != current) {
            if (goes_on) {
                store(&part_sums[2 * t], sum);
            } else {
                store(&buckets[current], add(load(&buckets[current]), sum));
            }
            goes_on = false;
            current = bucket;
            sum = Sum::identity();
        }
        sum = source.add_to(sum, i);
    }
    bool continues = end < count && source.bucket(end) == current;
    part_buckets[2 * t + 1] = current;
    store(&part_sums[2 * t + 1], !goes_on && continues ? sum : Sum::identity());
    if (goes_on) {
        store(&part_sums[2 * t], sum);
    } else if (!continues) {
        store(&buckets[current], add(load(&buckets[current]), sum));
    }
}

extern "C" __global__ void __launch_bounds__(SHARE_THREADS)
    msm_sum_points(Sum* buckets, u32* part_buckets, Sum* part_sums, const uint2* entries, const Affine* table,
                   const u32* count, u32 share) {
    sum_share(Points{entries, table}, *count, share, buckets, part_buckets, part_sums);
}

// Sums that are left of a list after so many launches: two of each share.
__device__ __forceinline__ u32 left_over(u32 count, u32 first_share, u32 share, u32 launches) {
#pragma unroll 1
    for (u32 launch = 0; launch < launches; launch++) {
        u32 cut = launch == 0 ? first_share : share;
        count = 2 * ((count + cut - 1) / cut);
    }
    return count;
}

extern "C" __global__ void __launch_bounds__(SHARE_THREADS)
    msm_sum_parts(Sum* buckets, u32* part_buckets, Sum* part_sums, const u32* in_buckets, const Sum* in_sums,
                  const u32* count, u32 first_share, u32 share, u32 launches) {
    u32 left = left_over(*count, first_share, share, launches);
    sum_share(Parts{in_buckets, in_sums}, left, share, buckets, part_buckets, part_sums);
}

// The sum of a block's points, in its first thread. All threads of the block must come here.
__device__ __forceinline__ Sum sum_block(const Sum& mine) {
    __shared__ Sum sums[POINT_THREADS];
    sums[threadIdx.x] = mine;
#pragma unroll 1
    for (u32 half = POINT_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] = add(sums[threadIdx.x], sums[threadIdx.x + half]);
    }
    return sums[0];
}

// sum((b + 1) bucket[b]) over the chunks of a block; sets are the grid's second axis. A thread's chunk begins at
// `start`: suffix sums weigh its buckets from one on, and `start` times their plain sum is what that lacks.
extern "C" __global__ void __launch_bounds__(POINT_THREADS)
    msm_weigh(Sum* out, const Sum* buckets, u32 count, u32 chunk) {
    const Sum* set = buckets + blockIdx.y * count;
    u32 start = thread_index() * chunk;
    Sum running = Sum::identity(), total = Sum::identity();
    if (start < count) {
        u32 end = count - start < chunk ? count : start + chunk;
#pragma unroll 1
        for (u32 b = end; b > start; b--) {
            running = add(running, load(&set[b - 1]));
            total = add(total, running);
        }
        total = add(total, multiply(running, start));
    }
    total = sum_block(total);
    if (threadIdx.x == 0) store(&out[blockIdx.y * gridDim.x + blockIdx.x], total);
}

// One sum for each set; one block for each.
extern "C" __global__ void __launch_bounds__(POINT_THREADS) msm_total(Sum* out, const Sum* in, u32 count) {
    const Sum* set = in + blockIdx.x * count;
    Sum sum = Sum::identity();
#pragma unroll 1
    for (u32 i = threadIdx.x; i < count; i += POINT_THREADS) sum = add(sum, load(&set[i]));
    sum = sum_block(sum);
    if (threadIdx.x == 0) store(&out[blockIdx.x], sum);
}

// next[i] = 2^doublings previous[i]: a further window of a table of multiples.
extern "C" __global__ void __launch_bounds__(POINT_THREADS)
    msm_multiples(Affine* next, const Affine* previous, u32 count, u32 doublings) {
    u32 i = thread_index();
    if (i >= count) return;
    Sum point = to_sum(load(&previous[i]));
#pragma unroll 1
    for (u32 d = 0; d < doublings; d++) point = twice(point);
    store(&next[i], to_affine(point));
}
