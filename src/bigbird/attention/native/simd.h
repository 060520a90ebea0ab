// Vectors of floats in the compiler's own notation, so that the same text serves every instruction set.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512BF16__) || defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define BIGBIRD_LANES 16
#elif defined(__AVX2__)
#define BIGBIRD_LANES 8
#else
#define BIGBIRD_LANES 4
#endif

// Before a loop over a tile: only when it is written out do the tile's values stay in registers. And before a loop over
// products, whose operands would be loaded all at once, into more registers than there are.
#if defined(__clang__)
#define BIGBIRD_UNROLL _Pragma("unroll")
#define BIGBIRD_KEEP_LOOP _Pragma("nounroll")
#else
#define BIGBIRD_UNROLL _Pragma("GCC unroll 16")
#define BIGBIRD_KEEP_LOOP _Pragma("GCC unroll 1")
#endif

// For what stands inside a loop over products: a call there would send all sums to memory and back.
#define BIGBIRD_INLINE inline __attribute__((always_inline))

namespace {

constexpr int LANES = BIGBIRD_LANES;
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

template <class Vector>
inline Vector load(const void* place) {
    Vector x;
    std::memcpy(&x, place, sizeof x);
    return x;
}

template <class Vector>
inline void store(void* place, Vector x) {
    std::memcpy(place, &x, sizeof x);
}

template <class To, class From>
inline To reinterpret(From x) {
    static_assert(sizeof(To) == sizeof(From));
    To y;
    std::memcpy(&y, &x, sizeof x);
    return y;
}

inline Floats all(float x) { return x - Floats{}; }

// The second where either is NaN, so that a NaN there survives.
inline Floats larger(Floats x, Floats or_nan) { return x > or_nan ? x : or_nan; }

inline Floats smaller(Floats x, Floats or_nan) { return x < or_nan ? x : or_nan; }

// Lanes of `one` then of `other` by constant number; compilers agree on the name only lately (gcc 12).
template <int... NUMBERS>
inline Words pick(Words one, Words other, std::integer_sequence<int, NUMBERS...>) {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(one, other, NUMBERS...);
#else
    return __builtin_shuffle(one, other, Words{static_cast<uint32_t>(NUMBERS)...});
#endif
}

// One round of a transposition: lanes and rows that differ in the bit DISTANCE change places.
//     a b    a c
//     c d -> b d
template <int DISTANCE, int... LANE>
inline void exchange(Words (&rows)[LANES], std::integer_sequence<int, LANE...>) {
    for (int first = 0; first < LANES; ++first) {
        if (first & DISTANCE) continue;
        const Words one = rows[first], other = rows[first + DISTANCE];
        rows[first] =
            pick(one, other, std::integer_sequence<int, (LANE & DISTANCE ? LANES + LANE - DISTANCE : LANE)...>());
        rows[first + DISTANCE] =
            pick(one, other, std::integer_sequence<int, (LANE & DISTANCE ? LANES + LANE : LANE + DISTANCE)...>());
    }
}

// A square of LANES x LANES 32-bit words, rows to columns.
inline void transpose_square(Words (&rows)[LANES]) {
    constexpr auto lanes = std::make_integer_sequence<int, LANES>();
    exchange<1>(rows, lanes);
    exchange<2>(rows, lanes);
    if constexpr (LANES > 4) exchange<4>(rows, lanes);
    if constexpr (LANES > 8) exchange<8>(rows, lanes);
}

// First `count` words of a row, at least one, zeros behind.
inline Words load_words(const void* place, int64_t count) {
    if (count >= LANES) return load<Words>(place);
#if defined(__AVX512F__)
    return reinterpret<Words>(_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << count) - 1), place));
#else
    uint32_t words[LANES] = {};
    std::memcpy(words, place, static_cast<size_t>(count) * 4);
    return load<Words>(words);
#endif
}

enum class Exactness { FLOAT32, BFLOAT16 };

// 2^x; 0 far below -126 (and for -inf), NaN for NaN, infinity or something large above 127. Relative error below 1e-7,
// or 1.1e-4 for what will be rounded to bfloat16 (2e-3) anyway.
// Polynomials: minimax on [-1/2, 1/2] of degree 5 and 3, the constant kept at 1 so that 2^0 is 1.
template <Exactness EXACTNESS = Exactness::FLOAT32>
BIGBIRD_INLINE Floats exp2(Floats x) {
#if defined(__AVX512F__)  // -inf - -inf is NaN, but what scalef makes of it for -inf is 0
    const Floats whole = reinterpret<Floats>(_mm512_roundscale_ps(reinterpret<__m512>(x), 0));
    const Floats rest = x - whole;
#else
    x = larger(all(-127.0f), x);
    x = smaller(all(128.0f), x);                  // gives infinity; more would wrap around
    const Floats shifted = x + all(12582912.0f);  // 1.5 * 2^23: the low bits now hold the nearest whole number
    const Floats rest = x - (shifted - all(12582912.0f));
#endif
    Floats p;
    if constexpr (EXACTNESS == Exactness::FLOAT32) {
        p = all(1.32647267e-3f);
        p = p * rest + all(9.67151268e-3f);
        p = p * rest + all(5.55073374e-2f);
        p = p * rest + all(2.40222421e-1f);
        p = p * rest + all(6.93146978e-1f);
    } else {
        p = all(5.50089502e-2f);
        p = p * rest + all(2.42211014e-1f);
        p = p * rest + all(6.93283282e-1f);
    }
    p = p * rest + all(1.0f);
#if defined(__AVX512F__)
    return reinterpret<Floats>(_mm512_scalef_ps(reinterpret<__m512>(p), reinterpret<__m512>(whole)));
#else
    const Ints exponent = (reinterpret<Ints>(shifted) << 23) + 0x3f800000;
    return p * reinterpret<Floats>(exponent);
#endif
}

inline float from_bfloat16(uint16_t x) { return reinterpret<float>(static_cast<uint32_t>(x) << 16); }

// Nearest, ties to even; NaN stays NaN.
inline uint16_t to_bfloat16(float x) {
    const uint32_t bits = reinterpret<uint32_t>(x);
    if (x != x) return static_cast<uint16_t>((bits >> 16) | 0x40);
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline Halves to_bfloat16(Floats x) {
#if defined(__AVX512BF16__)
    return reinterpret<Halves>(_mm512_cvtneps_pbh(reinterpret<__m512>(x)));
#else
    const Words bits = reinterpret<Words>(x);
    const Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return __builtin_convertvector(x == x ? rounded : (bits >> 16) | 0x40, Halves);
#endif
}

}  // namespace
