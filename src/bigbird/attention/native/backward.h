// Backward: every visible pair of blocks is visited once and gives all three gradients (five products).
//
// The entries of the pattern's lists are cut into units of equal work. A unit adds its gradients of keys and values in
// memory of its own, one slot for each key block it meets; then each key block's slots are added in the order of the
// units. So nothing depends on which thread comes first, and there are no atomics. Where a document is cut depends on
// its own lists alone, so nothing depends on what is packed around it either.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "parallel.h"
#include "softmax.h"

namespace {

constexpr int64_t WANTED_UNITS = 24;              // of a document, over all heads: enough to keep many cores busy
constexpr int64_t MIN_UNIT_PAIRS = 64 * 64 * 64;  // query-key pairs; less is not worth a slot's memory
constexpr int64_t CACHED_FLOATS = 4 << 20;    // slots better held at once: they are read again while still in cache,
constexpr int64_t UNITS_PER_THREAD = 4;       // unless that gives the threads too little to share,
constexpr int64_t SCRATCH_FLOATS = 16 << 20;  // and never more than this, unless a single head needs it

// Entries [first, last) of a list set's compressed rows. slots: the key blocks it meets, in the order it meets them.
struct Unit {
    int64_t first, last, first_row, last_row;  // rows [first_row, last_row) hold the entries
    std::vector<int64_t> slots;
    std::vector<int64_t> slot_of_entry;
    int64_t slot_offset;  // in blocks of scratch, among the units of its list set
    int64_t part_offset;  // of its first unfinished row, likewise in rows of scratch
};

struct SlotPlace {
    int64_t unit, slot;
};

// How one list set is cut; the same for every batch and head that uses it.
struct BackwardPlan {
    std::vector<Unit> units;
    std::vector<std::vector<SlotPlace>> slots_of_block;
    std::vector<std::vector<int64_t>> parts_of_row;  // scratch rows of a row that several units share, in order
    int64_t num_slots = 0, num_parts = 0;
};

// Entries [first, last) of a list set's compressed rows.
struct Entries {
    int64_t first, last;
};

// The list set's entries, apart wherever rows further down see none of the key blocks seen above, or any before them:
//     a a . .
//     a a . .
//     . . b .
//     . . . c
// A packed document makes the same of these parts whatever stands around it.
inline std::vector<Entries> independent_parts(const Problem& problem, int64_t first_row) {
    const int64_t query_blocks = problem.query_blocks();
    const int64_t* starts = problem.row_starts + first_row;
    const auto lowest_and_highest = [&](int64_t row) {
        return std::minmax_element(problem.key_blocks + starts[row], problem.key_blocks + starts[row + 1]);
    };
    std::vector<int64_t> lowest_from(static_cast<size_t>(query_blocks + 1), problem.num_key_blocks());
    for (int64_t row = query_blocks - 1; row >= 0; --row) {
        const int64_t below = lowest_from[static_cast<size_t>(row + 1)];
        const bool is_empty = starts[row] == starts[row + 1];
        lowest_from[static_cast<size_t>(row)] = is_empty ? below : std::min(*lowest_and_highest(row).first, below);
    }
    std::vector<Entries> parts;
    int64_t highest = -1, first = starts[0];
    for (int64_t row = 0; row < query_blocks; ++row) {
        if (starts[row] == starts[row + 1]) continue;
        highest = std::max(highest, *lowest_and_highest(row).second);
        if (highest >= lowest_from[static_cast<size_t>(row + 1)]) continue;
        parts.push_back({first, starts[row + 1]});
        first = starts[row + 1];
    }
    return parts;
}

// What each unit holds: a share of a long part, or short parts together.
inline std::vector<Entries> cut(const Problem& problem, int64_t first_row) {
    const int64_t most = (WANTED_UNITS + problem.heads - 1) / problem.heads;
    const int64_t least = std::max<int64_t>(1, MIN_UNIT_PAIRS / (problem.block_size * problem.block_size));
    std::vector<Entries> units;
    bool may_grow = false;
    for (const Entries& part : independent_parts(problem, first_row)) {
        const int64_t count = part.last - part.first, shares = std::clamp<int64_t>(count / least, 1, most);
        if (may_grow && part.last - units.back().first <= least) {
            units.back().last = part.last;
            continue;
        }
        const int64_t size = (count + shares - 1) / shares;
        for (int64_t first = part.first; first < part.last; first += size)
            units.push_back({first, std::min(first + size, part.last)});
        may_grow = shares == 1;
    }
    return units;
}

inline BackwardPlan plan_backward(const Problem& problem, int64_t list) {
    BackwardPlan plan;
    const int64_t query_blocks = problem.query_blocks(), first_row = list * query_blocks;
    plan.slots_of_block.resize(static_cast<size_t>(problem.num_key_blocks()));
    plan.parts_of_row.resize(static_cast<size_t>(query_blocks));
    std::vector<int64_t> slot_of_block(static_cast<size_t>(problem.num_key_blocks()), -1);
    int64_t row = 0;
    for (const Entries& entries : cut(problem, first_row)) {
        Unit unit{entries.first, entries.last, 0, 0, {}, {}, plan.num_slots, plan.num_parts};
        const int64_t number = static_cast<int64_t>(plan.units.size());
        while (problem.row_starts[first_row + row + 1] <= unit.first) ++row;
        unit.first_row = row;
        int64_t after = row;
        while (after < query_blocks && problem.row_starts[first_row + after] < unit.last) ++after;
        unit.last_row = after;
        for (int64_t entry = unit.first; entry < unit.last; ++entry) {
            int64_t& slot = slot_of_block[static_cast<size_t>(problem.key_blocks[entry])];
            if (slot < 0) {
                slot = static_cast<int64_t>(unit.slots.size());
                unit.slots.push_back(problem.key_blocks[entry]);
                plan.slots_of_block[static_cast<size_t>(problem.key_blocks[entry])].push_back({number, slot});
            }
            unit.slot_of_entry.push_back(slot);
        }
        for (const int64_t block : unit.slots) slot_of_block[static_cast<size_t>(block)] = -1;
        for (int64_t shared = unit.first_row; shared < unit.last_row; ++shared) {
            const bool is_whole = problem.row_starts[first_row + shared] >= unit.first &&
                                  problem.row_starts[first_row + shared + 1] <= unit.last;
            if (!is_whole) plan.parts_of_row[static_cast<size_t>(shared)].push_back(plan.num_parts++);
        }
        plan.num_slots += static_cast<int64_t>(unit.slots.size());
        plan.units.push_back(std::move(unit));
    }
    return plan;
}

// Scratch of one batch and head: slots [2][block_size][padded head_dim] (keys, values), then parts
// [queries of a block][padded head_dim].
struct SlotLayout {
    int64_t row_floats, slot_floats, part_floats;

    explicit SlotLayout(const Problem& problem)
        : row_floats(padded(problem.head_dim)),
          slot_floats(2 * problem.block_size * row_floats),
          part_floats(problem.block_size * row_floats) {}
    int64_t floats(const BackwardPlan& plan) const {
        return plan.num_slots * slot_floats + plan.num_parts * part_floats;
    }
};

template <class Kind>
class BackwardWorker {
    typedef typename Kind::Arithmetic Arithmetic;
    typedef typename Arithmetic::Operand Operand;
    typedef typename Kind::Element Element;
    static constexpr int PER = Arithmetic::PER_OPERAND;

public:
    BackwardWorker(const Problem& problem, int64_t batch, int64_t head, Buffer& buffer)
        : problem_(problem), layout_(problem), batch_(batch), head_(head), head_dim_(problem.head_dim) {
        const int64_t rows = MAX_QUERIES * padded(head_dim_), key_rows = MAX_KEYS * padded(head_dim_);
        const int64_t scores = MAX_KEYS * MAX_QUERIES;
        float* memory = buffer.floats(6 * rows + 2 * key_rows + 3 * scores + 3 * MAX_QUERIES);
        auto operands = [&](int64_t count) {
            return reinterpret_cast<Operand*>(std::exchange(memory, memory + count));
        };
        auto floats = [&](int64_t count) { return std::exchange(memory, memory + count); };
        queries_across_ = operands(rows), queries_along_ = operands(rows);
        gradients_across_ = operands(rows), gradients_along_ = operands(rows);
        query_gradients_ = floats(rows), spare_ = floats(rows);
        key_scratch_ = floats(key_rows), value_scratch_ = floats(key_rows);
        weights_ = floats(scores), gradients_ = floats(scores);
        rounded_weights_ = HAS_PAIRS<Kind> ? reinterpret_cast<uint16_t*>(floats(scores / 2)) : nullptr;
        rounded_gradients_ = HAS_PAIRS<Kind> ? reinterpret_cast<uint16_t*>(floats(scores / 2)) : nullptr;
        tops_ = floats(MAX_QUERIES), inverse_sums_ = floats(MAX_QUERIES), deltas_ = floats(MAX_QUERIES);
    }

    void run(const Unit& unit, int64_t list_row, float* slots, float* parts) {
        std::memset(slots + unit.slot_offset * layout_.slot_floats, 0,
                    unit.slots.size() * static_cast<size_t>(layout_.slot_floats) * 4);
        int64_t part = unit.part_offset;
        for (int64_t block = unit.first_row; block < unit.last_row; ++block) {
            const int64_t first = std::max(unit.first, problem_.row_starts[list_row + block]);
            const int64_t last = std::min(unit.last, problem_.row_starts[list_row + block + 1]);
            if (first >= last) continue;
            const bool is_whole =
                first == problem_.row_starts[list_row + block] && last == problem_.row_starts[list_row + block + 1];
            float* target = is_whole ? nullptr : parts + part++ * layout_.part_floats;
            for (int64_t step = 0; step < steps_per_block(problem_); ++step) {
                const QueryStep queries = query_step(problem_, block, step);
                if (!queries.size) continue;
                load_queries(queries);
                visit_keys(queries, unit, first, last, slots + unit.slot_offset * layout_.slot_floats);
                write_query_gradients(queries, target ? target + step * MAX_QUERIES * layout_.row_floats : nullptr);
            }
        }
    }

private:
    void load_queries(const QueryStep& queries) {
        pack_across<Kind>(problem_, problem_.q, batch_, head_, queries, queries_across_, spare_);
        pack_across<Kind>(problem_, problem_.grad_out, batch_, head_, queries, gradients_across_, spare_);
        pack_along<Kind>(problem_, problem_.q, batch_, head_, queries, queries_along_);
        pack_along<Kind>(problem_, problem_.grad_out, batch_, head_, queries, gradients_along_);
        const float* kept =
            problem_.softmax + 2 * ((batch_ * problem_.heads + head_) * problem_.query_length + queries.first);
        for (int lane = 0; lane < queries.lanes(); ++lane) {
            const bool is_query = lane < queries.size;
            tops_[lane] = is_query ? kept[2 * lane] : 0.0f;
            inverse_sums_[lane] = is_query ? kept[2 * lane + 1] : 0.0f;  // a lane without a query weighs nothing
            deltas_[lane] = is_query ? delta(queries.first + lane) : 0.0f;
        }
        std::fill(query_gradients_, query_gradients_ + head_dim_ * queries.lanes(), 0.0f);
    }

    float delta(int64_t query) {
        float* out = spare_;
        float* gradient = spare_ + padded(head_dim_);
        copy_row(row_of<const Element>(problem_.out, batch_, head_, query), head_dim_, out);
        copy_row(row_of<const Element>(problem_.grad_out, batch_, head_, query), head_dim_, gradient);
        Floats sums{};
        for (int64_t d = head_dim_; d < padded(head_dim_); ++d) out[d] = gradient[d] = 0.0f;
        for (int64_t d = 0; d < head_dim_; d += LANES) sums += load<Floats>(out + d) * load<Floats>(gradient + d);
        float total = 0;
        for (int lane = 0; lane < LANES; ++lane) total += sums[lane];
        return total;
    }

    static const Operand* row_operands(const uint16_t* rounded, const float* floats, int64_t place) {
        if constexpr (HAS_PAIRS<Kind>)
            return reinterpret_cast<const Operand*>(rounded + place);
        else
            return floats + place;
    }

    void visit_keys(const QueryStep& queries, const Unit& unit, int64_t first, int64_t last, float* slots) {
        const int lanes = queries.lanes(), feature_width = static_cast<int>(layout_.row_floats / LANES);
        float *key_gradients[MAX_KEYS], *value_gradients[MAX_KEYS];
        float* score_rows[MAX_KEYS];
        const Operand *weight_rows[MAX_KEYS], *gradient_rows[MAX_KEYS];  // over the queries
        for (int key = 0; key < MAX_KEYS; ++key) {
            score_rows[key] = weights_ + key * lanes;
            weight_rows[key] = row_operands(rounded_weights_, weights_, key * lanes);
            gradient_rows[key] = row_operands(rounded_gradients_, gradients_, key * lanes);
        }
        std::vector<float*> query_rows(static_cast<size_t>(head_dim_));
        for (int64_t d = 0; d < head_dim_; ++d) query_rows[static_cast<size_t>(d)] = query_gradients_ + d * lanes;
        KeySteps<Kind> keys(problem_, batch_, head_, first, last, queries);
        Rows<Kind> k, v;
        const int64_t features = head_dim_ / PER, queries_depth = (queries.size + PER - 1) / PER;
        while (keys.next()) {
            k.set(keys.k, keys.size, head_dim_, true, key_scratch_);
            v.set(keys.v, keys.size, head_dim_, false, value_scratch_);
            for (int key = 0; key < keys.size; ++key) {
                const int64_t slot = unit.slot_of_entry[static_cast<size_t>(keys.entries[key] - unit.first)];
                key_gradients[key] =
                    slots + slot * layout_.slot_floats + keys.places[key] % problem_.block_size * layout_.row_floats;
                value_gradients[key] = key_gradients[key] + layout_.part_floats;
            }
            const Scale scale{problem_.scale * LOG2_E, keys.log_counts, tops_};
            const auto score = [&](auto&& finish) {
                multiply<Arithmetic, Order::ROWS>(keys.size, features, queries.width, k.features, queries_across_,
                                                  lanes, finish);
            };
            if (keys.has_later(queries)) {
                const SeeEarlier earlier{keys.places, queries.first};
                score(Keep{score_rows, false});  // where each becomes its weight
                for_each(weights_, keys.size, lanes,
                         weights_of<Kind>(scale, inverse_sums_, lanes, weights_, rounded_weights_, earlier));
            } else {
                const auto weigh = weights_of<Kind>(scale, inverse_sums_, lanes, weights_, rounded_weights_, SeeAll{});
                score(Alongside<decltype(weigh)>(weigh));
            }
            const auto differentiate = gradients_of<Kind>(weights_, deltas_, lanes, gradients_, rounded_gradients_);
            multiply<Arithmetic, Order::ROWS>(keys.size, features, queries.width, v.features, gradients_across_, lanes,
                                              Alongside<decltype(differentiate)>(differentiate));
            multiply<Arithmetic, Order::ROWS>(keys.size, queries_depth, feature_width, weight_rows, gradients_along_,
                                              layout_.row_floats, Keep{value_gradients, true});
            multiply<Arithmetic, Order::ROWS>(keys.size, queries_depth, feature_width, gradient_rows, queries_along_,
                                              layout_.row_floats, Keep{key_gradients, true});
            multiply<Arithmetic, Order::COLUMNS>(static_cast<int>(head_dim_), (keys.size + PER - 1) / PER,
                                                 queries.width, k.members, gradient_members(), lanes,
                                                 Keep{query_rows.data(), true});
        }
    }

    // Gradients of scores as operands over the keys.
    const Operand* gradient_members() const { return reinterpret_cast<const Operand*>(gradients_); }

    // To the result, or (unscaled) to `part` when other units have a share in these queries.
    void write_query_gradients(const QueryStep& queries, float* part) {
        const int lanes = queries.lanes();
        const int64_t stride = layout_.row_floats;
        float* target = part ? part : spare_;
        const uint32_t* rows[MAX_KEYS];
        for (int64_t d = 0; d < head_dim_; d += MAX_KEYS) {
            const int count = static_cast<int>(std::min<int64_t>(MAX_KEYS, head_dim_ - d));
            for (int row = 0; row < count; ++row)
                rows[row] = reinterpret_cast<const uint32_t*>(query_gradients_ + (d + row) * lanes);
            transpose(rows, count, queries.size, reinterpret_cast<uint32_t*>(target) + d, stride);
        }
        if (part) return;
        for (int lane = 0; lane < queries.size; ++lane)
            write_row(spare_ + lane * stride, head_dim_, problem_.scale,
                      row_of<Element>(problem_.grad_q, batch_, head_, queries.first + lane));
    }

    typename Arithmetic::Session session_;
    const Problem& problem_;
    const SlotLayout layout_;
    const int64_t batch_, head_, head_dim_;
    Operand *queries_across_, *queries_along_, *gradients_across_, *gradients_along_;
    uint16_t *rounded_weights_, *rounded_gradients_;
    float *query_gradients_, *spare_, *key_scratch_, *value_scratch_, *weights_, *gradients_, *tops_, *inverse_sums_,
        *deltas_;
};

// Sum of some scratch rows, in order, times a factor, as a row of the result; zeros for none.
template <class Element>
void write_sum(const std::vector<const float*>& rows, int64_t count, float factor, Element* out, float* sum) {
    std::fill(sum, sum + count, 0.0f);
    for (const float* row : rows)
        for (int64_t d = 0; d < count; ++d) sum[d] += row[d];
    write_row(sum, count, factor, out);
}

// Adds up the slots of one key block and the parts of one row of blocks.
template <class Kind>
class Collector {
    typedef typename Kind::Element Element;

public:
    Collector(const Problem& problem, const BackwardPlan& plan, int64_t batch, int64_t head, const float* slots,
              const float* parts)
        : problem_(problem),
          plan_(plan),
          layout_(problem),
          batch_(batch),
          head_(head),
          slots_(slots),
          parts_(parts),
          sum_(static_cast<size_t>(problem.head_dim)) {}

    void keys_and_values(int64_t block) {
        const auto& places = plan_.slots_of_block[static_cast<size_t>(block)];
        std::vector<const float*> rows(places.size());
        for (int64_t within = 0; within < problem_.block_size; ++within) {
            const int64_t key = block * problem_.block_size + within;
            if (key >= problem_.key_length) break;
            for (size_t number = 0; number < places.size(); ++number) {
                const Unit& unit = plan_.units[static_cast<size_t>(places[number].unit)];
                rows[number] = slots_ + (unit.slot_offset + places[number].slot) * layout_.slot_floats +
                               within * layout_.row_floats;
            }
            write_sum(rows, problem_.head_dim, problem_.scale, row_of<Element>(problem_.grad_k, batch_, head_, key),
                      sum_.data());
            for (const float*& row : rows) row += layout_.part_floats;
            write_sum(rows, problem_.head_dim, 1.0f, row_of<Element>(problem_.grad_v, batch_, head_, key), sum_.data());
        }
    }

    // Rows that several units share, and rows with an empty list.
    void queries(int64_t block, bool is_empty) {
        const auto& parts = plan_.parts_of_row[static_cast<size_t>(block)];
        if (parts.empty() && !is_empty) return;
        std::vector<const float*> rows(parts.size());
        for (int64_t within = 0; within < problem_.block_size; ++within) {
            const int64_t query = block * problem_.block_size + within;
            if (query >= problem_.query_length) break;
            for (size_t number = 0; number < parts.size(); ++number)
                rows[number] = parts_ + parts[number] * layout_.part_floats + within * layout_.row_floats;
            write_sum(rows, problem_.head_dim, problem_.scale, row_of<Element>(problem_.grad_q, batch_, head_, query),
                      sum_.data());
        }
    }

private:
    const Problem& problem_;
    const BackwardPlan& plan_;
    const SlotLayout layout_;
    const int64_t batch_, head_;
    const float *slots_, *parts_;
    std::vector<float> sum_;
};

template <class Kind>
void backward(const Problem& problem) {
    std::vector<BackwardPlan> plans;
    for (int64_t list = 0; list < problem.num_lists; ++list) plans.push_back(plan_backward(problem, list));
    const SlotLayout layout(problem);
    int64_t most_floats = 1;
    size_t most_units = 1;
    for (const BackwardPlan& plan : plans)
        most_floats = std::max(most_floats, layout.floats(plan)), most_units = std::max(most_units, plan.units.size());
    const int64_t num_heads = problem.batch * problem.heads;
    const int64_t wanted = std::max(CACHED_FLOATS / most_floats,
                                    UNITS_PER_THREAD * problem.num_threads / static_cast<int64_t>(most_units));
    const int64_t at_once = std::clamp<int64_t>(std::min(wanted, SCRATCH_FLOATS / most_floats), 1, num_heads);
    static thread_local Buffer scratch;
    float* memory = scratch.floats(at_once * most_floats);
    const int64_t query_blocks = problem.query_blocks(), key_blocks = problem.num_key_blocks();
    for (int64_t done = 0; done < num_heads; done += at_once) {
        const int64_t count = std::min(at_once, num_heads - done);
        auto plan_of = [&](int64_t number) -> const BackwardPlan& {
            return plans[problem.num_lists > 1 ? static_cast<size_t>((done + number) % problem.heads) : 0];
        };
        auto slots_of = [&](int64_t number) { return memory + number * most_floats; };
        auto parts_of = [&](int64_t number) {
            return slots_of(number) + plan_of(number).num_slots * layout.slot_floats;
        };
        const int64_t units = static_cast<int64_t>(most_units);
        parallel_for(count * units, 1, problem.num_threads, [&](int64_t item) {
            static thread_local Buffer buffer;
            const int64_t number = item / units;
            const BackwardPlan& plan = plan_of(number);
            if (item % units >= static_cast<int64_t>(plan.units.size())) return;
            const int64_t batch = (done + number) / problem.heads, head = (done + number) % problem.heads;
            BackwardWorker<Kind>(problem, batch, head, buffer)
                .run(plan.units[static_cast<size_t>(item % units)], problem.num_lists > 1 ? head * query_blocks : 0,
                     slots_of(number), parts_of(number));
        });
        const int64_t rows = key_blocks + query_blocks;
        parallel_for(count * rows, 8, problem.num_threads, [&](int64_t item) {
            const int64_t number = item / rows, block = item % rows;
            const int64_t batch = (done + number) / problem.heads, head = (done + number) % problem.heads;
            Collector<Kind> collector(problem, plan_of(number), batch, head, slots_of(number), parts_of(number));
            if (block < key_blocks) return collector.keys_and_values(block);
            const int64_t row = (problem.num_lists > 1 ? head * query_blocks : 0) + block - key_blocks;
            collector.queries(block - key_blocks, problem.row_starts[row] == problem.row_starts[row + 1]);
        });
    }
    if (most_floats > SCRATCH_FLOATS) scratch.release();
}

}  // namespace
