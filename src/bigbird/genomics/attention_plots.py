"""Pictures of attention along a window: which blocks are seen, and how much attention they get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigbird.data.files import written_whole
from bigbird.errors import require
from bigbird.genomics.attention_view import KINDS, AttentionView
from bigbird.genomics.explain_target import Target

_COLOURS = ("#ffffff", "#0b6e99", "#c2571a", "#7d5ba6", "#0b6e99")  # of KINDS
_MAX_STRIPS, _MAX_PANELS = 48, 12


def draw_pattern(path: Path, view: AttentionView, target: Target, place: int) -> None:
    """Write a PNG: all blocks of the first layer's first head, and of every layer and head the block that is read."""
    num_layers, num_heads, num_blocks, _ = view.kinds.shape
    strips = view.kinds[:, :, view.block_of(place)].reshape(-1, num_blocks)[:_MAX_STRIPS]
    figure = _figure(figsize=(13, max(5.2, 1.8 + 0.2 * len(strips))))
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
    edges, label = _edges(view, target)
    colours, norm = _kind_colours()
    left.pcolormesh(edges, edges, view.kinds[0, 0], cmap=colours, norm=norm)
    left.set_aspect("equal")
    left.set_title("layer 1, head 1: which stretch (row) sees which (column)", fontsize=10, loc="left")
    left.set_ylabel(label)
    right.pcolormesh(edges, np.arange(len(strips) + 1), strips, cmap=colours, norm=norm)
    right.invert_yaxis()
    names = [f"{layer + 1}.{head + 1}" for layer in range(num_layers) for head in range(num_heads)][: len(strips)]
    right.set_yticks(np.arange(len(strips)) + 0.5, names, fontsize=8)
    right.set_ylabel("layer.head")
    right.set_title("what the stretch that is read sees", fontsize=10, loc="left")
    left.set_ylim(edges[-1], edges[0])
    for axes in (left, right):
        axes.set_xlabel(label)
        axes.set_xlim(edges[0], edges[-1])
        _mark(axes, target, place)
    _legend(figure, view.kinds)
    _save(figure, path)


def draw_weights(path: Path, view: AttentionView, target: Target, place: int) -> None:
    """Write a PNG: the share of attention between stretches, a panel per layer (at most 12), mean of its heads."""
    assert view.weights is not None
    layers = view.weights.mean(1)[:_MAX_PANELS]
    columns = min(4, len(layers))
    rows = -(-len(layers) // columns)
    figure = _figure(figsize=(3.3 * columns + 1.2, 3.4 * rows + 0.3))
    all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
    edges, label = _edges(view, target)
    norm = require("matplotlib.colors", extra="plot", purpose="a picture").LogNorm(1e-3, 1)
    image = None
    for number, axes in enumerate(all_axes):
        if number >= len(layers):
            axes.set_visible(False)
            continue
        image = axes.pcolormesh(
            edges, edges, np.ma.masked_equal(layers[number], 0).clip(1e-3), cmap="viridis", norm=norm
        )
        axes.set_aspect("equal")
        axes.set_title(f"layer {number + 1}", fontsize=10, loc="left")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(edges[-1], edges[0])
        _mark(axes, target, place)
        axes.set_xlabel(label, fontsize=8)
        axes.tick_params(labelsize=8)
    all_axes[0].set_ylabel("asking stretch", fontsize=8)
    bar = figure.colorbar(image, ax=all_axes.tolist(), fraction=0.03, pad=0.01)
    bar.set_label("share of attention (mean of heads)")
    _save(figure, path)


def _figure(figsize: tuple[float, float]) -> Any:
    figures = require("matplotlib.figure", extra="plot", purpose="a picture")
    return figures.Figure(figsize=figsize, layout="constrained")


def _save(figure: Any, path: Path) -> None:
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _edges(view: AttentionView, target: Target) -> tuple[NDArray[np.float64], str]:
    """Where blocks begin and the last ends, in kb on the contig or in the sequence, from the left to the right."""
    bases = np.append(view.starts, view.ends[-1])
    if target.window is None:
        return bases / 1e3, "position (kb)"
    window = target.window
    places = window.end - bases if window.strand == "-" else window.start + bases
    return places / 1e3, f"position on {window.contig} (kb)"


def _mark(axes: Any, target: Target, place: int) -> None:
    """A line where the score is read, and a few plain numbers for positions."""
    ticker = require("matplotlib.ticker", extra="plot", purpose="a picture")
    axes.axvline(target.positions()[place] / 1e3, color="black", linewidth=0.8, linestyle=":")
    for axis in (axes.xaxis, axes.yaxis):
        if isinstance(axis.get_major_formatter(), ticker.ScalarFormatter):
            axis.set_major_locator(ticker.MaxNLocator(4))
            axis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))


def _kind_colours() -> tuple[Any, Any]:
    colours = require("matplotlib.colors", extra="plot", purpose="a picture")
    return colours.ListedColormap(_COLOURS), colours.BoundaryNorm(np.arange(len(KINDS) + 1) - 0.5, len(KINDS))


def _legend(figure: Any, kinds: NDArray[np.uint8]) -> None:
    patches = require("matplotlib.patches", extra="plot", purpose="a picture")
    present = [number for number in range(1, len(KINDS)) if (kinds == number).any()]
    handles = [patches.Patch(color=_COLOURS[number], label=KINDS[number]) for number in present]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False)
