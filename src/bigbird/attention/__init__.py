"""Block-sparse attention: tensors in, tensors out. Needs PyTorch and NumPy alone."""

from bigbird.attention.api import Backend, backend_report, block_sparse_attention
from bigbird.attention.context_parallel import context_parallel_attention
from bigbird.attention.context_plan import ContextPlan, context_plan
from bigbird.attention.context_shard import ContextShard, Layout
from bigbird.attention.layout import DocumentLayout
from bigbird.attention.pattern import BlockPattern, pack_patterns
from bigbird.attention.spec import Graph, PatternSpec

__all__ = [
    "Backend",
    "BlockPattern",
    "ContextPlan",
    "ContextShard",
    "DocumentLayout",
    "Graph",
    "Layout",
    "PatternSpec",
    "backend_report",
    "block_sparse_attention",
    "context_parallel_attention",
    "context_plan",
    "pack_patterns",
]
