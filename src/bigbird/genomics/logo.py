"""Sequence logos: letters as high as a base's value, upside down where it is negative."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import require

COLOURS = {"A": "#1a9850", "C": "#2166ac", "G": "#e6930a", "T": "#c51b27"}  # what browsers and papers use
_WIDTH = 0.92  # of a letter, in bases


def draw_logo(axes: Any, bases: str, heights: NDArray[np.floating[Any]], *, first: int = 0) -> None:
    """Letter i stands at x = first + i, from 0 to its height. N and heights of 0 are left out."""
    patches = require("matplotlib.patches", extra="plot", purpose="a sequence logo")
    transforms = require("matplotlib.transforms", extra="plot", purpose="a sequence logo")
    for number, (base, height) in enumerate(zip(bases, heights.tolist(), strict=True)):
        if base not in COLOURS or not height or np.isnan(height):
            continue
        place = transforms.Affine2D().scale(_WIDTH, height).translate(first + number - _WIDTH / 2, 0)
        axes.add_patch(patches.PathPatch(_letter(base).transformed(place), color=COLOURS[base], linewidth=0))
    low, high = min(0.0, float(np.nanmin(heights))), max(0.0, float(np.nanmax(heights)))
    room = 0.06 * (high - low) or 1.0
    axes.set_ylim(low - (room if low else 0), high + (room if high else 0) or 1.0)
    axes.axhline(0, color="black", linewidth=0.6)


@lru_cache(maxsize=8)
def _letter(base: str) -> Any:
    """The outline of a letter in a box from (0, 0) to (1, 1)."""
    text = require("matplotlib.textpath", extra="plot", purpose="a sequence logo")
    fonts = require("matplotlib.font_manager", extra="plot", purpose="a sequence logo")
    transforms = require("matplotlib.transforms", extra="plot", purpose="a sequence logo")
    path = text.TextPath((0, 0), base, size=1, prop=fonts.FontProperties(family="DejaVu Sans", weight="bold"))
    box = path.get_extents()
    return path.transformed(transforms.Affine2D().translate(-box.x0, -box.y0).scale(1 / box.width, 1 / box.height))
