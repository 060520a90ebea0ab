// What Python hands over. Plain C: the library knows nothing of PyTorch, so one build serves every version of it.
// `native_cpu.py` declares the same struct; BIGBIRD_ABI changes with it.
#pragma once

#include <cstdint>

#define BIGBIRD_ABI 5

enum ElementType : int32_t { FLOAT32 = 0, BFLOAT16 = 1 };

// [batch, heads, length, head_dim] anywhere in memory, strides in elements; the last dimension is contiguous.
struct TensorView {
    void* data;
    int64_t batch, head, row;
};

struct Problem {
    int32_t element;
    int32_t num_threads;
    int64_t batch, heads, query_length, key_length, head_dim, block_size;
    int64_t is_causal;  // 1: of the listed blocks a query sees only the keys at its own place and before
    // Compressed rows as in BlockPattern: row (list * query_blocks + query_block) holds
    // key_blocks[row_starts[row] : row_starts[row + 1]].
    int64_t num_lists;  // 1 when all heads share them, else heads
    const int64_t* row_starts;
    const int64_t* key_blocks;
    const int64_t* key_counts;
    const uint8_t* key_mask;  // [batch, key_length], 1 = real; null when every key is real
    float scale;
    TensorView q, k, v, out;
    float* softmax;  // [batch, heads, query_length, 2]: the score that weights are relative to, 1 / their sum
    // Backward only.
    TensorView grad_out, grad_q, grad_k, grad_v;

    int64_t query_blocks() const { return (query_length + block_size - 1) / block_size; }
    int64_t num_key_blocks() const { return (key_length + block_size - 1) / block_size; }
};

// Element by element over contiguous memory.
struct Gelu {
    int32_t element;
    int32_t num_threads;
    int64_t count;
    const void* x;
    const void* grad_out;  // null: out becomes gelu(x); else grad_out times the derivative at x
    void* out;
};

// Attention of single queries to keys that lie ready, all of which they see.
struct RowAttention {
    int32_t element;
    int32_t num_threads;
    int64_t batch, heads, queries, keys, head_dim;
    float scale;
    const float* bias;  // added to scores, [keys] for each head; null for none
    int64_t bias_head;  // stride in elements, 0 when all heads share it
    TensorView q, k, v, out;
};

// The kernels, compiled for one instruction set.
void run_forward(const Problem& problem);
void run_backward(const Problem& problem);
void run_gelu(const Gelu& problem);
void run_row_attention(const RowAttention& problem);
