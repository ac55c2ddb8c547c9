// The curve y^2 = x^3 + 3 over Fq, whose group has prime order: points to be added are affine, sums are kept in XYZZ
// coordinates (x = X / ZZ, y = Y / ZZZ, ZZ^3 = ZZZ^2; Bernstein and Lange's formula database, "xyzz").
//
// Every function is complete: it takes the identity, equal points, and a point with its negative.
#pragma once
#include "field.cuh"

// The identity is (0, 0), which is no point of the curve, as on the host.
struct Affine {
    Fq x, y;

    __device__ __forceinline__ bool is_identity() const { return x.is_zero() && y.is_zero(); }
};

// The identity has ZZ = 0.
struct Sum {
    Fq x, y, zz, zzz;

    __device__ __forceinline__ static Sum identity() { return {Fq::one(), Fq::one(), Fq::zero(), Fq::zero()}; }
    __device__ __forceinline__ bool is_identity() const { return zz.is_zero(); }
};

__device__ __forceinline__ Affine load(const Affine* place) { return {load(&place->x), load(&place->y)}; }

__device__ __forceinline__ void store(Affine* place, const Affine& value) {
    store(&place->x, value.x);
    store(&place->y, value.y);
}

__device__ __forceinline__ Sum load(const Sum* place) {
    return {load(&place->x), load(&place->y), load(&place->zz), load(&place->zzz)};
}

__device__ __forceinline__ void store(Sum* place, const Sum& value) {
    store(&place->x, value.x);
    store(&place->y, value.y);
    store(&place->zz, value.zz);
    store(&place->zzz, value.zzz);
}

__device__ __forceinline__ Sum to_sum(const Affine& point) {
    return point.is_identity() ? Sum::identity() : Sum{point.x, point.y, Fq::one(), Fq::one()};
}

__device__ __forceinline__ Affine negate(const Affine& point) { return {point.x, negate(point.y)}; }

// 2 p. No point of this curve has order two, and the identity doubles to ZZ = 0 by itself.
__device__ __forceinline__ Sum twice(const Sum& p) {
    Fq u = twice(p.y);
    Fq v = square(u);
    Fq w = u * v;
    Fq s = p.x * v;
    Fq xx = square(p.x);
    Fq m = twice(xx) + xx;
    Fq x = square(m) - twice(s);
    return {x, m * (s - x) - w * p.y, v * p.zz, w * p.zzz};
}

// A call of `twice`, for where it is rare: its code stands once.
__device__ __noinline__ Sum twice_rarely(Sum p) { return twice(p); }

// `p + q` where x and y of q are `qx` and `qy` over `p`'s denominators times q's, and `zz` and `zzz` are those
// products.
__device__ __forceinline__ Sum add_scaled(const Fq& px, const Fq& py, const Fq& slope_x, const Fq& slope_y,
                                          const Fq& zz, const Fq& zzz) {
    Fq pp = square(slope_x);
    Fq ppp = slope_x * pp;
    Fq q = px * pp;
    Fq x = square(slope_y) - ppp - twice(q);
    return {x, slope_y * (q - x) - py * ppp, zz * pp, zzz * ppp};
}

__device__ __forceinline__ Sum add(const Sum& p, const Affine& q) {
    if (q.is_identity()) return p;
    if (p.is_identity()) return to_sum(q);
    Fq slope_x = q.x * p.zz - p.x;
    Fq slope_y = q.y * p.zzz - p.y;
    if (slope_x.is_zero()) return slope_y.is_zero() ? twice_rarely(p) : Sum::identity();
    return add_scaled(p.x, p.y, slope_x, slope_y, p.zz, p.zzz);
}

// A call, so that its fourteen multiplications stand once: compiled into each of the many places that add sums, they
// take NVRTC most of a minute.
__device__ __noinline__ Sum add(Sum p, Sum q) {
    if (q.is_identity()) return p;
    if (p.is_identity()) return q;
    Fq px = p.x * q.zz;
    Fq py = p.y * q.zzz;
    Fq slope_x = q.x * p.zz - px;
    Fq slope_y = q.y * p.zzz - py;
    if (slope_x.is_zero()) return slope_y.is_zero() ? twice_rarely(p) : Sum::identity();
    return add_scaled(px, py, slope_x, slope_y, p.zz * q.zz, p.zzz * q.zzz);
}

// factor p, by doubling and adding.
__device__ __forceinline__ Sum multiply(Sum p, u32 factor) {
    Sum result = Sum::identity();
#pragma unroll 1
    for (; factor > 0; factor >>= 1) {
        if (factor & 1) result = add(result, p);
        p = twice(p);
    }
    return result;
}

// x = X / ZZ and y = Y / ZZZ, with one inversion: 1 / ZZ = (ZZ / ZZZ)^2, since ZZ^3 = ZZZ^2.
__device__ __forceinline__ Affine to_affine(const Sum& p) {
    if (p.is_identity()) return {Fq::zero(), Fq::zero()};
    Fq zzz_inverse = inverse(p.zzz);
    Fq z_inverse = p.zz * zzz_inverse;
    return {p.x * square(z_inverse), p.y * zzz_inverse};
}
