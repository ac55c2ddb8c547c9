// Arithmetic of both fields: on the device that of limbs.cuh, elsewhere its twin on four words of 64 bits and products
// of 128. Where there is no device both exist, and a test compares them.
#pragma once
#include "limbs.cuh"

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)

template <class P>
__device__ __forceinline__ Field<P> operator+(const Field<P>& a, const Field<P>& b) { return chained_add(a, b); }
template <class P>
__device__ __forceinline__ Field<P> operator-(const Field<P>& a, const Field<P>& b) { return chained_subtract(a, b); }
template <class P>
__device__ __forceinline__ Field<P> operator*(const Field<P>& a, const Field<P>& b) { return chained_multiply(a, b); }

#else
namespace host_field {

typedef unsigned __int128 u128;

template <class P>
inline constexpr u64 modulus(int i) { return P::word(2 * i) | (u64)P::word(2 * i + 1) << 32; }

struct Words {
    u64 word[4];
};

template <class P>
inline Words words(const Field<P>& a) {
    Words result;
    __builtin_memcpy(result.word, a.limb, sizeof result.word);
    return result;
}

template <class P>
inline Field<P> field(const Words& a) {
    Field<P> result;
    __builtin_memcpy(result.limb, a.word, sizeof result.limb);
    return result;
}

// a + b + carry; the carry out replaces the carry in.
inline u64 add(u64 a, u64 b, u64& carry) {
    u128 sum = (u128)a + b + carry;
    carry = (u64)(sum >> 64);
    return (u64)sum;
}

inline u64 subtract(u64 a, u64 b, u64& borrow) {
    u128 difference = (u128)a - b - borrow;
    borrow = (u64)(difference >> 64) & 1;
    return (u64)difference;
}

// a + b c + carry.
inline u64 multiply_add(u64 a, u64 b, u64 c, u64& carry) {
    u128 sum = (u128)b * c + a + carry;
    carry = (u64)(sum >> 64);
    return (u64)sum;
}

template <class P>
inline Words reduce(const Words& a) {
    Words less;
    u64 borrow = 0;
    for (int i = 0; i < 4; i++) less.word[i] = subtract(a.word[i], modulus<P>(i), borrow);
    for (int i = 0; i < 4; i++) less.word[i] = borrow ? a.word[i] : less.word[i];
    return less;
}

}  // namespace host_field

template <class P>
inline Field<P> operator+(const Field<P>& a, const Field<P>& b) {
    host_field::Words x = host_field::words(a), y = host_field::words(b), sum;
    u64 carry = 0;
    for (int i = 0; i < 4; i++) sum.word[i] = host_field::add(x.word[i], y.word[i], carry);
    return host_field::field<P>(host_field::reduce<P>(sum));
}

template <class P>
inline Field<P> operator-(const Field<P>& a, const Field<P>& b) {
    host_field::Words x = host_field::words(a), y = host_field::words(b), difference;
    u64 borrow = 0, carry = 0;
    for (int i = 0; i < 4; i++) difference.word[i] = host_field::subtract(x.word[i], y.word[i], borrow);
    u64 mask = 0 - borrow;
    for (int i = 0; i < 4; i++) {
        difference.word[i] = host_field::add(difference.word[i], host_field::modulus<P>(i) & mask, carry);
    }
    return host_field::field<P>(difference);
}

template <class P>
inline Field<P> operator*(const Field<P>& a, const Field<P>& b) {
    host_field::Words x = host_field::words(a), y = host_field::words(b);
    u64 t[5] = {0, 0, 0, 0, 0};
    for (int i = 0; i < 4; i++) {
        u64 carry = 0;
        for (int j = 0; j < 4; j++) t[j] = host_field::multiply_add(t[j], x.word[j], y.word[i], carry);
        t[4] += carry;
        u64 factor = t[0] * P::INVERSE;
        carry = 0;
        host_field::multiply_add(t[0], factor, host_field::modulus<P>(0), carry);
        for (int j = 1; j < 4; j++) t[j - 1] = host_field::multiply_add(t[j], factor, host_field::modulus<P>(j), carry);
        t[3] = t[4] + carry;
        t[4] = 0;
    }
    host_field::Words result = {{t[0], t[1], t[2], t[3]}};
    return host_field::field<P>(host_field::reduce<P>(result));
}
#endif

template <class P>
__device__ __forceinline__ Field<P> square(const Field<P>& a) { return a * a; }

template <class P>
__device__ __forceinline__ Field<P> twice(const Field<P>& a) { return a + a; }

template <class P>
__device__ __forceinline__ Field<P> negate(const Field<P>& a) { return Field<P>::zero() - a; }

// base^exponent, in time that depends on the exponent.
template <class P>
__device__ __forceinline__ Field<P> power(Field<P> base, u32 exponent) {
    Field<P> result = Field<P>::one();
#pragma unroll 1
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1) result = result * base;
        base = square(base);
    }
    return result;
}

// The inverse, by Fermat; zero for zero. Some 380 multiplications, in one loop so that the code stays small.
template <class P>
__device__ __forceinline__ Field<P> inverse(const Field<P>& a) {
    Field<P> result = Field<P>::one();
#pragma unroll 1
    for (int bit = 253; bit >= 0; bit--) {
        result = square(result);
        u32 word = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) word = (bit >> 5) == i ? P::word(i) - (i == 0 ? 2 : 0) : word;
        if ((word >> (bit & 31)) & 1) result = result * a;
    }
    return result;
}

// Out of Montgomery form: the number itself.
template <class P>
__device__ __forceinline__ Field<P> canonical(const Field<P>& a) {
    Field<P> unit = Field<P>::zero();
    unit.limb[0] = 1;
    return a * unit;
}
