// Forward: a row of blocks at a time, its keys in steps, with the running sum of online softmax.
// Scores, weights and outputs lie transposed, a lane per query (Milakov and Gimelshein 2018; Dao et al. 2022).
#pragma once

#include <functional>
#include <vector>

#include "parallel.h"
#include "softmax.h"

namespace {

constexpr int64_t PIECE_KEYS = 2048;  // a longer row is shared out in pieces of so many and merged in their order

// Part of a row: some queries and entries [first, last) of their list; piece < 0 when that is the whole list.
struct ForwardItem {
    int64_t batch, head, block, step, first, last, piece;
};

// What a piece leaves for the merge: outputs[feature][lane], then tops[lane], then sums[lane].
inline int64_t piece_floats(const Problem& problem) { return (problem.head_dim + 2) * MAX_QUERIES; }

template <class Kind>
class ForwardWorker {
    typedef typename Kind::Arithmetic Arithmetic;
    typedef typename Arithmetic::Operand Operand;
    static constexpr int PER = Arithmetic::PER_OPERAND;

public:
    ForwardWorker(const Problem& problem, Buffer& buffer) : problem_(problem), head_dim_(problem.head_dim) {
        const int64_t rows = MAX_QUERIES * padded(head_dim_), key_rows = MAX_KEYS * padded(head_dim_);
        float* memory = buffer.floats(3 * rows + 2 * key_rows + 2 * MAX_KEYS * MAX_QUERIES + 3 * MAX_QUERIES);
        queries_ = reinterpret_cast<Operand*>(memory), memory += rows;
        outputs_ = memory, memory += rows;
        spare_ = memory, memory += rows;
        top_ = memory, memory += MAX_QUERIES;
        sum_ = memory, memory += MAX_QUERIES;
        more_ = memory, memory += MAX_QUERIES;
        scores_ = memory, memory += MAX_KEYS * MAX_QUERIES;
        weights_ = memory, memory += MAX_KEYS * MAX_QUERIES;
        key_scratch_ = memory, memory += key_rows;
        value_scratch_ = memory;
    }

    // The item's outputs, unnormalised, in outputs_, top_ and sum_.
    void attend(const ForwardItem& item, const QueryStep& queries) {
        const int lanes = queries.lanes();
        pack_across<Kind>(problem_, problem_.q, item.batch, item.head, queries, queries_, spare_);
        std::fill(top_, top_ + lanes, scale().nothing_yet());
        std::fill(sum_, sum_ + lanes, 0.0f);
        std::fill(outputs_, outputs_ + head_dim_ * lanes, 0.0f);
        float* score_rows[MAX_KEYS];
        for (int key = 0; key < MAX_KEYS; ++key) score_rows[key] = scores_ + key * lanes;
        std::vector<float*> output_rows(static_cast<size_t>(head_dim_));
        for (int64_t d = 0; d < head_dim_; ++d) output_rows[static_cast<size_t>(d)] = outputs_ + d * lanes;
        KeySteps<Kind> keys(problem_, item.batch, item.head, item.first, item.last, queries);
        Rows<Kind> k, v;
        for (bool is_first = true; keys.next(); is_first = false) {
            k.set(keys.k, keys.size, head_dim_, false, key_scratch_);
            v.set(keys.v, keys.size, head_dim_, true, value_scratch_);
            const auto score = [&](int num_keys) {
                multiply<Arithmetic, Order::ROWS>(num_keys, head_dim_ / PER, queries.width, k.features, queries_, lanes,
                                                  Keep{score_rows, false});
            };
            const SeeEarlier earlier{keys.places, queries.first};
            const bool has_later = keys.has_later(queries);
            const int first_keys = std::min(keys.size, FIRST_KEYS);
            if (has_later) {
                score(keys.size);
                hide_later(keys.size, lanes, earlier);
            } else if (is_first) {
                score(first_keys);
            }
            if (is_first) raise_tops(first_keys, queries.width, true);
            if (has_later)
                weigh_in_memory(keys, lanes, earlier);
            else
                weigh_in_registers(k, keys, queries.width);
            if (has_outgrown(lanes)) {
                if (!has_later) score(keys.size);
                raise_tops(keys.size, queries.width, false);
                if (has_later)
                    weigh_in_memory(keys, lanes, earlier);
                else
                    weigh_in_memory(keys, lanes, SeeAll{});
            }
            for (int lane = 0; lane < lanes; ++lane) sum_[lane] += more_[lane];
            multiply<Arithmetic, Order::COLUMNS>(static_cast<int>(head_dim_), (keys.size + PER - 1) / PER,
                                                 queries.width, v.members, reinterpret_cast<const Operand*>(weights_),
                                                 lanes, Keep{output_rows.data(), true});
        }
    }

    void keep_piece(const QueryStep& queries, float* piece) const {
        const int lanes = queries.lanes();
        std::copy(outputs_, outputs_ + head_dim_ * lanes, piece);
        std::copy(top_, top_ + lanes, piece + head_dim_ * MAX_QUERIES);
        std::copy(sum_, sum_ + lanes, piece + (head_dim_ + 1) * MAX_QUERIES);
    }

    // Joins pieces [first, last) of one row, in order, in outputs_, top_ and sum_.
    void merge(const QueryStep& queries, const float* pieces, int64_t num_pieces) {
        const int lanes = queries.lanes();
        const int64_t stride = piece_floats(problem_);
        std::fill(top_, top_ + lanes, scale().nothing_yet());
        std::fill(sum_, sum_ + lanes, 0.0f);
        std::fill(outputs_, outputs_ + head_dim_ * lanes, 0.0f);
        for (int64_t number = 0; number < num_pieces; ++number) {
            const float* tops = pieces + number * stride + head_dim_ * MAX_QUERIES;
            for (int lane = 0; lane < lanes; lane += LANES)
                store(top_ + lane, scale().better(load<Floats>(tops + lane), load<Floats>(top_ + lane)));
        }
        for (int64_t number = 0; number < num_pieces; ++number) {
            const float* piece = pieces + number * stride;
            for (int lane = 0; lane < lanes; lane += LANES) {
                const Floats top = load<Floats>(piece + head_dim_ * MAX_QUERIES + lane);
                const Floats sum = load<Floats>(piece + (head_dim_ + 1) * MAX_QUERIES + lane);
                const Floats factor = scale().change(top, load<Floats>(top_ + lane));
                store(sum_ + lane, load<Floats>(sum_ + lane) + sum * factor);
                for (int64_t d = 0; d < head_dim_; ++d) {
                    float* place = outputs_ + d * lanes + lane;
                    store(place, load<Floats>(place) + load<Floats>(piece + d * lanes + lane) * factor);
                }
            }
        }
    }

    // Divides by the sums and writes the rows, and what the backward pass needs of the softmax.
    void finish(const ForwardItem& item, const QueryStep& queries) {
        const int lanes = queries.lanes();
        for (int lane = 0; lane < lanes; lane += LANES) {
            const Floats sum = load<Floats>(sum_ + lane);
            const Floats inverse = sum > 0.0f || sum != sum ? 1.0f / sum : Floats{};
            for (int64_t d = 0; d < head_dim_; ++d) {
                float* place = outputs_ + d * lanes + lane;
                store(place, load<Floats>(place) * inverse);
            }
        }
        const uint32_t* rows[MAX_KEYS];
        const int64_t stride = padded(head_dim_);
        float* block = spare_;
        for (int first = 0; first < queries.size; first += LANES) {
            for (int64_t d = 0; d < head_dim_; d += MAX_KEYS) {
                const int count = static_cast<int>(std::min<int64_t>(MAX_KEYS, head_dim_ - d));
                for (int row = 0; row < count; ++row)
                    rows[row] = reinterpret_cast<const uint32_t*>(outputs_ + (d + row) * lanes + first);
                transpose(rows, count, LANES, reinterpret_cast<uint32_t*>(block) + d, stride);
            }
            for (int lane = 0; lane < LANES && first + lane < queries.size; ++lane) {
                const int64_t place = queries.first + first + lane;
                write_row(block + lane * stride, head_dim_, 1.0f,
                          row_of<typename Kind::Element>(problem_.out, item.batch, item.head, place));
                const float sum = sum_[first + lane];
                float* kept =
                    problem_.softmax + 2 * ((item.batch * problem_.heads + item.head) * problem_.query_length + place);
                kept[0] = sum == 0.0f ? 0.0f : top_[first + lane];  // finite, so that times 0 it is 0
                kept[1] = sum == 0.0f ? 0.0f : 1.0f / sum;
            }
        }
    }

private:
    Scale scale(const float* log_counts = nullptr) const { return {problem_.scale * LOG2_E, log_counts, top_}; }

    // What a lane must not see is none of the scores among which it looks for its largest.
    void hide_later(int num_keys, int lanes, const SeeEarlier& earlier) {
        for (int key = 0; key < num_keys; ++key) {
            float* row = scores_ + key * lanes;
            std::fill(row, row + std::min(lanes, earlier.first_lane(key)), scale().nothing_yet());
        }
    }

    // Weights relative to top_, in weights_; their sums go to more_.
    void weigh_in_registers(const Rows<Kind>& k, const KeySteps<Kind>& keys, int width) {
        const int lanes = width * LANES;
        std::fill(more_, more_ + lanes, 0.0f);
        const auto weigh = weigh_of<Kind>(scale(keys.log_counts), weights_, more_, lanes, SeeAll{});
        multiply<Arithmetic, Order::ROWS>(keys.size, head_dim_ / PER, width, k.features, queries_, lanes,
                                          Alongside<decltype(weigh)>(weigh));
    }

    template <class Sight>
    void weigh_in_memory(const KeySteps<Kind>& keys, int lanes, Sight see) {
        std::fill(more_, more_ + lanes, 0.0f);
        for_each(scores_, keys.size, lanes, weigh_of<Kind>(scale(keys.log_counts), weights_, more_, lanes, see));
    }

    // The maximum that weights are relative to is that of the first few keys; it is looked for again only when weights
    // grow far beyond 1. So scores need not be held until the largest is known, and become weights in registers.
    bool has_outgrown(int lanes) const {
        bool has = false;
        for (int lane = 0; lane < lanes; ++lane) has |= !(more_[lane] < OUTGROWN);
        return has;
    }

    // top_ of every lane, or of those that have outgrown theirs, becomes the largest of these scores; what was summed
    // so far is scaled. A lane's arithmetic does not depend on its neighbours'.
    void raise_tops(int num_keys, int width, bool is_first) {
        const int lanes = width * LANES;
        alignas(64) float found[MAX_QUERIES];
        find_tops(scores_, lanes, num_keys, scale(), found);
        for (int lane = 0; lane < lanes; lane += LANES) {
            const Floats before = load<Floats>(top_ + lane);
            const Floats raised = load<Floats>(found + lane);
            const Floats top = is_first ? raised : load<Floats>(more_ + lane) < all(OUTGROWN) ? before : raised;
            store(top_ + lane, top);
            if (is_first) continue;
            const Floats factor = scale().change(before, top);
            store(sum_ + lane, load<Floats>(sum_ + lane) * factor);
            for (int64_t d = 0; d < head_dim_; ++d) {
                float* place = outputs_ + d * lanes + lane;
                store(place, load<Floats>(place) * factor);
            }
        }
    }

    typename Arithmetic::Session session_;
    const Problem& problem_;
    const int64_t head_dim_;
    Operand* queries_;
    float *outputs_, *spare_, *top_, *sum_, *more_, *scores_, *weights_, *key_scratch_, *value_scratch_;
};

struct ForwardPlan {
    std::vector<ForwardItem> items;
    std::vector<std::pair<ForwardItem, int64_t>> merges;  // a row and how many pieces it has
    int64_t num_pieces = 0;
};

inline ForwardPlan plan_forward(const Problem& problem) {
    ForwardPlan plan;
    const int64_t query_blocks = problem.query_blocks(), steps = steps_per_block(problem);
    const int64_t piece_entries = std::max<int64_t>(1, PIECE_KEYS / problem.block_size);
    for (int64_t batch = 0; batch < problem.batch; ++batch)
        for (int64_t head = 0; head < problem.heads; ++head)
            for (int64_t block = 0; block < query_blocks; ++block)
                for (int64_t step = 0; step < steps; ++step) {
                    const int64_t row = (problem.num_lists > 1 ? head : 0) * query_blocks + block;
                    const int64_t first = problem.row_starts[row], last = problem.row_starts[row + 1];
                    if (!query_step(problem, block, step).size) continue;
                    if (last - first <= piece_entries) {
                        plan.items.push_back({batch, head, block, step, first, last, -1});
                        continue;
                    }
                    const int64_t first_piece = plan.num_pieces;
                    for (int64_t start = first; start < last; start += piece_entries)
                        plan.items.push_back({batch, head, block, step, start, std::min(start + piece_entries, last),
                                              plan.num_pieces++});
                    plan.merges.push_back(
                        {{batch, head, block, step, first, last, first_piece}, plan.num_pieces - first_piece});
                }
    return plan;
}

template <class Kind>
void forward(const Problem& problem) {
    const ForwardPlan plan = plan_forward(problem);
    Buffer pieces;
    float* memory = plan.num_pieces ? pieces.floats(plan.num_pieces * piece_floats(problem)) : nullptr;
    parallel_for(static_cast<int64_t>(plan.items.size()), 4, problem.num_threads, [&](int64_t number) {
        static thread_local Buffer buffer;
        const ForwardItem& item = plan.items[static_cast<size_t>(number)];
        const QueryStep queries = query_step(problem, item.block, item.step);
        ForwardWorker<Kind> worker(problem, buffer);
        worker.attend(item, queries);
        if (item.piece < 0)
            worker.finish(item, queries);
        else
            worker.keep_piece(queries, memory + item.piece * piece_floats(problem));
    });
    parallel_for(static_cast<int64_t>(plan.merges.size()), 1, problem.num_threads, [&](int64_t number) {
        static thread_local Buffer buffer;
        const auto& [item, num_pieces] = plan.merges[static_cast<size_t>(number)];
        const QueryStep queries = query_step(problem, item.block, item.step);
        ForwardWorker<Kind> worker(problem, buffer);
        worker.merge(queries, memory + item.piece * piece_floats(problem), num_pieces);
        worker.finish(item, queries);
    });
}

}  // namespace
