// GELU in its tanh form, and its derivative (Hendrycks and Gimpel 2016):
//
//     gelu(x) = x * s,   s = 1 / (1 + 2^-(A * x + B * x^3)),   which equals x / 2 * (1 + tanh(sqrt(2 / pi) (x +
//     0.044715 x^3)))
//
// Every element is computed alike, wherever it stands: PyTorch's has other last bits where a thread's share ends.
#pragma once

#include "parallel.h"
#include "problem.h"
#include "simd.h"

namespace {

constexpr int64_t GELU_PIECE = 16384;          // elements a thread takes at once
constexpr float GELU_A = 2.3022081983f;        // 2 sqrt(2 / pi) log2(e)
constexpr float GELU_B = 0.1029432397f;        // 0.044715 A
constexpr float GELU_SLOPE_A = 1.5957691216f;  // 2 sqrt(2 / pi)
constexpr float GELU_SLOPE_B = 0.2140644488f;  // 3 * 0.044715 * GELU_SLOPE_A

inline Floats load_floats(const float* place) { return load<Floats>(place); }

inline Floats load_floats(const uint16_t* place) {
    return reinterpret<Floats>(__builtin_convertvector(load<Halves>(place), Words) << 16);
}

inline void store_floats(float* place, Floats x) { store(place, x); }

inline void store_floats(uint16_t* place, Floats x) { store(place, to_bfloat16(x)); }

// Beyond |x| = 100 all is said, and larger squares would overflow.
inline Floats bounded_square(Floats x) { return smaller(x * x, all(1.0e4f)); }

inline Floats gelu(Floats x) { return x / (1.0f + exp2(-x * (GELU_A + GELU_B * bounded_square(x)))); }

inline Floats gelu_gradient(Floats x, Floats gradient) {
    const Floats square = bounded_square(x);
    const Floats s = 1.0f / (1.0f + exp2(-x * (GELU_A + GELU_B * square)));
    return gradient * (s + x * s * (1.0f - s) * (GELU_SLOPE_A + GELU_SLOPE_B * square));
}

template <class Element>
void gelu_vector(const Element* x, const Element* gradient, Element* out) {
    store_floats(out, gradient ? gelu_gradient(load_floats(x), load_floats(gradient)) : gelu(load_floats(x)));
}

template <class Element>
void gelu(const Gelu& problem) {
    const int64_t pieces = (problem.count + GELU_PIECE - 1) / GELU_PIECE;
    parallel_for(pieces, 1, problem.num_threads, [&](int64_t piece) {
        const auto* x = static_cast<const Element*>(problem.x);
        const auto* gradient = static_cast<const Element*>(problem.grad_out);
        auto* out = static_cast<Element*>(problem.out);
        const int64_t end = std::min((piece + 1) * GELU_PIECE, problem.count);
        int64_t place = piece * GELU_PIECE;
        for (; place + LANES <= end; place += LANES)
            gelu_vector(x + place, gradient ? gradient + place : nullptr, out + place);
        if (place == end) return;
        Element rest[3][LANES] = {};
        const size_t bytes = static_cast<size_t>(end - place) * sizeof(Element);
        std::memcpy(rest[0], x + place, bytes);
        if (gradient) std::memcpy(rest[1], gradient + place, bytes);
        gelu_vector(rest[0], gradient ? rest[1] : nullptr, rest[2]);
        std::memcpy(out + place, rest[2], bytes);
    });
}

}  // namespace
