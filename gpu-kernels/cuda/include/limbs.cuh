// The two prime fields of BN254, in Montgomery form with R = 2^256: eight words of 32 bits, least significant first,
// which is how the host keeps its four words of 64 bits in memory. Elements are always fully reduced, so equality is
// equality of words.
//
// Here stand the elements and the device's arithmetic, on carry chains; field.cuh says which arithmetic is used where.
#pragma once
#include "chain.cuh"

// The scalar field's modulus r.
struct FrModulus {
    __device__ static constexpr u32 word(int i) {
        return i == 0 ? 0xf0000001u : i == 1 ? 0x43e1f593u : i == 2 ? 0x79b97091u : i == 3 ? 0x2833e848u
             : i == 4 ? 0x8181585du : i == 5 ? 0xb85045b6u : i == 6 ? 0xe131a029u : 0x30644e72u;
    }
    // R mod r: the field's one.
    __device__ static constexpr u32 one(int i) {
        return i == 0 ? 0x4ffffffbu : i == 1 ? 0xac96341cu : i == 2 ? 0x9f60cd29u : i == 3 ? 0x36fc7695u
             : i == 4 ? 0x7879462eu : i == 5 ? 0x666ea36fu : i == 6 ? 0x9a07df2fu : 0x0e0a77c1u;
    }
    // -1/r mod 2^64.
    static constexpr u64 INVERSE = 0xc2e1f593efffffffull;
};

// The base field's modulus q.
struct FqModulus {
    __device__ static constexpr u32 word(int i) {
        return i == 0 ? 0xd87cfd47u : i == 1 ? 0x3c208c16u : i == 2 ? 0x6871ca8du : i == 3 ? 0x97816a91u
             : i == 4 ? 0x8181585du : i == 5 ? 0xb85045b6u : i == 6 ? 0xe131a029u : 0x30644e72u;
    }
    __device__ static constexpr u32 one(int i) {
        return i == 0 ? 0xc58f0d9du : i == 1 ? 0xd35d438du : i == 2 ? 0xf5c70b3du : i == 3 ? 0x0a78eb28u
             : i == 4 ? 0x7879462cu : i == 5 ? 0x666ea36fu : i == 6 ? 0x9a07df2fu : 0x0e0a77c1u;
    }
    static constexpr u64 INVERSE = 0x87d20782e4866389ull;
};

// Sixteen bytes of alignment allow transfers of 128 bits.
template <class P>
struct alignas(16) Field {
    u32 limb[8];

    __device__ __forceinline__ static Field zero() {
        Field result;
#pragma unroll
        for (int i = 0; i < 8; i++) result.limb[i] = 0;
        return result;
    }
    __device__ __forceinline__ static Field one() {
        Field result;
#pragma unroll
        for (int i = 0; i < 8; i++) result.limb[i] = P::one(i);
        return result;
    }
    __device__ __forceinline__ bool is_zero() const {
        u32 any = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) any |= limb[i];
        return any == 0;
    }
    __device__ __forceinline__ bool equals(const Field& other) const {
        u32 any = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) any |= limb[i] ^ other.limb[i];
        return any == 0;
    }
};

typedef Field<FrModulus> Fr;
typedef Field<FqModulus> Fq;

// An element of global memory, in two transfers of 128 bits. Left to itself, the compiler loads each word where it is
// first used: between the instructions of a carry chain nothing may be moved together.
template <class P>
__device__ __forceinline__ Field<P> load(const Field<P>* place) {
    const uint4* words = reinterpret_cast<const uint4*>(place);
    uint4 low = words[0], high = words[1];
    return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
}

template <class P>
__device__ __forceinline__ void store(Field<P>* place, const Field<P>& value) {
    const u32* v = value.limb;
    uint4* words = reinterpret_cast<uint4*>(place);
    words[0] = make_uint4(v[0], v[1], v[2], v[3]);
    words[1] = make_uint4(v[4], v[5], v[6], v[7]);
}

// `value - modulus` if that is not negative, `value` otherwise.
template <class P>
__device__ __forceinline__ Field<P> reduce_once(const Field<P>& value) {
    Field<P> less;
    less.limb[0] = chain::sub_cc(value.limb[0], P::word(0));
#pragma unroll
    for (int i = 1; i < 8; i++) less.limb[i] = chain::subc_cc(value.limb[i], P::word(i));
    u32 borrow = chain::subc(0, 0);
#pragma unroll
    for (int i = 0; i < 8; i++) less.limb[i] = borrow ? value.limb[i] : less.limb[i];
    return less;
}

// Sums stay below 2^255: both moduli have 254 bits.
template <class P>
__device__ __forceinline__ Field<P> chained_add(const Field<P>& a, const Field<P>& b) {
    Field<P> sum;
    sum.limb[0] = chain::add_cc(a.limb[0], b.limb[0]);
#pragma unroll
    for (int i = 1; i < 7; i++) sum.limb[i] = chain::addc_cc(a.limb[i], b.limb[i]);
    sum.limb[7] = chain::addc(a.limb[7], b.limb[7]);
    return reduce_once(sum);
}

template <class P>
__device__ __forceinline__ Field<P> chained_subtract(const Field<P>& a, const Field<P>& b) {
    Field<P> difference;
    difference.limb[0] = chain::sub_cc(a.limb[0], b.limb[0]);
#pragma unroll
    for (int i = 1; i < 8; i++) difference.limb[i] = chain::subc_cc(a.limb[i], b.limb[i]);
    u32 borrow = chain::subc(0, 0);
    difference.limb[0] = chain::add_cc(difference.limb[0], borrow & P::word(0));
#pragma unroll
    for (int i = 1; i < 7; i++) difference.limb[i] = chain::addc_cc(difference.limb[i], borrow & P::word(i));
    difference.limb[7] = chain::addc(difference.limb[7], borrow & P::word(7));
    return difference;
}

namespace montgomery {

// Products of one factor with every other word of the second lie side by side without touching: low and high halves
// fill eight words. Words of even index go to `even`, those of odd index to `odd`, which counts from 2^32.
//
// `even += odd >> 32` belongs to the step before: its lowest word has become zero, and what was even is odd now.

// `words[0..8] += factor * (w[0], w[2], w[4], w[6])`; leaves the carry in the chain.
template <class Word>
__device__ __forceinline__ void add_products(u32* words, Word word, u32 factor) {
    words[0] = chain::mad_lo_cc(word(0), factor, words[0]);
    words[1] = chain::madc_hi_cc(word(0), factor, words[1]);
#pragma unroll
    for (int j = 2; j < 8; j += 2) {
        words[j] = chain::madc_lo_cc(word(j), factor, words[j]);
        words[j + 1] = chain::madc_hi_cc(word(j), factor, words[j + 1]);
    }
}

// Adds a multiple of the modulus that makes the lowest word zero. The odd words cannot overflow: the highest is a
// product of numbers below 2^30 and 2^32, and a sum of few such.
template <class P>
__device__ __forceinline__ void clear_lowest(u32* even, u32* odd) {
    u32 factor = even[0] * (u32)P::INVERSE;
    add_products(odd, [](int j) { return P::word(j + 1); }, factor);
    add_products(even, [](int j) { return P::word(j); }, factor);
    odd[7] = chain::addc(odd[7], 0);
}

template <class P>
__device__ __forceinline__ void first_step(u32* even, u32* odd, const Field<P>& a, u32 b) {
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
        even[j] = chain::mul_lo(a.limb[j], b);
        even[j + 1] = chain::mul_hi(a.limb[j], b);
        odd[j] = chain::mul_lo(a.limb[j + 1], b);
        odd[j + 1] = chain::mul_hi(a.limb[j + 1], b);
    }
    clear_lowest<P>(even, odd);
}

// `odd` holds the even words of the step before, the lowest of them zero: they move down by two places.
template <class P>
__device__ __forceinline__ void step(u32* even, u32* odd, const Field<P>& a, u32 b) {
    even[0] = chain::add_cc(even[0], odd[1]);
#pragma unroll
    for (int j = 0; j < 6; j += 2) {
        odd[j] = chain::madc_lo_cc(a.limb[j + 1], b, odd[j + 2]);
        odd[j + 1] = chain::madc_hi_cc(a.limb[j + 1], b, odd[j + 3]);
    }
    odd[6] = chain::madc_lo_cc(a.limb[7], b, 0);
    odd[7] = chain::madc_hi(a.limb[7], b, 0);
    add_products(even, [&a](int j) { return a.limb[j]; }, b);
    odd[7] = chain::addc(odd[7], 0);
    clear_lowest<P>(even, odd);
}

}  // namespace montgomery

// a b / R, on carry chains.
template <class P>
__device__ __forceinline__ Field<P> chained_multiply(const Field<P>& a, const Field<P>& b) {
    u32 even[8], odd[8];
    montgomery::first_step<P>(even, odd, a, b.limb[0]);
    montgomery::step<P>(odd, even, a, b.limb[1]);
#pragma unroll
    for (int i = 2; i < 8; i += 2) {
        montgomery::step<P>(even, odd, a, b.limb[i]);
        montgomery::step<P>(odd, even, a, b.limb[i + 1]);
    }
    Field<P> result;
    result.limb[0] = chain::add_cc(even[0], odd[1]);
#pragma unroll
    for (int i = 1; i < 7; i++) result.limb[i] = chain::addc_cc(even[i], odd[i + 1]);
    result.limb[7] = chain::addc(even[7], 0);
    return reduce_once(result);
}
