"""A measurement as a file and as a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bigbird.bench.about import about
from bigbird.data.files import check_new_file, written_whole
from bigbird.errors import InputError, MissingDependency, require

_COLOURS = ("#0b6e99", "#4a7c3a", "#777777", "#7d5ba6", "#c2571a", "#b03060")


def check_place(path: Path) -> None:
    """Raise, before anything is measured, when the results cannot be written to `path`, or their picture beside it.

    A picture is replaced together with the results it belongs to; one that stands alone is somebody else's.
    """
    picture = path.with_suffix(".png")
    if path.suffix != ".json":
        raise InputError(f"--out {path} must end in .json; the picture is written beside it")
    check_new_file(picture, option=f"--out {path}: the picture")
    if picture.exists() and not path.exists():
        raise InputError(
            f"--out {path}: the picture beside it would replace {picture}, which belongs to no {path.name}. Name "
            f"another file, or move {picture.name} away."
        )


def write(
    path: Path, what: str, config: Mapping[str, Any], measured: Mapping[str, Any], *, say: Callable[[str], None]
) -> None:
    """Write the results, and beside them a picture where matplotlib is installed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        temporary.write_text(
            json.dumps({"about": about(), "bench": what, "config": config, **measured}, indent=1) + "\n"
        )
    say(f"results are in {path}")
    try:
        draw(path.with_suffix(".png"), f"{what}, {config['dtype']}", measured)
        say(f"a picture is in {path.with_suffix('.png')}")
    except MissingDependency as reason:
        say(f"no picture: {reason}")


def draw(path: Path, title: str, measured: Mapping[str, Any]) -> None:
    """Time and memory over length on log axes, a line per contender, and the machine's own limit where it is known."""
    results = measured["results"]
    panels = list(dict.fromkeys(result["pass"] for result in results if "seconds" in result))
    has_memory = any("peak_bytes" in result for result in results)
    figure = require("matplotlib.figure", extra="plot", purpose="a picture").Figure(
        figsize=(5 * (len(panels) + has_memory), 4.6), layout="constrained"
    )
    axes = figure.subplots(1, len(panels) + has_memory, squeeze=False)[0]
    for panel, kind in zip(axes, panels, strict=False):
        rows = [result for result in results if result["pass"] == kind and "seconds" in result]
        _lines(panel, results, [(r["contender"], r["length"], 1e3 * r["seconds"]["median"]) for r in rows])
        _limit(panel, rows, measured)
        panel.set_title(kind, loc="left")
        panel.set_ylabel("milliseconds")
    if has_memory:
        rows = [result for result in results if "peak_bytes" in result]
        _lines(axes[-1], results, [(r["contender"], r["length"], max(r["peak_bytes"] / 2**20, 1)) for r in rows])
        axes[-1].set_title("memory of one call beyond its tensors", loc="left")
        axes[-1].set_ylabel("MiB")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.suptitle(title, x=0.01, ha="left")
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _lines(panel: Any, results: list[Any], points: list[tuple[str, int, float]]) -> None:
    names = list(dict.fromkeys(result["contender"] for result in results))
    for name in dict.fromkeys(point[0] for point in points):
        line = sorted((length, value) for contender, length, value in points if contender == name)
        colour = _COLOURS[names.index(name) % len(_COLOURS)]
        panel.plot(*zip(*line, strict=True), marker="o", markersize=4, color=colour, label=name)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    lengths = sorted({length for _, length, _ in points})
    panel.set_xticks(lengths, [f"{length:,}" for length in lengths], rotation=45)
    panel.set_xlabel("tokens")
    panel.grid(which="major", color="#e4e4e4", linewidth=0.6)


def _limit(panel: Any, rows: list[Any], measured: Mapping[str, Any]) -> None:
    """How long the first contender's useful operations take at the rate of the machine's own matrix product."""
    if "machine_limit" not in measured or not rows:
        return
    rate = measured["machine_limit"]["operations_per_second"]["median"]
    first = [row for row in rows if row["contender"] == rows[0]["contender"]]
    points = sorted(
        (row["length"], 1e3 * row["operations_per_second"] * row["seconds"]["median"] / rate) for row in first
    )
    panel.plot(
        *zip(*points, strict=True), color="black", linewidth=0.8, linestyle=":", label="at PyTorch's matmul rate"
    )
