"""The published families of text vocabularies: which ids are special and where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from bigbird.errors import ConfigError
from bigbird.tokenizers.sentencepiece_file import Kind, SentencePieceModel

PEGASUS_OFFSET = 103  # ids before <unk> in Hugging Face's Pegasus, as in the original's parsing operators


Kinds = Literal["sentencepiece", "word pieces", "byte pairs"]


@dataclass(frozen=True)
class Family:
    """How texts of a vocabulary become the input of its model.

    names        the names shared by all tokenizers ([CLS], [PAD], …) to this vocabulary's pieces
    first        piece in front of all
    after_first  pieces between two texts
    last         piece at the end
    second_type  token type of the second text and what stands behind it; the first has 0
    hf_class     the tokenizer class that Hugging Face's tokenizer_config.json names
    kind         what its vocabulary is: a sentencepiece file, words and their parts, or pairs of bytes
    bytes_for_unknown  whether characters outside printable ASCII are spelled in GPT-2's alphabet of bytes
    """

    name: str
    names: Mapping[str, str]
    first: str | None
    after_first: tuple[str, ...]
    last: str
    second_type: int
    hf_class: str
    kind: Kinds = "sentencepiece"
    bytes_for_unknown: bool = False


_BIGBIRD_NAMES = {
    "[PAD]": "<pad>",
    "[UNK]": "<unk>",
    "[BOS]": "<s>",
    "[EOS]": "</s>",
    "[CLS]": "[CLS]",
    "[SEP]": "[SEP]",
    "[MASK]": "[MASK]",
}
_BIGBIRD = Family("bigbird", MappingProxyType(_BIGBIRD_NAMES), "[CLS]", ("[SEP]",), "[SEP]", 1, "BigBirdTokenizer")
_PEGASUS_NAMES = {"[PAD]": "<pad>", "[UNK]": "<unk>", "[EOS]": "</s>", "[MASK]": "<mask_2>"}
_BERT_NAMES = {name: name for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")}
_ROBERTA_NAMES = {
    "[PAD]": "<pad>",
    "[UNK]": "<unk>",
    "[BOS]": "<s>",
    "[EOS]": "</s>",
    "[CLS]": "<s>",
    "[SEP]": "</s>",
    "[MASK]": "<mask>",
}
FAMILIES = {
    family.name: family
    for family in (
        _BIGBIRD,
        replace(_BIGBIRD, name="bigbird-repaired", bytes_for_unknown=True),
        Family("pegasus", MappingProxyType(_PEGASUS_NAMES), None, (), "</s>", 1, "PegasusTokenizer"),
        Family("bert", MappingProxyType(_BERT_NAMES), "[CLS]", ("[SEP]",), "[SEP]", 1, "BertTokenizer", "word pieces"),
        Family(
            "roberta",
            MappingProxyType(_ROBERTA_NAMES),
            "<s>",
            ("</s>", "</s>"),
            "</s>",
            0,
            "RobertaTokenizer",
            "byte pairs",
        ),
    )
}


def family_named(name: str) -> Family:
    """The family of that name."""
    if name not in FAMILIES:
        raise ConfigError(f"family must be one of {', '.join(FAMILIES)}, got {name!r}")
    return FAMILIES[name]


def in_layout_of(family: Family, model: SentencePieceModel) -> SentencePieceModel:
    """The model with the family's ids: Pegasus' ids 2 to 104 get the names under which they were trained.

    bigbird's pegasus.model   <pad> </s> <s> <sep_0> … <unused_103> <unk> <n> …     renamed in place
    pegasus' own spiece.model <pad> </s> <unk> <n> …                                103 pieces put in before <unk>
    """
    if family.name != "pegasus":
        return model
    reserved = ("<mask_1>", "<mask_2>", *(f"<unk_{number}>" for number in range(2, PEGASUS_OFFSET)))
    skipped = model.unknown_id
    if skipped not in (2, 2 + PEGASUS_OFFSET):
        raise ConfigError(
            f"a Pegasus vocabulary has <unk> at 2 (as published by Pegasus) or at {2 + PEGASUS_OFFSET} (by BigBird), "
            f"this one at {skipped}; use family bigbird if it is BigBird's"
        )
    return replace(
        model,
        pieces=(*model.pieces[:2], *reserved, *model.pieces[skipped:]),
        scores=(*model.scores[:2], *(0.0 for _ in reserved), *model.scores[skipped:]),
        kinds=(*model.kinds[:2], *(Kind.SYMBOL for _ in reserved), *model.kinds[skipped:]),
    )
