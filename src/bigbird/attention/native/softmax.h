// Scores to weights, a lane per query, so that maxima and sums over keys need nothing from other lanes.
#pragma once

#include "tiles.h"

namespace {

constexpr float NOTHING_YET = -3.0e38f;  // finite, so that a difference of two is never NaN

// top[lane] becomes the largest factor * score + log_count seen.
template <int WIDTH>
inline void find_tops(const float* scores, int64_t stride, int num_keys, float factor, const float* log_counts, float* top) {
    Floats tops[WIDTH];
    for (int n = 0; n < WIDTH; ++n) tops[n] = load<Floats>(top + n * LANES);
    for (int key = 0; key < num_keys; ++key)
        for (int n = 0; n < WIDTH; ++n) {
            const Floats score = load<Floats>(scores + key * stride + n * LANES);
            tops[n] = larger(score * all(factor) + all(log_counts[key]), tops[n]);
        }
    for (int n = 0; n < WIDTH; ++n) store(top + n * LANES, tops[n]);
}

// scores[key][lane] -> weights 2^(factor * score + log_count - top[lane]), rounded once before the exponential;
// sum[lane] gets their sum.
template <int WIDTH>
inline void weigh(float* scores, int64_t stride, int num_keys, float factor, const float* log_counts, const float* top,
                  float* sum) {
    Floats tops[WIDTH], sums[WIDTH];
    for (int n = 0; n < WIDTH; ++n) tops[n] = load<Floats>(top + n * LANES), sums[n] = Floats{};
    for (int key = 0; key < num_keys; ++key)
        for (int n = 0; n < WIDTH; ++n) {
            float* place = scores + key * stride + n * LANES;
            const Floats weight = exp2(load<Floats>(place) * all(factor) + (all(log_counts[key]) - tops[n]));
            store(place, weight);
            sums[n] += weight;
        }
    for (int n = 0; n < WIDTH; ++n) store(sum + n * LANES, sums[n]);
}

// Weights and their gradients, from raw scores and from the products of values with the output's gradient:
// scores -> 2^(factor * score + log_count - top) * inverse_sum, products -> weight * (product - delta)
template <int WIDTH>
inline void differentiate(float* scores, float* products, int64_t stride, int num_keys, float factor,
                          const float* log_counts, const float* tops, const float* inverse_sums, const float* deltas) {
    Floats top[WIDTH], inverse_sum[WIDTH], delta[WIDTH];
    for (int n = 0; n < WIDTH; ++n) {
        top[n] = load<Floats>(tops + n * LANES);
        inverse_sum[n] = load<Floats>(inverse_sums + n * LANES);
        delta[n] = load<Floats>(deltas + n * LANES);
    }
    for (int key = 0; key < num_keys; ++key)
        for (int n = 0; n < WIDTH; ++n) {
            float* score = scores + key * stride + n * LANES;
            float* product = products + key * stride + n * LANES;
            const Floats weight = exp2(load<Floats>(score) * all(factor) + (all(log_counts[key]) - top[n])) * inverse_sum[n];
            store(score, weight);
            store(product, weight * (load<Floats>(product) - delta[n]));
        }
}

// Calls panel(first_lane, width) with compile-time widths 4, 2, 1 until `width` vectors are done.
template <class Panel>
inline void in_panels(int width, const Panel& panel) {
    int done = 0;
    for (; width - done >= 4; done += 4) panel(done * LANES, std::integral_constant<int, 4>());
    for (; width - done >= 2; done += 2) panel(done * LANES, std::integral_constant<int, 2>());
    for (; width - done >= 1; done += 1) panel(done * LANES, std::integral_constant<int, 1>());
}

// values[row][lane] rounded to bfloat16. rows: [row][lane] halves; pairs: [row / 2][lane], the rows of a pair together.
inline void round_rows(const float* values, int num_rows, int lanes, uint16_t* rows) {
    for (int64_t place = 0; place < static_cast<int64_t>(num_rows) * lanes; place += LANES)
        store(rows + place, to_bfloat16(load<Floats>(values + place)));
}

inline void round_pairs(const float* values, int num_rows, int lanes, uint32_t* pairs) {
    for (int row = 0; row < num_rows; row += 2)
        for (int lane = 0; lane < lanes; lane += LANES) {
            const float* place = values + row * lanes + lane;
            Words pair = __builtin_convertvector(to_bfloat16(load<Floats>(place)), Words);
            if (row + 1 < num_rows)
                pair |= __builtin_convertvector(to_bfloat16(load<Floats>(place + lanes)), Words) << 16;
            store(pairs + row / 2 * lanes + lane, pair);
        }
}

}  // namespace
