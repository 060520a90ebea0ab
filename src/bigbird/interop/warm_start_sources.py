"""What a warm start may begin from: how each model type's settings, tensors and heads become BigBird's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_BASE = "bert."  # before BigBird's names of the encoder
_PREDICTIONS = frozenset(
    f"cls.predictions.{name}"
    for name in (
        "bias",
        "transform.dense.weight",
        "transform.dense.bias",
        "transform.LayerNorm.weight",
        "transform.LayerNorm.bias",
    )
)
_POOLER = frozenset((f"{_BASE}pooler.weight", f"{_BASE}pooler.bias"))
_ORDER = frozenset(("cls.seq_relationship.weight", "cls.seq_relationship.bias"))
_CLASSIFIER = frozenset(("classifier.weight", "classifier.bias"))
_BUFFERS = frozenset((f"{_BASE}embeddings.position_ids", f"{_BASE}embeddings.token_type_ids"))  # 0, 1, 2 …; old folders

_TANH = "BigBird's classifier has the encoder's activation between its layers, this one tanh"
_READER = "BigBird reads answers through a feed-forward layer that this model does not have"


class Head(NamedTuple):
    """A head that BigBird has too.

    architecture  BigBird's class
    tensors       its tensors, under BigBird's names
    suffix        how the source's class must end where the tensors alone do not tell
    """

    architecture: str
    tensors: frozenset[str]
    suffix: str = ""


_BERT_HEADS = (
    Head("BigBirdForPreTraining", _PREDICTIONS | _ORDER | _POOLER),
    Head("BigBirdForMaskedLM", _PREDICTIONS),
    Head("BigBirdForTokenClassification", _CLASSIFIER, "ForTokenClassification"),
    Head("BigBirdForMultipleChoice", _CLASSIFIER | _POOLER, "ForMultipleChoice"),
)
_BIG_BIRD_HEADS = (
    *_BERT_HEADS,
    Head(
        "BigBirdForSequenceClassification",
        frozenset(f"classifier.{layer}.{part}" for layer in ("dense", "out_proj") for part in ("weight", "bias")),
    ),
    Head(
        "BigBirdForQuestionAnswering",
        frozenset(
            f"qa_classifier.{layer}.{part}"
            for layer in ("intermediate.dense", "output.dense", "output.LayerNorm", "qa_outputs")
            for part in ("weight", "bias")
        ),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model type that a warm start may begin from.

    defaults        settings that its config.json may leave out (transformers 5.23)
    without_effect  settings that change nothing, beside those of BigBird
    prefix          before its names of the encoder's tensors, where the model has a head
    renamed         the beginnings of its names that differ, and BigBird's
    heads           those of its heads that BigBird has too
    left_out        beginnings of BigBird's names of the others, and why BigBird does not have them
    skips_padding   whether its positions begin behind the padding token's number, as RoBERTa's do
    tokenizer       its class of transformers, where tokenizer_config.json names none
    is_sparse       whether it is BigBird already
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    without_effect: frozenset[str] = frozenset()
    prefix: str = _BASE
    renamed: Mapping[str, str] = field(default_factory=dict)
    heads: tuple[Head, ...] = _BERT_HEADS
    left_out: Mapping[str, str] = field(default_factory=dict)
    skips_padding: bool = False
    tokenizer: str | None = None
    is_sparse: bool = False

    def name(self, theirs: str) -> str | None:
        """BigBird's name of a tensor; None for one that holds nothing learned."""
        bare = theirs.removeprefix(self.prefix)
        is_encoder = theirs.startswith(self.prefix) or bare.startswith(("embeddings.", "encoder.", "pooler."))
        name = _modern(f"{_BASE}{bare}" if is_encoder else theirs)
        for begin, ours in self.renamed.items():
            if name.startswith(begin):
                name = ours + name.removeprefix(begin)
                break
        return None if name in _BUFFERS else name

    def head_of(self, names: Iterable[str], architecture: str) -> Head | None:
        """The largest head of BigBird whose tensors are all among `names`, as BigBird calls them."""
        there = set(names)
        fitting = (head for head in self.heads if head.tensors <= there and architecture.endswith(head.suffix))
        return next(fitting, None)

    def unused_positions(self, settings: Mapping[str, Any]) -> int:
        """Rows of the position table before that of a document's first token."""
        return int(settings["pad_token_id"]) + 1 if self.skips_padding else 0


def _modern(name: str) -> str:
    """Layer norms had TensorFlow's names in the first BERT folders."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


_DENSE_DEFAULTS: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
    "sep_token_id": None,
}
_OF_BIGBIRD = frozenset(("rescale_embeddings", "use_bias"))  # no dense model reads them, whatever they say

_ROBERTA_DEFAULTS = _DENSE_DEFAULTS | {"vocab_size": 50265, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}

_BERT = Source(
    defaults=_DENSE_DEFAULTS,
    # In the folders of the first BERT models; nothing in BERT's function reads them.
    without_effect=frozenset(
        (
            "directionality",
            "pooler_fc_size",
            "pooler_num_attention_heads",
            "pooler_num_fc_layers",
            "pooler_size_per_head",
            "pooler_type",
        )
    )
    | _OF_BIGBIRD,
    renamed={f"{_BASE}pooler.dense.": f"{_BASE}pooler."},
    left_out={"classifier.": _TANH, "qa_outputs.": _READER},
    tokenizer="BertTokenizer",
)


def _roberta(tokenizer: str) -> Source:
    return Source(
        defaults=_ROBERTA_DEFAULTS,
        without_effect=_OF_BIGBIRD,
        prefix="roberta.",
        renamed={
            f"{_BASE}pooler.dense.": f"{_BASE}pooler.",
            "lm_head.dense.": "cls.predictions.transform.dense.",
            "lm_head.layer_norm.": "cls.predictions.transform.LayerNorm.",
            "lm_head.decoder.": "cls.predictions.decoder.",
            "lm_head.bias": "cls.predictions.bias",
        },
        left_out={"classifier.": _TANH, "qa_outputs.": _READER},
        skips_padding=True,
        tokenizer=tokenizer,
    )


# By model_type.
SOURCES: dict[str, Source] = {
    "bert": _BERT,
    "roberta": _roberta("RobertaTokenizer"),
    "xlm-roberta": _roberta("XLMRobertaTokenizer"),
    "camembert": _roberta("CamembertTokenizer"),
    "big_bird": Source(heads=_BIG_BIRD_HEADS, is_sparse=True, tokenizer="BigBirdTokenizer"),
}

# Why a head is left out that BigBird has, but not with this function.
ROBERTA_GELU = "RoBERTa's guesses through gelu, BigBird's through the encoder's {activation}"
UNTIED = "its output matrix is not the table of token vectors, and BigBird's is"

_Reason = Callable[[Mapping[str, Any]], str | None]
_TOLD_BY_A_SETTING: dict[str, _Reason] = {
    "pre_layer_norm": lambda settings: (
        "pre_layer_norm is true: GENA-LM's BERT models of that kind put layer norms before attention and feed-forward "
        "and none behind the last layer, which BigBird in the Hub's layout cannot compute. Its model with BigBird's "
        "attention, AIRI-Institute/gena-lm-bigbird-base-t2t, is read as it is"
        if settings["pre_layer_norm"]
        else None
    ),
    "auto_map": lambda _: (
        "auto_map says that the model is computed by code of its own, which is not run and whose function is not known"
    ),
    "embedding_size": lambda settings: (
        "embedding_size differs from hidden_size: the token vectors are projected, BigBird's are not"
        if settings["embedding_size"] != settings.get("hidden_size", 768)
        else None
    ),
}
_ALLOWED_VALUE = frozenset(("pre_layer_norm", "embedding_size"))


def why_not(settings: Mapping[str, Any]) -> str | None:
    """Why no warm start is possible from a model with these settings, where a setting tells."""
    for name, reason in _TOLD_BY_A_SETTING.items():
        if name in settings and (why := reason(settings)) is not None:
            return why
    return None


def without_told(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without those that `why_not` has found to change nothing."""
    return {name: value for name, value in settings.items() if name not in _ALLOWED_VALUE}
