// Scores to weights, a lane per query, so that maxima and sums over keys need nothing from other lanes.
#pragma once

#include "tiles.h"

namespace {

constexpr int FIRST_KEYS = 16;          // whose maximum weights are relative to
constexpr float OUTGROWN = 1048576.0f;  // 2^20; a step whose weights sum to more looks for a new maximum

// What turns scores into weights, 2^(factor * (score - top) + log_count). The difference of two scores comes first: it
// is exact for those that matter, however large they are, and the rest is rounded once before the exponential.
struct Scale {
    float factor;
    const float* log_counts;  // of each key
    const float* tops;        // of each lane: the score that weights are relative to

    inline Floats exponent(Floats score, int key, Floats top) const {
        return (score - top) * all(factor) + all(log_counts[key]);
    }

    // Worse than any score; finite, so that a difference of two is never NaN.
    inline float nothing_yet() const { return factor < 0.0f ? 3.0e38f : -3.0e38f; }

    // Of two scores the one that weighs more; the second where either is NaN.
    inline Floats better(Floats score, Floats or_nan) const {
        return (score - or_nan) * all(factor) > 0.0f ? score : or_nan;
    }

    // What a weight relative to `before` is multiplied by to be relative to `now`.
    inline Floats change(Floats before, Floats now) const { return exp2((before - now) * all(factor)); }
};

// tops[lane]: the score that weighs most, counts aside.
template <int WIDTH>
inline void find_tops(const float* scores, int64_t stride, int num_keys, const Scale& scale, float* tops) {
    Floats found[WIDTH];
    BIGBIRD_UNROLL
    for (int n = 0; n < WIDTH; ++n) found[n] = all(scale.nothing_yet());
    for (int key = 0; key < num_keys; ++key) {
        BIGBIRD_UNROLL
        for (int n = 0; n < WIDTH; ++n) {
            found[n] = scale.better(load<Floats>(scores + key * stride + n * LANES), found[n]);
        }
    }
    BIGBIRD_UNROLL
    for (int n = 0; n < WIDTH; ++n) store(tops + n * LANES, found[n]);
}

// How weights are written: as floats in the place of the scores, or as pairs of bfloat16, two keys together.
struct FloatWriter {
    static constexpr int KEYS = 1;
    float* weights;

    inline void operator()(int64_t place, int64_t, const Floats (&weight)[1]) const {
        store(weights + place, weight[0]);
    }
};

#if defined(__AVX512BF16__)
inline __m512i rounded(Floats even, Floats odd) {
    return reinterpret<__m512i>(_mm512_cvtne2ps_pbh(reinterpret<__m512>(odd), reinterpret<__m512>(even)));
}

// even lanes then odd lanes -> an even and an odd lane in each word
inline __m512i paired(__m512i both) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, both);
}

struct PairWriter {
    static constexpr int KEYS = 2;
    uint32_t* pairs;

    // place: of the even key's lanes among [key][lane]
    inline void operator()(int64_t place, int64_t lane, const Floats (&weight)[2]) const {
        store(pairs + (place - lane) / 2 + lane, paired(rounded(weight[0], weight[1])));
    }
};
#endif

template <class Kind>
inline auto weight_writer_of(float* scores, uint32_t*) {
    return FloatWriter{scores};
}
#if defined(__AVX512BF16__)
template <>
inline auto weight_writer_of<PairFromHalf>(float*, uint32_t* pairs) {
    return PairWriter{pairs};
}
#endif

// scores[key][lane] -> weights; sums[lane]: of the weights before they are rounded.
template <int WIDTH, class Writer>
inline void weigh(const float* scores, int64_t stride, int64_t first_lane, int num_keys, const Scale& scale,
                  const Writer& write, float* sums) {
    Floats tops[WIDTH], total[WIDTH];
    BIGBIRD_UNROLL
    for (int n = 0; n < WIDTH; ++n) tops[n] = load<Floats>(scale.tops + first_lane + n * LANES), total[n] = Floats{};
    for (int key = 0; key < num_keys; key += Writer::KEYS) {
        BIGBIRD_UNROLL
        for (int n = 0; n < WIDTH; ++n) {
            Floats weight[Writer::KEYS];
            const int64_t place = key * stride + first_lane + n * LANES;
            BIGBIRD_UNROLL
            for (int also = 0; also < Writer::KEYS; ++also) {
                const bool is_key = key + also < num_keys;
                const float* score = scores + place + also * stride;
                weight[also] = is_key ? exp2(scale.exponent(load<Floats>(score), key + also, tops[n])) : Floats{};
                total[n] += weight[also];
            }
            write(place, first_lane + n * LANES, weight);
        }
    }
    BIGBIRD_UNROLL
    for (int n = 0; n < WIDTH; ++n) store(sums + first_lane + n * LANES, total[n]);
}

// Likewise for a tile of scores that is still in registers; sums grow.
template <class Writer>
struct Weigh {
    Scale scale;
    Writer write;
    int64_t stride;
    float* sums;

    template <int ROWS, int WIDTH>
    inline void operator()(int first, int64_t column, const Floats (&scores)[ROWS][WIDTH]) const {
        BIGBIRD_UNROLL
        for (int n = 0; n < WIDTH; ++n) {
            const int64_t lane = column + n * LANES;
            const Floats top = load<Floats>(scale.tops + lane);
            Floats total = load<Floats>(sums + lane);
            BIGBIRD_UNROLL
            for (int m = 0; m < ROWS; m += Writer::KEYS) {
                Floats weight[Writer::KEYS];
                BIGBIRD_UNROLL
                for (int also = 0; also < Writer::KEYS; ++also) {
                    const bool is_key = m + also < ROWS;  // the last of an odd number stands alone
                    weight[also] = is_key
                                       ? exp2(scale.exponent(scores[is_key ? m + also : m][n], first + m + also, top))
                                       : Floats{};
                    total += weight[also];
                }
                write((first + m) * stride + lane, lane, weight);
            }
            store(sums + lane, total);
        }
    }
};

// Backward: scores in registers -> weights 2^exponent * inverse_sum, as floats and, rounded, as rows of bfloat16.
struct FloatWeights {
    Scale scale;
    const float* inverse_sums;
    int64_t stride;
    float* weights;
    uint16_t* rounded_rows;  // null where floats are the operands

    template <int ROWS, int WIDTH>
    inline void operator()(int first, int64_t column, const Floats (&scores)[ROWS][WIDTH]) const {
        BIGBIRD_UNROLL
        for (int m = 0; m < ROWS; ++m) {
            BIGBIRD_UNROLL
            for (int n = 0; n < WIDTH; ++n) {
                const int64_t lane = column + n * LANES, place = (first + m) * stride + lane;
                const Floats weight = exp2(scale.exponent(scores[m][n], first + m, load<Floats>(scale.tops + lane))) *
                                      load<Floats>(inverse_sums + lane);
                store(weights + place, weight);
                if (rounded_rows) store(rounded_rows + place, to_bfloat16(weight));
            }
        }
    }
};

// Products p of values with the output's gradient, in registers -> gradients of scores, weight * (p - delta).
struct FloatGradients {
    const float *weights, *deltas;
    int64_t stride;
    float* gradients;

    template <int ROWS, int WIDTH>
    inline void operator()(int first, int64_t column, const Floats (&products)[ROWS][WIDTH]) const {
        BIGBIRD_UNROLL
        for (int m = 0; m < ROWS; ++m) {
            BIGBIRD_UNROLL
            for (int n = 0; n < WIDTH; ++n) {
                const int64_t lane = column + n * LANES, place = (first + m) * stride + lane;
                store(gradients + place,
                      load<Floats>(weights + place) * (products[m][n] - load<Floats>(deltas + lane)));
            }
        }
    }
};

#if defined(__AVX512BF16__)
// The same as bfloat16: in rows (for the product over the queries) and as pairs of keys (for the one over the keys).
struct PairGradients {
    const float *weights, *deltas;
    int64_t stride;
    uint16_t* rows;
    uint32_t* pairs;

    template <int ROWS, int WIDTH>
    inline void operator()(int first, int64_t column, const Floats (&products)[ROWS][WIDTH]) const {
        BIGBIRD_UNROLL
        for (int m = 0; m < ROWS; m += 2) {
            BIGBIRD_UNROLL
            for (int n = 0; n < WIDTH; ++n) {
                const int64_t lane = column + n * LANES, place = (first + m) * stride + lane;
                const Floats delta = load<Floats>(deltas + lane);
                const bool is_pair = m + 1 < ROWS;  // the last of an odd number stands alone
                const Floats even = load<Floats>(weights + place) * (products[m][n] - delta);
                const Floats odd =
                    is_pair ? load<Floats>(weights + place + stride) * (products[is_pair ? m + 1 : m][n] - delta)
                            : Floats{};
                const __m512i both = rounded(even, odd);
                store(rows + place, _mm512_castsi512_si256(both));
                if (is_pair) store(rows + place + stride, _mm512_extracti64x4_epi64(both, 1));
                store(pairs + (place - lane) / 2 + lane, paired(both));
            }
        }
    }
};
#endif

template <class Kind>
inline auto gradients_of(const float* weights, const float* deltas, int64_t stride, float* gradients, uint16_t*) {
    return FloatGradients{weights, deltas, stride, gradients};
}
#if defined(__AVX512BF16__)
template <>
inline auto gradients_of<PairFromHalf>(const float* weights, const float* deltas, int64_t stride, float* gradients,
                                       uint16_t* rows) {
    return PairGradients{weights, deltas, stride, rows, reinterpret_cast<uint32_t*>(gradients)};
}
#endif

// Calls panel(first_lane, width) with compile-time widths 4, 2, 1 until `width` vectors are done.
template <class Panel>
inline void in_panels(int width, const Panel& panel) {
    int done = 0;
    for (; width - done >= 4; done += 4) panel(done * LANES, std::integral_constant<int, 4>());
    for (; width - done >= 2; done += 2) panel(done * LANES, std::integral_constant<int, 2>());
    for (; width - done >= 1; done += 1) panel(done * LANES, std::integral_constant<int, 1>());
}

}  // namespace
