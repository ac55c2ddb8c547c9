// Poseidon over the scalar field: width 3, rate 2, 8 full and 57 partial rounds, S-box x^5. One thread for each
// message.
#include "../include/field.cuh"

#define POSEIDON_ROUNDS 65
#define POSEIDON_FULL_BEFORE 4
#define POSEIDON_PARTIAL 57

__device__ __forceinline__ Fr pow5(const Fr& x) { return square(square(x)) * x; }

// `constants` are three for each round, of which partial rounds read the first, and then the matrix row by row.
__device__ __forceinline__ void permute(Fr* state, const Fr* constants) {
    const Fr* matrix = constants + 3 * POSEIDON_ROUNDS;
#pragma unroll 1
    for (u32 round = 0; round < POSEIDON_ROUNDS; round++) {
        const Fr* added = constants + 3 * round;
        state[0] = pow5(state[0] + load(&added[0]));
        if (round < POSEIDON_FULL_BEFORE || round >= POSEIDON_FULL_BEFORE + POSEIDON_PARTIAL) {
            state[1] = pow5(state[1] + load(&added[1]));
            state[2] = pow5(state[2] + load(&added[2]));
        }
        Fr mixed[3];
#pragma unroll
        for (int row = 0; row < 3; row++) {
            const Fr* of_row = matrix + 3 * row;
            mixed[row] = load(&of_row[0]) * state[0] + load(&of_row[1]) * state[1] + load(&of_row[2]) * state[2];
        }
#pragma unroll
        for (int row = 0; row < 3; row++) state[row] = mixed[row];
    }
}

// Message m is elements[starts[m] .. starts[m + 1]].
extern "C" __global__ void __launch_bounds__(128)
    poseidon_hash(Fr* digests, const Fr* elements, const u32* starts, const Fr* constants, Fr tag, u32 messages) {
    u32 m = thread_index();
    if (m >= messages) return;
    Fr state[3] = {tag, Fr::zero(), Fr::zero()};
    u32 i = starts[m], end = starts[m + 1];
#pragma unroll 1
    do {
        if (i < end) state[1] = state[1] + load(&elements[i]);
        if (i + 1 < end) state[2] = state[2] + load(&elements[i + 1]);
        permute(state, constants);
        i += 2;
    } while (i < end);
    store(&digests[m], state[1]);
}
