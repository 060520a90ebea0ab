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

    BIGBIRD_INLINE Floats exponent(Floats score, int key, Floats top) const {
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

// tops[lane]: the score that weighs most, counts aside. scores[key][lane]
inline void find_tops(const float* scores, int lanes, int num_keys, const Scale& scale, float* tops) {
    for (int lane = 0; lane < lanes; lane += LANES) {
        Floats found = all(scale.nothing_yet());
        for (int key = 0; key < num_keys; ++key) found = scale.better(load<Floats>(scores + key * lanes + lane), found);
        store(tops + lane, found);
    }
}

// What becomes of a weight, if its lane's query may see the key: any may, or only that of an earlier or the same place.
struct SeeAll {
    BIGBIRD_INLINE Floats operator()(int, int64_t, Floats weight) const { return weight; }
};

struct SeeEarlier {
    const int64_t* places;  // of each key
    int64_t first_query;    // place of lane 0

    // The first lane that sees the key.
    BIGBIRD_INLINE int first_lane(int key) const {
        return static_cast<int>(std::max<int64_t>(0, places[key] - first_query));
    }

    BIGBIRD_INLINE Floats operator()(int key, int64_t lane, Floats weight) const {
        Ints lanes;
        BIGBIRD_UNROLL
        for (int n = 0; n < LANES; ++n) lanes[n] = n;
        return lanes + static_cast<int>(lane) >= first_lane(key) ? weight : Floats{};
    }
};

// Hands scores that lie in memory, [key][lane], to each(key, lane, scores), as Alongside does from registers.
template <class Each>
inline void for_each(const float* scores, int num_keys, int lanes, const Each& each) {
    constexpr int TOGETHER = Each::ROWS;
    for (int key = 0; key < num_keys; key += TOGETHER)
        for (int lane = 0; lane < lanes; lane += LANES) {
            Floats values[TOGETHER];
            for (int also = 0; also < TOGETHER; ++also)
                values[also] = key + also < num_keys ? load<Floats>(scores + (key + also) * lanes + lane) : Floats{};
            each(key, lane, values);
        }
}

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

#endif

// Scores of ROWS keys -> weights in [key][lane], as floats or as pairs of bfloat16, two keys together. sums[lane] grow
// by the weights before they are rounded. Where a key is missing its log_count is -inf.
template <class Sight>
struct FloatWeigh {
    static constexpr int ROWS = 1;
    Scale scale;
    float *weights, *sums;
    int64_t stride;
    Sight see;

    BIGBIRD_INLINE void operator()(int key, int64_t lane, const Floats (&score)[1]) const {
        const Floats weight = see(key, lane, exp2(scale.exponent(score[0], key, load<Floats>(scale.tops + lane))));
        store(sums + lane, load<Floats>(sums + lane) + weight);
        store(weights + key * stride + lane, weight);
    }
};

#if defined(__AVX512BF16__)
template <class Sight>
struct PairWeigh {
    static constexpr int ROWS = 2;
    Scale scale;
    uint32_t* weights;
    float* sums;
    int64_t stride;
    Sight see;

    BIGBIRD_INLINE void operator()(int key, int64_t lane, const Floats (&scores)[2]) const {
        const Floats top = load<Floats>(scale.tops + lane);
        const Floats even = see(key, lane, exp2<Exactness::BFLOAT16>(scale.exponent(scores[0], key, top)));
        const Floats odd = see(key + 1, lane, exp2<Exactness::BFLOAT16>(scale.exponent(scores[1], key + 1, top)));
        store(sums + lane, load<Floats>(sums + lane) + (even + odd));
        store(weights + static_cast<unsigned>(key) / 2 * stride + lane, paired(rounded(even, odd)));
    }
};
#endif

template <class Kind, class Sight>
inline auto weigh_of(const Scale& scale, float* weights, float* sums, int64_t stride, Sight see) {
#if defined(__AVX512BF16__)
    if constexpr (HAS_PAIRS<Kind>)
        return PairWeigh<Sight>{scale, reinterpret_cast<uint32_t*>(weights), sums, stride, see};
    else
#endif
        return FloatWeigh<Sight>{scale, weights, sums, stride, see};
}

// Backward: scores -> weights 2^exponent * inverse_sum in [key][lane], as floats and for pairs also rounded.
template <class Sight>
struct FloatWeights {
    static constexpr int ROWS = 1;
    Scale scale;
    const float* inverse_sums;
    int64_t stride;
    float* weights;
    Sight see;

    BIGBIRD_INLINE void operator()(int key, int64_t lane, const Floats (&score)[1]) const {
        const Floats weight = exp2(scale.exponent(score[0], key, load<Floats>(scale.tops + lane)));
        store(weights + key * stride + lane, see(key, lane, weight * load<Floats>(inverse_sums + lane)));
    }
};

// Products p of values with the output's gradient -> gradients of scores, weight * (p - delta).
struct FloatGradients {
    static constexpr int ROWS = 1;
    const float *weights, *deltas;
    int64_t stride;
    float* gradients;

    BIGBIRD_INLINE void operator()(int key, int64_t lane, const Floats (&product)[1]) const {
        const int64_t place = key * stride + lane;
        store(gradients + place, load<Floats>(weights + place) * (product[0] - load<Floats>(deltas + lane)));
    }
};

#if defined(__AVX512BF16__)
inline void store_rows(uint16_t* rows, int64_t stride, __m512i both) {
    store(rows, _mm512_castsi512_si256(both));
    store(rows + stride, _mm512_extracti64x4_epi64(both, 1));
}

template <class Sight>
struct PairWeights {
    static constexpr int ROWS = 2;
    Scale scale;
    const float* inverse_sums;
    int64_t stride;
    float* weights;
    uint16_t* rounded_rows;
    Sight see;

    BIGBIRD_INLINE void operator()(int key, int64_t lane, const Floats (&scores)[2]) const {
        const Floats top = load<Floats>(scale.tops + lane), inverse = load<Floats>(inverse_sums + lane);
        const Floats even = see(key, lane, exp2<Exactness::BFLOAT16>(scale.exponent(scores[0], key, top)) * inverse);
        const Floats odd =
            see(key + 1, lane, exp2<Exactness::BFLOAT16>(scale.exponent(scores[1], key + 1, top)) * inverse);
        const int64_t place = key * stride + lane;
        store(weights + place, even);
        store(weights + place + stride, odd);
        store_rows(rounded_rows + place, stride, rounded(even, odd));
    }
};

// As bfloat16: in rows (for the product over the queries) and as pairs of keys (for the one over the keys).
struct PairGradients {
    static constexpr int ROWS = 2;
    const float *weights, *deltas;
    int64_t stride;
    uint16_t* rows;
    uint32_t* pairs;

    BIGBIRD_INLINE void operator()(int key, int64_t lane, const Floats (&products)[2]) const {
        const int64_t place = key * stride + lane;
        const Floats delta = load<Floats>(deltas + lane);
        const Floats even = load<Floats>(weights + place) * (products[0] - delta);
        const Floats odd = load<Floats>(weights + place + stride) * (products[1] - delta);
        const __m512i both = rounded(even, odd);
        store_rows(rows + place, stride, both);
        store(pairs + static_cast<unsigned>(key) / 2 * stride + lane, paired(both));
    }
};
#endif

template <class Kind, class Sight>
inline auto weights_of(const Scale& scale, const float* inverse_sums, int64_t stride, float* weights,
                       [[maybe_unused]] uint16_t* rounded_rows, Sight see) {
#if defined(__AVX512BF16__)
    if constexpr (HAS_PAIRS<Kind>)
        return PairWeights<Sight>{scale, inverse_sums, stride, weights, rounded_rows, see};
    else
#endif
        return FloatWeights<Sight>{scale, inverse_sums, stride, weights, see};
}
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

}  // namespace
