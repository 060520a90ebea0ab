// Attention of a few queries, each the token written last of a row, to keys that lie ready.
//
// A query's sums have an order of their own, so that its result does not depend on how many others are asked with it.
// A block of keys is read from memory once and serves all queries from the cache.
#pragma once

#include <algorithm>
#include <vector>

#include "activation.h"
#include "parallel.h"
#include "problem.h"
#include "simd.h"

namespace {

constexpr int64_t VALUE_TILE = 64;  // keys whose values stay in the first cache while every query takes its share

inline Floats load_part(const float* place, int64_t count) { return reinterpret<Floats>(load_words(place, count)); }

inline Floats load_part(const uint16_t* place, int64_t count) {
    if (count >= LANES) return load_floats(place);
    uint16_t part[LANES] = {};
    std::memcpy(part, place, static_cast<size_t>(count) * sizeof *place);
    return load_floats(part);
}

template <class Element>
inline void store_part(Element* place, Floats x, int64_t count) {
    Element part[LANES];
    store_floats(part, x);
    std::memcpy(place, part, static_cast<size_t>(std::min<int64_t>(count, LANES)) * sizeof *place);
}

// Products of one query with LANES keys.
template <class Element>
inline Floats dot_products(const float* q, const Element* const (&keys)[LANES], int64_t head_dim) {
    Floats sums[LANES] = {};
    int64_t d = 0;
    for (; d + LANES <= head_dim; d += LANES) {
        const Floats x = load_floats(q + d);
        BIGBIRD_UNROLL
        for (int lane = 0; lane < LANES; ++lane) sums[lane] += x * load_floats(keys[lane] + d);
    }
    if (d < head_dim) {
        const Floats x = load_floats(q + d);
        for (int lane = 0; lane < LANES; ++lane) sums[lane] += x * load_part(keys[lane] + d, head_dim - d);
    }
    Words rows[LANES];
    for (int lane = 0; lane < LANES; ++lane) rows[lane] = reinterpret<Words>(sums[lane]);
    transpose_square(rows);
    Floats total = reinterpret<Floats>(rows[0]);
    for (int lane = 1; lane < LANES; ++lane) total += reinterpret<Floats>(rows[lane]);
    return total;
}

// Scores to weights that are not yet divided by their sum, which is returned; count is a multiple of LANES.
inline float weights_of(float* scores, int64_t count) {
    Floats top = all(-INFINITY);
    for (int64_t j = 0; j < count; j += LANES) top = larger(top, load_floats(scores + j));
    float highest = top[0];
    for (int lane = 1; lane < LANES; ++lane) highest = highest > top[lane] ? highest : top[lane];
    Floats sum = {};
    for (int64_t j = 0; j < count; j += LANES) {
        const Floats weight = exp2(load_floats(scores + j) - highest);
        store_floats(scores + j, weight);
        sum += weight;
    }
    float total = 0;
    for (int lane = 0; lane < LANES; ++lane) total += sum[lane];
    return total;
}

// Adds the values of some keys, COUNT vectors wide from `values` on, to a query's sums.
template <int COUNT, class Element>
inline void add_values(float* sums, const float* weights, const Element* values, int64_t row, int64_t keys) {
    Floats kept[COUNT];
    for (int n = 0; n < COUNT; ++n) kept[n] = load_floats(sums + n * LANES);
    for (int64_t j = 0; j < keys; ++j) {
        const Floats weight = all(weights[j]);
        BIGBIRD_UNROLL
        for (int n = 0; n < COUNT; ++n) kept[n] += weight * load_floats(values + j * row + n * LANES);
    }
    for (int n = 0; n < COUNT; ++n) store_floats(sums + n * LANES, kept[n]);
}

template <class Element>
inline void add_tile(float* sums, const float* weights, const Element* values, int64_t row, int64_t keys,
                     int64_t head_dim) {
    int64_t d = 0;
    for (; d + 8 * LANES <= head_dim; d += 8 * LANES) add_values<8>(sums + d, weights, values + d, row, keys);
    for (; d + 4 * LANES <= head_dim; d += 4 * LANES) add_values<4>(sums + d, weights, values + d, row, keys);
    for (; d + LANES <= head_dim; d += LANES) add_values<1>(sums + d, weights, values + d, row, keys);
    if (d == head_dim) return;
    Floats rest = load_floats(sums + d);
    for (int64_t j = 0; j < keys; ++j) rest += all(weights[j]) * load_part(values + j * row + d, head_dim - d);
    store_floats(sums + d, rest);
}

inline int64_t whole_vectors(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

// One head of one example.
template <class Element>
void attend_rows(const RowAttention& problem, int64_t batch, int64_t head) {
    const auto place = [&](const TensorView& view) {
        return static_cast<Element*>(view.data) + batch * view.batch + head * view.head;
    };
    const Element *q = place(problem.q), *k = place(problem.k), *v = place(problem.v);
    const int64_t width = whole_vectors(problem.head_dim), length = whole_vectors(problem.keys);
    std::vector<float> queries(problem.queries * width), sums(problem.queries * width);
    std::vector<float> scores(problem.queries * length, -INFINITY);
    constexpr float LOG2_E = 1.4426950408889634f;
    for (int64_t r = 0; r < problem.queries; ++r)
        for (int64_t d = 0; d < problem.head_dim; d += LANES)
            store_floats(&queries[r * width + d],
                         load_part(q + r * problem.q.row + d, problem.head_dim - d) * (problem.scale * LOG2_E));
    const float* bias = problem.bias ? problem.bias + head * problem.bias_head : nullptr;
    for (int64_t j = 0; j < problem.keys; j += LANES) {
        const int64_t count = std::min<int64_t>(LANES, problem.keys - j);
        const Element* keys[LANES];
        for (int64_t lane = 0; lane < LANES; ++lane) keys[lane] = k + (j + std::min(lane, count - 1)) * problem.k.row;
        const Floats added = bias ? load_part(bias + j, count) * LOG2_E : Floats{};
        for (int64_t r = 0; r < problem.queries; ++r)
            store_part(&scores[r * length + j], dot_products(&queries[r * width], keys, problem.head_dim) + added,
                       count);
    }
    std::vector<float> totals(problem.queries);
    for (int64_t r = 0; r < problem.queries; ++r) totals[r] = weights_of(&scores[r * length], length);
    for (int64_t j = 0; j < problem.keys; j += VALUE_TILE)
        for (int64_t r = 0; r < problem.queries; ++r)
            add_tile(&sums[r * width], &scores[r * length + j], v + j * problem.v.row, problem.v.row,
                     std::min(VALUE_TILE, problem.keys - j), problem.head_dim);
    Element* out = place(problem.out);
    for (int64_t r = 0; r < problem.queries; ++r)
        for (int64_t d = 0; d < problem.head_dim; d += LANES)
            store_part(out + r * problem.out.row + d, load_floats(&sums[r * width + d]) / totals[r],
                       problem.head_dim - d);
}

template <class Element>
void attend_rows(const RowAttention& problem) {
    parallel_for(problem.batch * problem.heads, 1, problem.num_threads,
                 [&](int64_t item) { attend_rows<Element>(problem, item / problem.heads, item % problem.heads); });
}

}  // namespace
