"""A sentencepiece vocabulary as a `tokenizers.Tokenizer`, for programs that read tokenizer.json."""

from __future__ import annotations

import tokenizers
from bigbird.tokenizers.families import Family
from bigbird.tokenizers.sentencepiece_file import Kind, SentencePieceModel
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors


def as_tokenizer(model: SentencePieceModel, family: Family) -> tokenizers.Tokenizer:
    """The nearest that `tokenizers` can express; `TextTokenizer` says the same and is exact.

    It differs in what `tokenizers` does itself: replacements by grapheme, and special tokens cut out of the text before
    anything else, so that no ▁ stands alone in front of them.
    """
    entries = list(zip(model.pieces, model.scores, strict=True))
    tokenizer = tokenizers.Tokenizer(models.Unigram(entries, model.unknown_id, model.byte_fallback))
    tokenizer.normalizer = normalizers.Sequence(_steps(model))
    scheme = "always" if model.add_dummy_prefix else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", scheme)
    tokenizer.decoder = decoders.Metaspace("▁", scheme)
    tokenizer.add_tokens(_added(model, family))
    tokenizer.post_processor = _template(model, family)
    return tokenizer


def _steps(model: SentencePieceModel) -> list[normalizers.Normalizer]:
    steps: list[normalizers.Normalizer] = []
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    if model.remove_extra_whitespaces:
        steps.append(normalizers.Replace(tokenizers.Regex(" {2,}"), " "))
        steps.append(normalizers.Replace(tokenizers.Regex(r"\A | \z"), ""))
    return steps


def _added(model: SentencePieceModel, family: Family) -> list[AddedToken]:
    special = set(family.names.values())
    return [
        AddedToken(piece, normalized=False, lstrip=piece == family.names["[MASK]"], special=piece in special)
        for piece, kind in zip(model.pieces, model.kinds, strict=True)
        if kind in (Kind.CONTROL, Kind.SYMBOL, Kind.UNKNOWN)
    ]


def _template(model: SentencePieceModel, family: Family) -> processors.TemplateProcessing:
    first = [f"{family.first}:0"] if family.first else []
    between = [f"{piece}:0" for piece in family.after_first]
    used = {piece for piece in (family.first, *family.after_first, family.last) if piece}
    return processors.TemplateProcessing(
        single=[*first, "$A:0", f"{family.last}:0"],
        pair=[*first, "$A:0", *between, "$B:1", f"{family.last}:1"],
        special_tokens=[(piece, model.pieces.index(piece)) for piece in sorted(used)],
    )
