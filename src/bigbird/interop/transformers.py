"""With Hugging Face transformers. Importing this registers the attention, the Auto classes and the pipelines there.

    accelerate(model)            their BigBird or BigBird-Pegasus with the right graph, linear memory and our kernels
    restore(model)               takes that back
    register()                   what importing does: any encoder runs sparse with attn_implementation="bigbird"
    from_bigbird(model)          a model of ours as a model of transformers; BigBirdSparse… are its classes
    QuestionAnsweringPipeline, SummarizationPipeline

Needs the extra `hf`. (docs/huggingface.md, docs/transformers.md)
"""

from __future__ import annotations

from bigbird.interop.transformers_accelerate import accelerate, restore
from bigbird.interop.transformers_attention import register

register()  # first of all asks for transformers, in a version that we know

from bigbird.interop.transformers_models import (
    BigBirdSparseConfig,
    BigBirdSparseForMaskedLM,
    BigBirdSparseForMultipleChoice,
    BigBirdSparseForQuestionAnswering,
    BigBirdSparseForSequenceClassification,
    BigBirdSparseForTokenClassification,
    BigBirdSparseModel,
    from_bigbird,
)
from bigbird.interop.transformers_pipelines import QuestionAnsweringPipeline, SummarizationPipeline

__all__ = [
    "BigBirdSparseConfig",
    "BigBirdSparseForMaskedLM",
    "BigBirdSparseForMultipleChoice",
    "BigBirdSparseForQuestionAnswering",
    "BigBirdSparseForSequenceClassification",
    "BigBirdSparseForTokenClassification",
    "BigBirdSparseModel",
    "QuestionAnsweringPipeline",
    "SummarizationPipeline",
    "accelerate",
    "from_bigbird",
    "register",
    "restore",
]
