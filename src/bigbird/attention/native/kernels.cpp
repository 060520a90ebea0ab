// All kernels. Compiled once for each instruction set, each into a library of its own: code of the standard library
// that the compiler emits on the way must not reach a processor without those instructions.
#include "activation.h"
#include "backward.h"
#include "forward.h"
#include "row_attention.h"

void run_forward(const Problem& problem) {
    if (problem.element == FLOAT32) return forward<SingleFromFloat>(problem);
#if defined(__AVX512BF16__)
    if (problem.head_dim % 2 == 0) return forward<PairFromHalf>(problem);
#endif
    forward<SingleFromHalf>(problem);
}

void run_backward(const Problem& problem) {
    if (problem.element == FLOAT32) return backward<SingleFromFloat>(problem);
#if defined(__AVX512BF16__)
    if (problem.head_dim % 2 == 0) return backward<PairFromHalf>(problem);
#endif
    backward<SingleFromHalf>(problem);
}

void run_gelu(const Gelu& problem) {
    if (problem.element == FLOAT32) return gelu<float>(problem);
    gelu<uint16_t>(problem);
}

void run_row_attention(const RowAttention& problem) {
    if (problem.element == FLOAT32) return attend_rows<float>(problem);
    attend_rows<uint16_t>(problem);
}
