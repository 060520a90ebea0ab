// Bringing rows into the order the products want, and results back.
//
//     across   b[d][query]   operands of each feature for all queries: for products over the features
//     along    b[query][d]   operands of each query for all features: for products over the queries
//
// With pairs of bfloat16 an operand holds two neighbours of the dimension that is summed over.
#pragma once

#include <cstdlib>
#include <new>

#include "multiply.h"
#include "problem.h"

namespace {

// Aligned memory that only grows; kept by its thread from call to call.
class Buffer {
public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(memory_); }

    float* floats(int64_t count) {
        const size_t bytes = (static_cast<size_t>(count) * 4 + 63) / 64 * 64;
        if (bytes > size_) {
            std::free(memory_);
            memory_ = std::aligned_alloc(64, bytes);
            size_ = memory_ ? bytes : 0;
            if (!memory_) throw std::bad_alloc();
        }
        return static_cast<float*>(memory_);
    }

    void release() {
        std::free(memory_);
        memory_ = nullptr, size_ = 0;
    }

private:
    void* memory_ = nullptr;
    size_t size_ = 0;
};

inline int64_t padded(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

// rows[row][0 : columns] -> out[column][row], rows filled up with zeros to a multiple of LANES.
inline void transpose(const uint32_t* const* rows, int num_rows, int64_t columns, uint32_t* out, int64_t out_stride) {
    for (int64_t left = 0; left < columns; left += LANES)
        for (int top = 0; top < num_rows; top += LANES) {
            Words square[LANES];
            for (int lane = 0; lane < LANES; ++lane)
                square[lane] = top + lane < num_rows ? load_words(rows[top + lane] + left, columns - left) : Words{};
            transpose_square(square);
            for (int lane = 0; lane < LANES && left + lane < columns; ++lane)
                store(out + (left + lane) * out_stride + top, square[lane]);
        }
}

inline void widen(const uint16_t* row, int64_t count, float* out) {
    for (int64_t d = 0; d < count; ++d) out[d] = from_bfloat16(row[d]);
}

inline void copy_row(const float* row, int64_t count, float* out) {
    std::memcpy(out, row, static_cast<size_t>(count) * 4);
}
inline void copy_row(const uint16_t* row, int64_t count, float* out) { widen(row, count, out); }

inline void interleave(const uint16_t* even, const uint16_t* odd, int64_t count, uint32_t* out) {
    int64_t d = 0;
#if defined(__AVX512BF16__)
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    for (; d + 32 <= count; d += 32) {
        const __m512i one = _mm512_loadu_si512(even + d), other = _mm512_loadu_si512(odd + d);
        store(out + d, _mm512_permutex2var_epi16(one, low, other));
        store(out + d + 16, _mm512_permutex2var_epi16(one, high, other));
    }
#endif
    for (; d < count; ++d) out[d] = even[d] | static_cast<uint32_t>(odd[d]) << 16;
}

inline void interleave_last(const uint16_t* even, int64_t count, uint32_t* out) {
    for (int64_t d = 0; d < count; ++d) out[d] = even[d];
}

inline void write_row(const float* values, int64_t count, float factor, float* out) {
    for (int64_t d = 0; d < count; ++d) out[d] = values[d] * factor;
}
inline void write_row(const float* values, int64_t count, float factor, uint16_t* out) {
    int64_t d = 0;
    for (; d + LANES <= count; d += LANES) store(out + d, to_bfloat16(load<Floats>(values + d) * all(factor)));
    for (; d < count; ++d) out[d] = to_bfloat16(values[d] * factor);
}

template <class Element>
inline Element* row_of(const TensorView& view, int64_t batch, int64_t head, int64_t row) {
    return static_cast<Element*>(view.data) + batch * view.batch + head * view.head + row * view.row;
}

}  // namespace
