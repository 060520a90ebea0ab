// The library's face. Compiled for the plain processor, so that it can be asked whether the kernels run here.
#include <algorithm>
#include <exception>

#if defined(__linux__)
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(BIGBIRD_NEEDS_AMX)
#include <cpuid.h>
#endif

#include "problem.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED int bigbird_abi() { return BIGBIRD_ABI; }

#if defined(BIGBIRD_NEEDS_AMX)
// Linux gives a process the tiles' registers when it asks for them (Documentation/arch/x86/xstate.rst, since 5.16).
static bool may_use_amx() {
#if defined(__linux__) && defined(SYS_arch_prctl)
    constexpr unsigned BF16 = 1u << 22, TILE = 1u << 24;  // CPUID 7.0, edx
    constexpr int ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18;
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(edx & BF16) || !(edx & TILE)) return false;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
#else
    return false;
#endif
}
#endif

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
#if defined(BIGBIRD_NEEDS_AMX)
    if (!may_use_amx()) return 0;
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

// Results of this size are new memory each time, of which the system gives a page at the first touch: 12 milliseconds
// for 50 MB in pages of 4 KiB, a tenth of a call. Asked for, it gives 2 MiB at once.
static void prefer_huge_pages(const Problem& problem, const TensorView& view, int64_t length) {
#if defined(__linux__)
    const int64_t element = problem.element == FLOAT32 ? 4 : 2;
    const int64_t last = (problem.batch - 1) * view.batch + (problem.heads - 1) * view.head + (length - 1) * view.row;
    const uintptr_t huge = 1 << 21, start = reinterpret_cast<uintptr_t>(view.data);
    const uintptr_t first = (start + huge - 1) / huge * huge;
    const uintptr_t end = (start + static_cast<uintptr_t>((last + problem.head_dim) * element)) / huge * huge;
    if (first + 4 * huge <= end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
}

EXPORTED int bigbird_forward(const Problem* problem) {
    prefer_huge_pages(*problem, problem->out, problem->query_length);
    return guarded(run_forward, problem);
}

EXPORTED int bigbird_backward(const Problem* problem) {
    prefer_huge_pages(*problem, problem->grad_q, problem->query_length);
    prefer_huge_pages(*problem, problem->grad_k, problem->key_length);
    prefer_huge_pages(*problem, problem->grad_v, problem->key_length);
    return guarded(run_backward, problem);
}

EXPORTED int bigbird_gelu(const Gelu* problem) { return guarded(run_gelu, problem); }

EXPORTED int bigbird_row_attention(const RowAttention* problem) { return guarded(run_row_attention, problem); }
