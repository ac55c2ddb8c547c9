// Runs kernels on the host: enough of CUDA's language for the files beside this folder, unchanged.
//
// A block's threads are fibers of one host thread. A fiber runs one thread after the other as long as none of them
// waits, so a kernel without barriers is a plain loop; at a barrier the fiber is parked and another takes the threads
// that are left. Blocks are shared out between host threads. A barrier that not all threads of a block reach is an
// error, as on a device.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>
#include <sys/mman.h>

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
// Threads of one block share a host thread.
#define __shared__ static thread_local

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

#define EMULATOR_PLACE static thread_local
EMULATOR_PLACE dim3 threadIdx, blockIdx, blockDim, gridDim;

inline unsigned atomicAdd(unsigned* address, unsigned value) {
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}

inline unsigned __brev(unsigned value) {
    unsigned result = 0;
    for (int bit = 0; bit < 32; bit++) result |= ((value >> bit) & 1) << (31 - bit);
    return result;
}

namespace emulator {

// Stacks are mapped, not touched, until a fiber uses them.
constexpr size_t STACK_BYTES = 1 << 19;
constexpr size_t SHARED_BYTES = 227 << 10;

// What a switch leaves behind.
struct Fiber {
    void* stack_pointer = nullptr;
    void* stack = nullptr;
    unsigned thread = 0;
};

// The compiler must not look into the switch to see which registers it leaves alone.
#if defined(__clang__)
#define EMULATOR_OPAQUE naked, noinline
#else
#define EMULATOR_OPAQUE naked, noipa
#endif

#if defined(__x86_64__)
// Saves what a function must preserve, and continues on the other stack.
__attribute__((EMULATOR_OPAQUE)) static void switch_stack(void**, void*) {
    asm("pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
        "movq %rsp, (%rdi)\n movq %rsi, %rsp\n"
        "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret");
}
constexpr size_t SAVED_WORDS = 6;
constexpr size_t RETURN_WORD = 6;
#elif defined(__aarch64__)
__attribute__((EMULATOR_OPAQUE)) static void switch_stack(void**, void*) {
    asm("sub sp, sp, #160\n"
        "stp x19, x20, [sp, #0]\n stp x21, x22, [sp, #16]\n stp x23, x24, [sp, #32]\n stp x25, x26, [sp, #48]\n"
        "stp x27, x28, [sp, #64]\n stp x29, x30, [sp, #80]\n stp d8, d9, [sp, #96]\n stp d10, d11, [sp, #112]\n"
        "stp d12, d13, [sp, #128]\n stp d14, d15, [sp, #144]\n"
        "mov x9, sp\n str x9, [x0]\n mov sp, x1\n"
        "ldp x19, x20, [sp, #0]\n ldp x21, x22, [sp, #16]\n ldp x23, x24, [sp, #32]\n ldp x25, x26, [sp, #48]\n"
        "ldp x27, x28, [sp, #64]\n ldp x29, x30, [sp, #80]\n ldp d8, d9, [sp, #96]\n ldp d10, d11, [sp, #112]\n"
        "ldp d12, d13, [sp, #128]\n ldp d14, d15, [sp, #144]\n"
        "add sp, sp, #160\n ret");
}
constexpr size_t SAVED_WORDS = 20;
constexpr size_t RETURN_WORD = 11;
#else
#error "the emulator switches stacks on x86-64 and on 64-bit ARM only"
#endif

// One host thread's share of a launch.
struct Worker {
    std::vector<Fiber*> idle, parked;
    std::unique_ptr<std::byte[]> shared;
    const std::function<void()>* body = nullptr;
    void* scheduler = nullptr;
    Fiber* running = nullptr;
    unsigned next_thread = 0, threads = 0, finished = 0;
    bool diverged = false;

    void run_block();
    void resume(Fiber* fiber);
};

EMULATOR_PLACE Worker* worker;

inline void* shared_memory() { return worker->shared.get(); }

inline void enter_thread(unsigned thread) {
    worker->running->thread = thread;
    threadIdx = {thread, 0, 0};
}

__attribute__((noinline)) static void run_threads() {
    while (worker->next_thread < worker->threads) {
        enter_thread(worker->next_thread++);
        (*worker->body)();
        worker->finished++;
    }
}

__attribute__((noinline)) static void leave() {
    Fiber* self = worker->running;
    worker->idle.push_back(self);
    switch_stack(&self->stack_pointer, worker->scheduler);
}

// What a fiber does from its first instruction on: thread after thread, block after block. Launches may come from
// different host threads, so nothing that belongs to one of them is kept here.
static void fiber_main() {
    for (;;) {
        run_threads();
        leave();
    }
}

inline Fiber* new_fiber() {
    Fiber* fiber = new Fiber;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    fiber->stack = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (fiber->stack == MAP_FAILED) {
        std::fputs("emulator: no memory for a stack\n", stderr);
        std::abort();
    }
    // On entry the stack must look as after a call: aligned to sixteen bytes, less one word.
    void** top = reinterpret_cast<void**>(static_cast<char*>(fiber->stack) + STACK_BYTES - 64);
    void** saved = top - SAVED_WORDS - (SAVED_WORDS % 2 == 0 ? 2 : 1);
    saved[RETURN_WORD] = reinterpret_cast<void*>(&fiber_main);
    fiber->stack_pointer = saved;
    return fiber;
}

inline void Worker::resume(Fiber* fiber) {
    running = fiber;
    switch_stack(&scheduler, fiber->stack_pointer);
}

inline void Worker::run_block() {
    next_thread = finished = 0;
    while (next_thread < threads) {
        Fiber* fiber = nullptr;
        if (idle.empty()) {
            fiber = new_fiber();
        } else {
            fiber = idle.back();
            idle.pop_back();
        }
        resume(fiber);
    }
    while (!parked.empty()) {
        diverged |= finished > 0;
        std::vector<Fiber*> waiting;
        waiting.swap(parked);
        // The other way round than before the barrier: what leans on an order of threads must fail.
        for (auto fiber = waiting.rbegin(); fiber != waiting.rend(); ++fiber) resume(*fiber);
    }
}

__attribute__((noinline)) inline void barrier() {
    Fiber* self = worker->running;
    unsigned thread = self->thread;
    worker->parked.push_back(self);
    switch_stack(&self->stack_pointer, worker->scheduler);
    enter_thread(thread);
}

// Host threads that run blocks; each keeps its fibers from launch to launch.
struct Pool {
    std::mutex launching;
    std::vector<Worker> workers;

    Pool() : workers(std::thread::hardware_concurrency() > 1 ? 2 : 1) {}

    // Whether all threads of each block met at each of its barriers.
    bool launch(dim3 grid, dim3 block, const std::function<void()>& body) {
        std::lock_guard<std::mutex> lock(launching);
        std::atomic<unsigned> next_block{0};
        unsigned blocks = grid.x * grid.y;
        auto work = [&](Worker& mine) {
            worker = &mine;
            if (!mine.shared) mine.shared.reset(new std::byte[SHARED_BYTES]);
            mine.body = &body;
            mine.threads = block.x;
            mine.diverged = false;
            gridDim = grid;
            blockDim = block;
            for (unsigned index; (index = next_block++) < blocks;) {
                blockIdx = {index % grid.x, index / grid.x, 0};
                mine.run_block();
            }
        };
        std::vector<std::thread> others;
        // A second thread is not worth its start for a single block.
        for (size_t i = 1; i < workers.size() && blocks > 1; i++) others.emplace_back(work, std::ref(workers[i]));
        work(workers[0]);
        for (std::thread& other : others) other.join();
        bool diverged = false;
        for (Worker& each : workers) diverged |= each.diverged;
        return !diverged;
    }
};

inline Pool& pool() {
    static Pool the_pool;
    return the_pool;
}

template <class... Parameters, size_t... Index>
inline void call(void (*kernel)(Parameters...), void** arguments, std::index_sequence<Index...>) {
    kernel(*static_cast<std::remove_reference_t<Parameters>*>(arguments[Index])...);
}

// Arguments are passed as the driver takes them: an array of pointers to their values.
template <class... Parameters>
inline int launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, void** arguments) {
    std::function<void()> body = [=] { call(kernel, arguments, std::index_sequence_for<Parameters...>{}); };
    return pool().launch(grid, block, body) ? 0 : 1;
}

}  // namespace emulator

inline void __syncthreads() { emulator::barrier(); }

// One entry for each kernel, by its name. Libraries are compiled with all else hidden: each has its own workers.
#define EMULATED_KERNEL(kernel)                                                                                     \
    extern "C" __attribute__((visibility("default"))) int emulated_##kernel(                                        \
        unsigned grid_x, unsigned grid_y, unsigned block, unsigned shared, void** arguments) {                      \
        if (shared > emulator::SHARED_BYTES || block > 1024) return 2;                                              \
        return emulator::launch(&kernel, {grid_x, grid_y, 1}, {block, 1, 1}, arguments);                            \
    }
