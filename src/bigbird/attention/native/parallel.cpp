#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#include <pthread.h>
#endif

namespace {

struct Job {
    std::atomic<int64_t> next{0};
    int64_t num_items, grain;
    const std::function<void(int64_t)>* work;
    std::mutex guard;
    std::exception_ptr failure;  // the first; no exception may leave a thread that is not the caller's
};

void take_items(void* pointer) {
    Job& job = *static_cast<Job*>(pointer);
    for (int64_t first = job.next.fetch_add(job.grain); first < job.num_items; first = job.next.fetch_add(job.grain)) {
        const int64_t last = std::min(first + job.grain, job.num_items);
        try {
            for (int64_t item = first; item < last; ++item) (*job.work)(item);
        } catch (...) {
            const std::lock_guard<std::mutex> lock(job.guard);
            if (!job.failure) job.failure = std::current_exception();
            job.next = job.num_items;
        }
    }
}

#if defined(__unix__) || defined(__APPLE__)

// PyTorch's own OpenMP threads, if it has brought GNU's runtime: a second set of threads would fight over the cores
// with those that still spin after PyTorch's last operation. GOMP_parallel is part of its stable interface.
using GompParallel = void (*)(void (*)(void*), void*, unsigned, unsigned);

bool is_forked_child = false;  // OpenMP's threads do not survive a fork, and asking for them would hang

GompParallel find_openmp() {
    void* library = dlopen("libgomp.so.1", RTLD_LAZY | RTLD_NOLOAD);
    pthread_atfork(nullptr, nullptr, [] { is_forked_child = true; });
    return library ? reinterpret_cast<GompParallel>(dlsym(library, "GOMP_parallel")) : nullptr;
}

bool run_on_openmp(Job& job, unsigned num_threads) {
    static const GompParallel gomp_parallel = find_openmp();
    if (!gomp_parallel || is_forked_child) return false;
    gomp_parallel(take_items, &job, num_threads, 0);
    return true;
}

#else

bool run_on_openmp(Job&, unsigned) { return false; }

#endif

}  // namespace

void parallel_for(int64_t num_items, int64_t grain, int num_threads, const std::function<void(int64_t)>& work) {
    Job job;
    job.num_items = num_items, job.grain = grain, job.work = &work;
    const int64_t useful = std::min<int64_t>(num_threads, (num_items + grain - 1) / grain);
    if (useful <= 1 || !run_on_openmp(job, static_cast<unsigned>(useful))) {
        std::vector<std::thread> others;
        for (int64_t number = 1; number < useful; ++number) others.emplace_back(take_items, &job);
        take_items(&job);
        for (std::thread& other : others) other.join();
    }
    if (job.failure) std::rethrow_exception(job.failure);
}
