// The library's face. Compiled for the plain processor, so that it can be asked whether the kernels run here.
#include <exception>

#include "problem.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED int bigbird_abi() { return BIGBIRD_ABI; }

EXPORTED int bigbird_runs_here() {
#if defined(BIGBIRD_NEEDS_AVX2)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
#endif
#if defined(BIGBIRD_NEEDS_AVX512)
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return 0;
#endif
#if defined(BIGBIRD_NEEDS_AVX512_BF16)
    if (!__builtin_cpu_supports("avx512bf16")) return 0;
#endif
    return 1;
}

template <class Problem>
static int guarded(void (*run)(const Problem&), const Problem* problem) {
    try {
        run(*problem);
        return 0;
    } catch (const std::exception&) {
        return 1;  // out of memory: nothing else here throws
    }
}

EXPORTED int bigbird_forward(const Problem* problem) { return guarded(run_forward, problem); }

EXPORTED int bigbird_backward(const Problem* problem) { return guarded(run_backward, problem); }

EXPORTED int bigbird_gelu(const Gelu* problem) { return guarded(run_gelu, problem); }
