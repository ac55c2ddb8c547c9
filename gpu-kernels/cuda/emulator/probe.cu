// Single functions of the headers, for tests: each kernel writes what it finds beside its input.
#include "../include/curve.cuh"

// Per element: sum, difference and product on carry chains, the same by the operators, the inverse of a, and a out of
// Montgomery form.
template <class P>
__device__ __forceinline__ void probe_field(Field<P>* out, const Field<P>* a, const Field<P>* b, u32 count) {
    u32 i = thread_index();
    if (i >= count) return;
    Field<P>* mine = out + 8 * i;
    mine[0] = chained_add(a[i], b[i]);
    mine[1] = chained_subtract(a[i], b[i]);
    mine[2] = chained_multiply(a[i], b[i]);
    mine[3] = a[i] + b[i];
    mine[4] = a[i] - b[i];
    mine[5] = a[i] * b[i];
    mine[6] = inverse(a[i]);
    mine[7] = canonical(a[i]);
}

extern "C" __global__ void probe_fr(Fr* out, const Fr* a, const Fr* b, u32 count) { probe_field(out, a, b, count); }

extern "C" __global__ void probe_fq(Fq* out, const Fq* a, const Fq* b, u32 count) { probe_field(out, a, b, count); }

// One, and the modulus as if it were an element.
template <class P>
__device__ __forceinline__ void probe_modulus(Field<P>* out) {
    out[0] = Field<P>::one();
#pragma unroll
    for (int i = 0; i < 8; i++) out[1].limb[i] = P::word(i);
}

extern "C" __global__ void probe_constants(Fr* of_fr, Fq* of_fq) {
    probe_modulus(of_fr);
    probe_modulus(of_fq);
}

// The same point with denominators that are not one.
__device__ __forceinline__ Sum scaled(const Affine& p) { return add(twice(to_sum(p)), negate(p)); }

// Per pair: p + q with an affine q, with both scaled, p + q from a fresh p, 2 p, and factor p.
extern "C" __global__ void probe_curve(Affine* out, const Affine* p, const Affine* q, u32 factor, u32 count) {
    u32 i = thread_index();
    if (i >= count) return;
    Affine* mine = out + 5 * i;
    mine[0] = to_affine(add(scaled(p[i]), q[i]));
    mine[1] = to_affine(add(scaled(p[i]), scaled(q[i])));
    mine[2] = to_affine(add(to_sum(p[i]), q[i]));
    mine[3] = to_affine(twice(scaled(p[i])));
    mine[4] = to_affine(multiply(scaled(p[i]), factor));
}

// A barrier that half of a block does not reach.
extern "C" __global__ void probe_barrier(u32* out) {
    if (threadIdx.x < blockDim.x / 2) __syncthreads();
    out[threadIdx.x] = threadIdx.x;
}
