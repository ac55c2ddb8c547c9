// Single instructions of PTX's carry chains.
//
// The device keeps the carry in its condition register; compilers keep `asm volatile` statements in order and put
// nothing between them that writes it. Elsewhere each instruction is computed with a carry of its own thread, so that
// what is built from them can be run, and compared, without a device.
#pragma once
#include "device.cuh"

namespace chain {

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)

#define HYGEIA_CHAIN_2(name, instruction)                                                  \
    __device__ __forceinline__ u32 name(u32 a, u32 b) {                                    \
        u32 result;                                                                        \
        asm volatile(instruction " %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));          \
        return result;                                                                     \
    }
#define HYGEIA_CHAIN_3(name, instruction)                                                  \
    __device__ __forceinline__ u32 name(u32 a, u32 b, u32 c) {                             \
        u32 result;                                                                        \
        asm volatile(instruction " %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c)); \
        return result;                                                                     \
    }

HYGEIA_CHAIN_2(add_cc, "add.cc.u32")
HYGEIA_CHAIN_2(addc_cc, "addc.cc.u32")
HYGEIA_CHAIN_2(addc, "addc.u32")
HYGEIA_CHAIN_2(sub_cc, "sub.cc.u32")
HYGEIA_CHAIN_2(subc_cc, "subc.cc.u32")
HYGEIA_CHAIN_2(subc, "subc.u32")
HYGEIA_CHAIN_2(mul_lo, "mul.lo.u32")
HYGEIA_CHAIN_2(mul_hi, "mul.hi.u32")
HYGEIA_CHAIN_3(mad_lo_cc, "mad.lo.cc.u32")
HYGEIA_CHAIN_3(madc_lo_cc, "madc.lo.cc.u32")
HYGEIA_CHAIN_3(madc_hi_cc, "madc.hi.cc.u32")
HYGEIA_CHAIN_3(madc_hi, "madc.hi.u32")

#undef HYGEIA_CHAIN_2
#undef HYGEIA_CHAIN_3

#else

static thread_local u32 carry_flag;

inline u32 keep(u64 sum) {
    carry_flag = (u32)(sum >> 32);
    return (u32)sum;
}
// Borrows stand in the upper half as ones.
inline u32 keep_borrow(u64 difference) {
    carry_flag = (u32)(difference >> 32) & 1;
    return (u32)difference;
}

inline u32 add_cc(u32 a, u32 b) { return keep((u64)a + b); }
inline u32 addc_cc(u32 a, u32 b) { return keep((u64)a + b + carry_flag); }
inline u32 addc(u32 a, u32 b) { return a + b + carry_flag; }
inline u32 sub_cc(u32 a, u32 b) { return keep_borrow((u64)a - b); }
inline u32 subc_cc(u32 a, u32 b) { return keep_borrow((u64)a - b - carry_flag); }
inline u32 subc(u32 a, u32 b) { return a - b - carry_flag; }
inline u32 mul_lo(u32 a, u32 b) { return a * b; }
inline u32 mul_hi(u32 a, u32 b) { return (u32)(((u64)a * b) >> 32); }
inline u32 mad_lo_cc(u32 a, u32 b, u32 c) { return keep((u64)mul_lo(a, b) + c); }
inline u32 madc_lo_cc(u32 a, u32 b, u32 c) { return keep((u64)mul_lo(a, b) + c + carry_flag); }
inline u32 madc_hi_cc(u32 a, u32 b, u32 c) { return keep((u64)mul_hi(a, b) + c + carry_flag); }
inline u32 madc_hi(u32 a, u32 b, u32 c) { return mul_hi(a, b) + c + carry_flag; }

#endif

}  // namespace chain
