// What every kernel needs: fixed-width names, the thread's place, and shared memory whose size the launch decides.
//
// The same text is compiled by nvcc, by NVRTC (which has no standard headers) and, behind the emulator's header, by an
// ordinary C++ compiler.
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define HYGEIA_SHARED(type, name) extern __shared__ type name[]
#else
#define HYGEIA_SHARED(type, name) type* name = reinterpret_cast<type*>(emulator::shared_memory())
#endif

// Index of this thread along the grid's first axis; the second axis counts vectors of a batch.
__device__ __forceinline__ u32 thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }

__device__ __forceinline__ u32 thread_count() { return gridDim.x * blockDim.x; }
