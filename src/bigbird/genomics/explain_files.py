"""What an explanation found, as tables and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import numpy as np

from bigbird.data.files import written_whole
from bigbird.genomics.attention_view import KINDS, AttentionView
from bigbird.genomics.attribution import Attribution
from bigbird.genomics.explain_target import Question, Target
from bigbird.genomics.mutagenesis import BASES, Mutations


def write_mutations(folder: Path, stem: str, target: Target, question: Question, found: Mutations) -> None:
    """mutations.tsv: a row per base with the change of log odds of the label; mutations.npy: of all labels.

    The array is float32 [bases, 5, labels]; the 5 are A, C, G, T and left out.
    """
    with written_whole(folder / f"{stem}mutations.tsv") as path, path.open("w", encoding="utf-8") as file:
        has_deletions = not np.isnan(found.effects[:, 4]).all()
        columns = ["contig", "position", "base", *BASES, *(["deleted"] if has_deletions else []), "importance"]
        print(*columns, sep="\t", file=file)
        importance = found.importance(question.column)
        for number, (contig, position, base) in enumerate(_rows(target)):
            effects = found.effects[number, : 5 if has_deletions else 4, question.column]
            cells = (contig, position, base, *map(_number, effects), _number(importance[number]))
            print(*cells, sep="\t", file=file)
    with written_whole(folder / f"{stem}mutations.npy") as path, path.open("wb") as file:
        np.save(file, found.effects)


def write_attributions(folder: Path, stem: str, target: Target, found: Attribution) -> None:
    """attributions.tsv: a row per base of the region; .npy: float32 of all bases of the window."""
    with written_whole(folder / f"{stem}attributions.tsv") as path, path.open("w", encoding="utf-8") as file:
        print("contig", "position", "base", "attribution", sep="\t", file=file)
        values = found.values[target.first : target.last]
        for (contig, position, base), value in zip(_rows(target), values, strict=True):
            print(contig, position, base, _number(value), sep="\t", file=file)
    with written_whole(folder / f"{stem}attributions.npy") as path, path.open("wb") as file:
        np.save(file, found.values)


def write_attention(folder: Path, stem: str, target: Target, view: AttentionView, place: int) -> None:
    """attention.tsv: what the block that is read sees, a row per layer, head and key block; .npz: all blocks."""
    with written_whole(folder / f"{stem}attention.tsv") as path, path.open("w", encoding="utf-8") as file:
        _write_seen(file, target, view, view.block_of(place))
    arrays = {name: value for name, value in view._asdict().items() if value is not None}
    with written_whole(folder / f"{stem}attention.npz") as path, path.open("wb") as file:
        np.savez(file, **arrays)


def _write_seen(file: TextIO, target: Target, view: AttentionView, block: int) -> None:
    print("layer", "head", "contig", "start", "end", "kind", "count", "weight", sep="\t", file=file)
    num_layers, num_heads, _, _ = view.kinds.shape
    with_bases = np.flatnonzero(view.ends > view.starts)  # the last block may hold [SEP] alone
    positions = target.positions()
    contig = target.window.contig if target.window is not None else ""
    for layer in range(num_layers):
        for head in range(num_heads):
            for key in with_bases:
                count = int(view.counts[layer, head, block, key])
                if count:
                    ends = positions[view.starts[key]], positions[view.ends[key] - 1]
                    kind = KINDS[view.kinds[layer, head, block, key]]
                    weight = "" if view.weights is None else _number(view.weights[layer, head, block, key])
                    cells = (layer + 1, head + 1, contig, min(ends) + 1, max(ends) + 1, kind, count, weight)
                    print(*cells, sep="\t", file=file)


def _rows(target: Target) -> list[tuple[str, int, str]]:
    """Contig, position counted from 1 and letter on the target's strand, of each base of the region."""
    contig = target.window.contig if target.window is not None else ""
    positions = target.positions()[target.first : target.last] + 1
    return [(contig, int(position), base) for position, base in zip(positions, target.region, strict=True)]


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.5g}"
