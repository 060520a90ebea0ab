// Work shared out to threads. Who does which item changes nothing: every item writes its own results.
#pragma once

#include <cstdint>
#include <functional>

// Calls work(item) for every item in [0, num_items), from up to num_threads threads, each taking `grain` at a time.
void parallel_for(int64_t num_items, int64_t grain, int num_threads, const std::function<void(int64_t)>& work);
