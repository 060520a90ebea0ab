// The queries and keys of one step.
#pragma once

#include "packing.h"

namespace {

constexpr int MAX_QUERIES = 64;  // of one step; a larger block is taken in several
constexpr int MAX_KEYS = 128;    // several blocks of one list together: fewer, longer sums
constexpr float LOG2_E = 1.44269504088896340736f;

// How the elements of the caller's tensors become operands.
struct SingleFromFloat {
    typedef SingleArithmetic Arithmetic;
    typedef float Element;
};
struct SingleFromHalf {
    typedef SingleArithmetic Arithmetic;
    typedef uint16_t Element;
};
#if defined(__AVX512BF16__)
struct PairFromHalf {
    typedef PairArithmetic Arithmetic;
    typedef uint16_t Element;
};
#endif

template <class Kind>
constexpr bool HAS_PAIRS = Kind::Arithmetic::PER_OPERAND == 2;

// Rows [0, size) of some tensor as operands, in the two forms the products read.
//   features  a row each, for Order::ROWS over the features
//   members   for Order::COLUMNS over the rows themselves: those rows, or one row of pairs for two of them
template <class Kind>
struct Rows {
    typedef typename Kind::Arithmetic::Operand Operand;
    const Operand* features[MAX_KEYS];
    const Operand* members[MAX_KEYS];

    // `scratch` has room for MAX_KEYS rows of `head_dim` floats.
    void set(const typename Kind::Element* const* rows, int size, int64_t head_dim, bool with_members, float* scratch) {
        if constexpr (HAS_PAIRS<Kind>) {
            for (int row = 0; row < size; ++row) features[row] = reinterpret_cast<const Operand*>(rows[row]);
            if (!with_members) return;
            for (int row = 0; row < size; row += 2) {
                Operand* pairs = reinterpret_cast<Operand*>(scratch) + row / 2 * head_dim;
                if (row + 1 < size)
                    interleave(rows[row], rows[row + 1], head_dim, pairs);
                else
                    interleave_last(rows[row], head_dim, pairs);
                members[row / 2] = pairs;
            }
        } else {
            for (int row = 0; row < size; ++row) {
                if constexpr (sizeof(typename Kind::Element) == 4) {
                    features[row] = rows[row];
                } else {
                    float* wide = scratch + row * head_dim;
                    widen(rows[row], head_dim, wide);
                    features[row] = wide;
                }
                members[row] = features[row];
            }
        }
    }
};

// Queries [first, first + size) of a document, size at most MAX_QUERIES, as lanes of `width` vectors.
struct QueryStep {
    int64_t first;
    int size, width;

    int lanes() const { return width * LANES; }
};

inline QueryStep query_step(const Problem& problem, int64_t query_block, int64_t number) {
    const int64_t first = query_block * problem.block_size + number * MAX_QUERIES;
    const int64_t end = std::min((query_block + 1) * problem.block_size, problem.query_length);
    const int size = static_cast<int>(std::max<int64_t>(0, std::min<int64_t>(MAX_QUERIES, end - first)));
    return {first, size, (size + LANES - 1) / LANES};
}

inline int64_t steps_per_block(const Problem& problem) { return (problem.block_size + MAX_QUERIES - 1) / MAX_QUERIES; }

// Up to MAX_KEYS keys that some queries see, masked ones left out; blocks smaller than that share a step.
// Which keys share a step depends on the row's own list and mask alone, so a document's results do not depend on its
// neighbours. In a causal pattern keys behind the last query are left out too; the others lie in the same steps for a
// query whatever comes after it.
template <class Kind>
class KeySteps {
public:
    typedef typename Kind::Element Element;

    KeySteps(const Problem& problem, int64_t batch, int64_t head, int64_t first_entry, int64_t last_entry,
             const QueryStep& queries)
        : problem_(problem), entry_(first_entry), last_(last_entry), end_(problem.key_length) {
        if (problem.is_causal) end_ = std::min(end_, queries.first + queries.size);
        keys_ = row_of<const Element>(problem.k, batch, head, 0);
        values_ = row_of<const Element>(problem.v, batch, head, 0);
        mask_ = problem.key_mask ? problem.key_mask + batch * problem.key_length : nullptr;
    }

    int size = 0;
    const Element* k[MAX_KEYS];
    const Element* v[MAX_KEYS];
    float log_counts[MAX_KEYS + 1];  // base 2; -inf behind the last
    int64_t places[MAX_KEYS + 1];    // in the row of tokens
    int64_t entries[MAX_KEYS];       // of the pattern's list

    // The next step; false when there are no more keys.
    bool next() {
        size = 0;
        while (entry_ < last_ && size < MAX_KEYS) {
            const int64_t start = problem_.key_blocks[entry_] * problem_.block_size;
            const int64_t end = std::max(start, std::min(start + problem_.block_size, end_));
            const float log_count = std::log2(static_cast<float>(problem_.key_counts[entry_]));
            int64_t place = start + within_;
            const int before = size;
            if (mask_) {
                for (; place < end && size < MAX_KEYS; ++place)
                    if (mask_[place]) places[size++] = place;
            } else {
                const int count = static_cast<int>(std::min<int64_t>(end - place, MAX_KEYS - size));
                for (int key = 0; key < count; ++key) places[size + key] = place + key;
                size += count, place += count;
            }
            std::fill(log_counts + before, log_counts + size, log_count);
            std::fill(entries + before, entries + size, entry_);
            within_ = place < end ? place - start : 0;
            entry_ += place >= end;
        }
        const int64_t key_row = problem_.k.row, value_row = problem_.v.row;
        for (int key = 0; key < size; ++key) k[key] = keys_ + places[key] * key_row;
        for (int key = 0; key < size; ++key) v[key] = values_ + places[key] * value_row;
        log_counts[size] = -INFINITY, places[size] = 0;
        return size > 0;
    }

    // Whether some of these queries must not see some of the step's keys.
    bool has_later(const QueryStep& queries) const {
        if (!problem_.is_causal) return false;
        return std::any_of(places, places + size, [&](int64_t place) { return place > queries.first; });
    }

private:
    const Problem& problem_;
    int64_t entry_, last_, end_, within_ = 0;
    const Element* keys_;
    const Element* values_;
    const uint8_t* mask_;
};

// out[feature operand][lane] of the step's rows of `view`; zeros in lanes without a query.
template <class Kind>
void pack_across(const Problem& problem, const TensorView& view, int64_t batch, int64_t head, const QueryStep& queries,
                 typename Kind::Arithmetic::Operand* out, float* scratch) {
    const uint32_t* rows[MAX_QUERIES];
    for (int row = 0; row < queries.size; ++row) {
        const auto* source = row_of<const typename Kind::Element>(view, batch, head, queries.first + row);
        if constexpr (HAS_PAIRS<Kind> || sizeof(typename Kind::Element) == 4) {
            rows[row] = reinterpret_cast<const uint32_t*>(source);
        } else {
            widen(source, problem.head_dim, scratch + row * problem.head_dim);
            rows[row] = reinterpret_cast<const uint32_t*>(scratch + row * problem.head_dim);
        }
    }
    transpose(rows, queries.size, problem.head_dim / Kind::Arithmetic::PER_OPERAND, reinterpret_cast<uint32_t*>(out),
              queries.lanes());
}

// out[query operand][feature] of the step's rows of `view`, features filled up with zeros.
template <class Kind>
void pack_along(const Problem& problem, const TensorView& view, int64_t batch, int64_t head, const QueryStep& queries,
                typename Kind::Arithmetic::Operand* out) {
    const int64_t count = problem.head_dim, stride = padded(count);
    for (int row = 0; row < queries.size; row += Kind::Arithmetic::PER_OPERAND) {
        const auto* source = row_of<const typename Kind::Element>(view, batch, head, queries.first + row);
        auto* target = out + row / Kind::Arithmetic::PER_OPERAND * stride;
        if constexpr (HAS_PAIRS<Kind>) {
            if (row + 1 < queries.size)
                interleave(source, source + view.row, count, target);
            else
                interleave_last(source, count, target);
        } else {
            copy_row(source, count, target);
        }
        std::memset(target + count, 0, static_cast<size_t>(stride - count) * 4);
    }
}

}  // namespace
