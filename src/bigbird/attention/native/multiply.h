// Small matrix products on rows that lie anywhere: the only place where the time goes.
//
//     ROWS     c[m][n] = sum over k of a[m][k] * b[k][n]      a: a pointer per row m
//     COLUMNS  c[m][n] = sum over k of a[k][m] * b[k][n]      a: a pointer per row k, read down its columns
//
// b is packed, a multiple of LANES wide. A value of a is spread over a vector and multiplied with several vectors of b;
// the sums stay in registers for the whole depth, and are handed over there to what finishes them.
#pragma once

#include <algorithm>

#include "amx.h"
#include "simd.h"

namespace {

// Operands of one float each; depth is counted in operands.
struct SingleArithmetic {
    typedef float Operand;
    struct Session {};
    static constexpr int PER_OPERAND = 1;
    static inline Floats multiply_add(Floats sum, float x, Floats y) { return sum + all(x) * y; }
    static inline Floats load_operands(const float* place) { return load<Floats>(place); }
};

#if defined(__AVX512BF16__)
// Operands of two bfloat16 values, neighbours in depth; products and sums are float32.
struct PairArithmetic {
    typedef uint32_t Operand;
    typedef TileSession Session;
    static constexpr int PER_OPERAND = 2;
    static inline Floats multiply_add(Floats sum, uint32_t x, __m512i y) {
        const __m512i spread = _mm512_set1_epi32(static_cast<int>(x));
        return reinterpret<Floats>(
            _mm512_dpbf16_ps(reinterpret<__m512>(sum), reinterpret<__m512bh>(spread), reinterpret<__m512bh>(y)));
    }
    static inline __m512i load_operands(const uint32_t* place) { return _mm512_loadu_si512(place); }
};
#endif

// Vectors of b per register tile, and the rows of a that go with them: the sums must fit into the registers.
#if BIGBIRD_LANES == 16
constexpr int MAX_WIDTH = 4;
constexpr int tile_rows(int width) { return width >= 3 ? 4 : 8; }
#elif BIGBIRD_LANES == 8
constexpr int MAX_WIDTH = 2;
constexpr int tile_rows(int width) { return width == 2 ? 4 : 8; }
#else
constexpr int MAX_WIDTH = 2;
constexpr int tile_rows(int) { return 4; }
#endif
constexpr int MAX_TILE_ROWS = 8;
constexpr bool HAS_SPARE_REGISTERS = LANES == 16;  // beside those of a tile: 32 registers, not 16

template <class Operand>
inline Operand operand_at(const Operand* place) {
    return load<Operand>(place);  // pairs of bfloat16 may lie at odd multiples of two bytes
}

// What becomes of a tile of sums, ROWS rows from `first` on and WIDTH vectors from `column` on, while it is in
// registers. This one stores it, or adds it: at the end and not to begin with, because many short sums round less than
// a long one.
struct Keep {
    float* const* rows;
    bool add;

    template <int ROWS, int WIDTH>
    inline void operator()(int first, int64_t column, const Floats (&sums)[ROWS][WIDTH]) const {
        BIGBIRD_UNROLL
        for (int m = 0; m < ROWS; ++m) {
            BIGBIRD_UNROLL
            for (int n = 0; n < WIDTH; ++n) {
                float* place = rows[first + m] + column + n * LANES;
                store(place, add ? load<Floats>(place) + sums[m][n] : sums[m][n]);
            }
        }
    }
    // The same of sums that AMX has left in memory.
    template <int WIDTH>
    inline void from_memory(int first, int num_rows, int64_t column, const float* sums) const {
        for (int m = 0; m < num_rows; ++m)
            for (int n = 0; n < WIDTH; ++n, sums += LANES) {
                float* place = rows[first + m] + column + n * LANES;
                store(place, add ? load<Floats>(place) + load<Floats>(sums) : load<Floats>(sums));
            }
    }
    inline void some_more() const {}
    inline void all_the_rest() const {}
};

// This one hands it to each(row, column, values), Each::ROWS rows of one vector at a time; where the last group lacks a
// row, its values are 0. With registers to spare it lays the tile aside and does so bit by bit between the products of
// the next one, so that units which products leave idle have work.
template <class Each>
class Alongside {
public:
    explicit Alongside(const Each& each) : each_(each) {}

    template <int ROWS, int WIDTH>
    BIGBIRD_INLINE void operator()(int first, int64_t column, const Floats (&sums)[ROWS][WIDTH]) {
        Floats* const start = next_ < values_[1] ? values_[1] : values_[0];  // what is left of the last tile stays
        Floats* place = start;
        BIGBIRD_UNROLL
        for (int m = 0; m < ROWS; m += Each::ROWS) {
            BIGBIRD_UNROLL
            for (int n = 0; n < WIDTH; ++n) {
                if constexpr (HAS_SPARE_REGISTERS) {
                    BIGBIRD_UNROLL
                    for (int also = 0; also < Each::ROWS; ++also)
                        *place++ = m + also < ROWS ? sums[m + also < ROWS ? m + also : m][n] : Floats{};
                } else {
                    static_assert(Each::ROWS == 1);
                    const Floats values[1] = {sums[m][n]};
                    each_(first + m, column + n * LANES, values);
                }
            }
        }
        if constexpr (!HAS_SPARE_REGISTERS) return;
        all_the_rest();
        next_ = start, end_ = place;
        row_ = first, column_ = first_column_ = column, last_column_ = column + WIDTH * LANES;
    }

    // At once: what lies in memory need not be laid aside.
    template <int WIDTH>
    inline void from_memory(int first, int num_rows, int64_t column, const float* sums) const {
        for (int m = 0; m < num_rows; m += Each::ROWS)
            for (int n = 0; n < WIDTH; ++n) {
                Floats values[Each::ROWS];
                BIGBIRD_UNROLL
                for (int also = 0; also < Each::ROWS; ++also)
                    values[also] =
                        m + also < num_rows ? load<Floats>(sums + ((m + also) * WIDTH + n) * LANES) : Floats{};
                each_(first + m, column + n * LANES, values);
            }
    }

    BIGBIRD_INLINE void some_more() {
        if (next_ != end_) next();
    }

    void all_the_rest() {
        while (next_ != end_) next();
    }

private:
    BIGBIRD_INLINE void next() {
        Floats values[Each::ROWS];
        BIGBIRD_UNROLL
        for (int also = 0; also < Each::ROWS; ++also) values[also] = next_[also];
        each_(row_, column_, values);
        next_ += Each::ROWS;
        column_ += LANES;
        if (column_ == last_column_) column_ = first_column_, row_ += Each::ROWS;
    }

    const Each each_;
    Floats values_[2][MAX_TILE_ROWS * MAX_WIDTH];
    Floats *next_ = values_[0], *end_ = values_[0];
    int row_ = 0;
    int64_t column_ = 0, first_column_ = 0, last_column_ = 0;
};

template <class Arithmetic, Order ORDER, int ROWS, int WIDTH, class Finish>
inline void multiply_tile(int first, int64_t depth, const typename Arithmetic::Operand* const* a,
                          const typename Arithmetic::Operand* b, int64_t b_stride, int64_t column, Finish& finish) {
    Floats sums[ROWS][WIDTH];
    BIGBIRD_UNROLL
    for (int m = 0; m < ROWS; ++m) {
        BIGBIRD_UNROLL
        for (int n = 0; n < WIDTH; ++n) sums[m][n] = Floats{};
    }
    const typename Arithmetic::Operand* rows[ROWS];
    BIGBIRD_UNROLL
    for (int m = 0; m < ROWS; ++m) rows[m] = ORDER == Order::ROWS ? a[first + m] : nullptr;
    const auto add_products = [&](int64_t k) {
        decltype(Arithmetic::load_operands(b)) y[WIDTH];
        BIGBIRD_UNROLL
        for (int n = 0; n < WIDTH; ++n) y[n] = Arithmetic::load_operands(b + k * b_stride + n * LANES);
        BIGBIRD_UNROLL
        for (int m = 0; m < ROWS; ++m) {
            const auto x = operand_at(ORDER == Order::ROWS ? rows[m] + k : a[k] + first + m);
            BIGBIRD_UNROLL
            for (int n = 0; n < WIDTH; ++n) sums[m][n] = Arithmetic::multiply_add(sums[m][n], x, y[n]);
        }
    };
    int64_t k = 0;
    for (; HAS_SPARE_REGISTERS && k + 4 <= depth; k += 4) {
        BIGBIRD_KEEP_LOOP
        for (int also = 0; also < 4; ++also) add_products(k + also);
        finish.some_more();
    }
    for (; k < depth; ++k) add_products(k);
    finish(first, column, sums);
}

template <class Arithmetic, Order ORDER, int ROWS, int WIDTH, class Finish>
inline int multiply_rows(int first, int num_rows, int64_t depth, const typename Arithmetic::Operand* const* a,
                         const typename Arithmetic::Operand* b, int64_t b_stride, int64_t column, Finish& finish) {
    for (; num_rows - first >= ROWS; first += ROWS)
        multiply_tile<Arithmetic, ORDER, ROWS, WIDTH>(first, depth, a, b, b_stride, column, finish);
    return first;
}

template <class Arithmetic, Order ORDER, int WIDTH, class Finish>
void multiply_panel(int num_rows, int64_t depth, const typename Arithmetic::Operand* const* a,
                    const typename Arithmetic::Operand* b, int64_t b_stride, int64_t column, Finish& finish) {
#if defined(__AMX_BF16__)
    constexpr bool IN_TILES = Arithmetic::PER_OPERAND == 2;
    if constexpr (IN_TILES) multiply_tiles<ORDER, WIDTH>(num_rows, depth, a, b, b_stride, column, finish);
#else
    constexpr bool IN_TILES = false;
#endif
    if constexpr (!IN_TILES) {
        int done = multiply_rows<Arithmetic, ORDER, tile_rows(WIDTH), WIDTH>(0, num_rows, depth, a, b, b_stride, column,
                                                                             finish);
        done = multiply_rows<Arithmetic, ORDER, 2, WIDTH>(done, num_rows, depth, a, b, b_stride, column, finish);
        multiply_rows<Arithmetic, ORDER, 1, WIDTH>(done, num_rows, depth, a, b, b_stride, column, finish);
    }
}

// num_rows: rows of the result. depth: operands summed over. width: vectors of b, those of one operand b_stride apart.
template <class Arithmetic, Order ORDER, class Finish>
void multiply(int num_rows, int64_t depth, int width, const typename Arithmetic::Operand* const* a,
              const typename Arithmetic::Operand* b, int64_t b_stride, Finish&& finish) {
    for (int done = 0; done < width; done += MAX_WIDTH) {
        const int64_t column = static_cast<int64_t>(done) * LANES;
        switch (std::min(width - done, MAX_WIDTH)) {
            case 1:
                multiply_panel<Arithmetic, ORDER, 1>(num_rows, depth, a, b + column, b_stride, column, finish);
                break;
            case 2:
                multiply_panel<Arithmetic, ORDER, 2>(num_rows, depth, a, b + column, b_stride, column, finish);
                break;
#if BIGBIRD_LANES == 16
            case 3:
                multiply_panel<Arithmetic, ORDER, 3>(num_rows, depth, a, b + column, b_stride, column, finish);
                break;
            case 4:
                multiply_panel<Arithmetic, ORDER, 4>(num_rows, depth, a, b + column, b_stride, column, finish);
                break;
#endif
        }
    }
    finish.all_the_rest();
}

}  // namespace
