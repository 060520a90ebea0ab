"""Pictures of what single bases do: heat map of all changes, logos of importance and of attributions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigbird.data.files import written_whole
from bigbird.errors import require
from bigbird.genomics.attribution import Attribution
from bigbird.genomics.explain_target import Question, Target
from bigbird.genomics.logo import draw_logo
from bigbird.genomics.mutagenesis import BASES, Mutations

BASES_PER_ROW, MAX_ROWS = 100, 12


def draw_bases(
    path: Path, target: Target, question: Question, found: Mutations | None, attributed: Attribution | None
) -> None:
    """Write a PNG with a row for every 100 bases, at most 12: heat map and logo of changes, logo of attributions."""
    panels = ["heat", "logo"] * (found is not None) + ["attribution"] * (attributed is not None)
    length = min(target.last - target.first, BASES_PER_ROW * MAX_ROWS)
    num_rows = -(-length // BASES_PER_ROW)
    width = min(length, BASES_PER_ROW)
    figure = require("matplotlib.figure", extra="plot", purpose="a picture").Figure(
        figsize=(2.2 + 0.135 * max(width, 40), num_rows * (1.15 * len(panels) + 0.5) + 0.9), layout="constrained"
    )
    figure.suptitle(_title(target, question), x=0.01, ha="left", fontsize=11)
    rows = figure.subfigures(num_rows, 1, squeeze=False)[:, 0]
    limits = _Limits(found, attributed, target, question)
    for number, row in enumerate(rows):
        part = slice(number * BASES_PER_ROW, min((number + 1) * BASES_PER_ROW, length))
        _draw_row(row, panels, part, limits)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _title(target: Target, question: Question) -> str:
    strand = f", strand {target.window.strand}" if target.window is not None and target.window.strand != "." else ""
    where = f"{target.positions()[question.place] + 1:,}"
    return f"{target.name}{strand}: {question.label}, read at {where} (probability {question.probability:.3f})"


class _Limits:
    """What all rows share: values, their ranges, and where the score is read."""

    def __init__(
        self, found: Mutations | None, attributed: Attribution | None, target: Target, question: Question
    ) -> None:
        self.bases = target.region
        self.positions = target.positions()[target.first : target.last] + 1
        self.read = question.place - target.first
        self.effects = None if found is None else found.effects[:, :4, question.column]
        self.importance = None if found is None else found.importance(question.column)
        region = slice(target.first, target.last)
        self.attributed = None if attributed is None else attributed.values[region]

    def most(self) -> float:
        """The greatest effect, for the colours of the heat map."""
        assert self.effects is not None
        most = float(np.nanmax(np.abs(self.effects), initial=0)) if not np.isnan(self.effects).all() else 0.0
        return most or 1.0


def _draw_row(figure: Any, panels: list[str], part: slice, limits: _Limits) -> None:
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(all_axes, panels, strict=True):
        if panel == "heat":
            _draw_heat(figure, axes, all_axes, part, limits)
        else:
            values = limits.importance if panel == "logo" else limits.attributed
            assert values is not None
            draw_logo(axes, limits.bases[part], values[part], first=part.start)
            _share_range(axes, values)
            axes.set_ylabel("importance\nof changes" if panel == "logo" else "attribution", fontsize=8)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        axes.tick_params(labelsize=8)
        if part.start <= limits.read < part.stop:
            axes.axvline(limits.read, color="#777777", linewidth=0.8, linestyle=":", zorder=0)
    _label_positions(all_axes[-1], part, limits)


def _draw_heat(figure: Any, axes: Any, all_axes: Any, part: slice, limits: _Limits) -> None:
    assert limits.effects is not None
    image = axes.imshow(
        limits.effects[part].T,
        aspect="auto",
        cmap=require("matplotlib", extra="plot", purpose="a picture").colormaps["RdBu_r"].with_extremes(bad="#dddddd"),
        vmin=-limits.most(),
        vmax=limits.most(),
        interpolation="nearest",
        extent=(part.start - 0.5, part.stop - 0.5, 3.5, -0.5),
    )
    for number, base in enumerate(limits.bases[part], start=part.start):
        if base in BASES:
            axes.plot(number, BASES.index(base), marker="o", markersize=1.8, color="#333333")
    axes.set_yticks(range(4), list(BASES))
    axes.set_ylabel("changed to", fontsize=8)
    bar = figure.colorbar(image, ax=all_axes.tolist(), fraction=0.02, pad=0.01, aspect=30)
    bar.set_label("change of log odds", fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _share_range(axes: Any, values: NDArray[np.float32]) -> None:
    """All rows of one kind in the same scale, so that letters compare between rows."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    room = 0.06 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)


def _label_positions(axes: Any, part: slice, limits: _Limits) -> None:
    numbers, places = np.arange(part.start, part.stop), limits.positions[part]
    ticks = numbers[places % (20 if len(limits.bases) > 45 else 10) == 0]
    axes.set_xticks(ticks, [f"{limits.positions[number]:,}" for number in ticks])
    width = max(min(len(limits.bases), BASES_PER_ROW), 40)  # the same in every row, so that letters compare
    axes.set_xlim(part.start - 0.6, part.start + width - 0.4)
