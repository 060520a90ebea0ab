"""Block-sparse attention: tensors in, tensors out. Needs PyTorch and NumPy alone."""

from bigbird.attention.api import Backend, backend_report, block_sparse_attention
from bigbird.attention.layout import DocumentLayout
from bigbird.attention.pattern import BlockPattern, pack_patterns
from bigbird.attention.spec import Graph, PatternSpec

__all__ = [
    "Backend",
    "BlockPattern",
    "DocumentLayout",
    "Graph",
    "PatternSpec",
    "backend_report",
    "block_sparse_attention",
    "pack_patterns",
]
