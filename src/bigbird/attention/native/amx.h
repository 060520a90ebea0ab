// The products of multiply.h in AMX's tiles: 16 rows of a, 16 pairs of depth and 16 columns of b at once.
//
//     a      [row][pair]      packed here, zeros where rows or depth end: it may lie anywhere and have any shape
//     b      [pair][column]   as it lies: pairs of bfloat16 are what the instruction wants
//     sums   [row][column]    float32, through memory to what finishes them
#pragma once

#include <algorithm>

#include "simd.h"

namespace {

enum class Order { ROWS, COLUMNS };  // see multiply.h

#if defined(__AMX_BF16__)

constexpr int TILE = 16;  // rows of a tile, and 32-bit words of a row
static_assert(TILE == LANES);

// While it lives this thread's tiles are configured; then they are free for others (oneDNN) that use them.
class TileSession {
public:
    TileSession() {
        alignas(64) uint8_t configuration[64] = {1};  // the palette; from byte 16 on bytes of a row, from 48 on rows
        for (int tile = 0; tile < 8; ++tile) configuration[16 + 2 * tile] = 4 * TILE, configuration[48 + tile] = TILE;
        _tile_loadconfig(configuration);
    }
    TileSession(const TileSession&) = delete;
    TileSession& operator=(const TileSession&) = delete;
    ~TileSession() { _tile_release(); }
};

// Up to 16 rows of a from `first` on, of each up to 16 operands from `k` on.
template <Order ORDER>
inline void pack_tile(const uint32_t* const* a, int first, int num_rows, int64_t k, int64_t depth, uint32_t* tile) {
    const int64_t rows = num_rows - first, operands = depth - k;
    Words lines[TILE];
    if (rows >= TILE && operands >= TILE) {
        BIGBIRD_UNROLL
        for (int line = 0; line < TILE; ++line)
            lines[line] = load<Words>(ORDER == Order::ROWS ? a[first + line] + k : a[k + line] + first);
    } else {
        for (int line = 0; line < TILE; ++line) {
            if constexpr (ORDER == Order::ROWS)
                lines[line] = line < rows ? load_words(a[first + line] + k, operands) : Words{};
            else
                lines[line] = line < operands ? load_words(a[k + line] + first, rows) : Words{};
        }
    }
    if constexpr (ORDER == Order::COLUMNS) transpose_square(lines);
    BIGBIRD_UNROLL
    for (int line = 0; line < TILE; ++line) store(tile + line * TILE, lines[line]);
}

// The instructions take literal numbers of tiles: 0 to 3 are sums, 4 is a, 5 and 6 are b.
template <int WIDTH>
inline void clear_sums() {
    _tile_zero(0);
    if constexpr (WIDTH > 1) _tile_zero(1);
    if constexpr (WIDTH > 2) _tile_zero(2);
    if constexpr (WIDTH > 3) _tile_zero(3);
}

template <int WIDTH>
inline void add_products(const uint32_t* a, const uint32_t* b, int64_t b_stride) {
    const int64_t bytes = 4 * b_stride;
    __asm__ volatile("" ::: "memory");  // gcc 12 does not know that tile loads read memory
    _tile_loadd(4, a, 4 * TILE);
    _tile_loadd(5, b, bytes);
    _tile_dpbf16ps(0, 4, 5);
    if constexpr (WIDTH > 1) {
        _tile_loadd(6, b + TILE, bytes);
        _tile_dpbf16ps(1, 4, 6);
    }
    if constexpr (WIDTH > 2) {
        _tile_loadd(5, b + 2 * TILE, bytes);
        _tile_dpbf16ps(2, 4, 5);
    }
    if constexpr (WIDTH > 3) {
        _tile_loadd(6, b + 3 * TILE, bytes);
        _tile_dpbf16ps(3, 4, 6);
    }
}

template <int WIDTH>
inline void store_sums(float* sums) {
    constexpr int64_t bytes = 4 * WIDTH * TILE;
    _tile_stored(0, sums, bytes);
    if constexpr (WIDTH > 1) _tile_stored(1, sums + TILE, bytes);
    if constexpr (WIDTH > 2) _tile_stored(2, sums + 2 * TILE, bytes);
    if constexpr (WIDTH > 3) _tile_stored(3, sums + 3 * TILE, bytes);
}

// As multiply_panel() of multiply.h.
template <Order ORDER, int WIDTH, class Finish>
void multiply_tiles(int num_rows, int64_t depth, const uint32_t* const* a, const uint32_t* b, int64_t b_stride,
                    int64_t column, Finish& finish) {
    constexpr int COLUMNS = WIDTH * TILE;
    alignas(64) uint32_t packed[TILE * TILE], last_of_b[TILE * COLUMNS];  // the latter where depth is no whole tile
    alignas(64) float sums[TILE * COLUMNS];
    const int64_t whole = depth / TILE * TILE;
    if (whole < depth) {
        std::fill_n(last_of_b, TILE * COLUMNS, 0);
        for (int64_t k = whole; k < depth; ++k)
            std::copy_n(b + k * b_stride, COLUMNS, last_of_b + (k - whole) * COLUMNS);
    }
    for (int first = 0; first < num_rows; first += TILE) {
        clear_sums<WIDTH>();
        for (int64_t k = 0; k < depth; k += TILE) {
            pack_tile<ORDER>(a, first, num_rows, k, depth, packed);
            if (k < whole)
                add_products<WIDTH>(packed, b + k * b_stride, b_stride);
            else
                add_products<WIDTH>(packed, last_of_b, COLUMNS);
        }
        store_sums<WIDTH>(sums);
        finish.template from_memory<WIDTH>(first, std::min(TILE, num_rows - first), column, sums);
    }
}

#else
struct TileSession {};
#endif

}  // namespace
