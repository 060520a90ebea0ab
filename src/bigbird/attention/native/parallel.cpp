#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
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

// Whether this process was forked and has not executed another program since, as Linux tells it: OpenMP may have run
// before the fork, and this library was perhaps not even loaded then.
bool was_forked() {
    constexpr unsigned long PF_FORKNOEXEC = 0x40;  // include/linux/sched.h
    std::ifstream file("/proc/self/stat");
    std::string stat;
    std::getline(file, stat);
    const size_t name_end = stat.rfind(')');  // the name may hold anything
    if (name_end == std::string::npos) return false;
    std::istringstream fields(stat.substr(name_end + 1));
    std::string skipped;
    for (int field = 0; field < 6; ++field) fields >> skipped;
    unsigned long flags = 0;
    return fields >> flags && flags & PF_FORKNOEXEC;
}

GompParallel find_openmp() {
    void* library = dlopen("libgomp.so.1", RTLD_LAZY | RTLD_NOLOAD);
    pthread_atfork(nullptr, nullptr, [] { is_forked_child = true; });
    is_forked_child = was_forked();
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

void run_on_own_threads(Job& job, int64_t num_threads) {
    std::vector<std::thread> others;
    try {
        for (int64_t number = 1; number < num_threads; ++number) others.emplace_back(take_items, &job);
    } catch (const std::exception&) {
        // The system gives no more threads: those that run share the work.
    }
    take_items(&job);
    for (std::thread& other : others) other.join();
}

}  // namespace

void parallel_for(int64_t num_items, int64_t grain, int num_threads, const std::function<void(int64_t)>& work) {
    Job job;
    job.num_items = num_items, job.grain = grain, job.work = &work;
    const int64_t useful = std::min<int64_t>(num_threads, (num_items + grain - 1) / grain);
    if (useful <= 1 || !run_on_openmp(job, static_cast<unsigned>(useful))) run_on_own_threads(job, useful);
    if (job.failure) std::rethrow_exception(job.failure);
}
