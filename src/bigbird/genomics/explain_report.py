"""Explanations as a page that needs nothing else, and a summary."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from bigbird.data.files import json_text, written_whole
from bigbird.genomics.explanation import ExplainConfig, Explanation
from bigbird.genomics.mutagenesis import BASES

PAGE_FILE, SUMMARY_FILE = "explain.html", "summary.json"
_NUM_STRONGEST = 10

_CAPTIONS = {
    "bases": "Colours: what a change of each base does to the log odds of the label; blue lowers them. A dot marks the "
    "base that is there, grey is N. Letters: how much the base matters, minus the mean of its three changes, and its "
    "attribution; upside down speaks against the label. The dotted line is where the score is read.",
    "attention_pattern": "The pattern that the model computes this window with. Left: every stretch (row) and "
    "those it sees (column). Right: what the stretch that is read sees, in every layer and head.",
    "attention_weights": "The share of attention that stretches (rows) give to others (columns), by the reference "
    "computation on this window.",
}


def write_page(
    folder: Path, found: Sequence[Explanation], pictures: Sequence[Sequence[Path]], config: ExplainConfig, model: str
) -> None:
    """Write explain.html with the pictures inside, and summary.json."""
    sections = "\n".join(_section(one, some) for one, some in zip(found, pictures, strict=True))
    title = ", ".join(one.target.name for one in found[:5]) + (" …" if len(found) > 5 else "")
    page = _PAGE.substitute(
        title=html.escape(title),
        model=html.escape(model),
        version=html.escape(metadata.version("bigbird")),
        sections=sections,
    )
    with written_whole(folder / PAGE_FILE) as path:
        path.write_text(page, encoding="utf-8")
    summary = {
        "bigbird_version": metadata.version("bigbird"),
        "model": model,
        "settings": vars(config),
        "regions": [_summary(one) for one in found],
    }
    with written_whole(folder / SUMMARY_FILE) as path:
        path.write_text(json_text(summary))


def in_words(found: Explanation) -> str:
    """One sentence on what was read."""
    target, question = found.target, found.question
    where = f"{target.positions()[question.place] + 1:,}"
    return f"{target.name}: {question.label} has a probability of {question.probability:.3f} at {where}"


def _summary(found: Explanation) -> dict[str, Any]:
    target, question, attributed = found.target, found.question, found.attribution
    window = target.window
    return {
        "name": target.name,
        "window": None if window is None else f"{window.contig}:{window.start + 1}-{window.end}",
        "strand": None if window is None else window.strand,
        "num_bases": target.last - target.first,
        "label": question.label,
        "position": int(target.positions()[question.place]) + 1,
        "probability": question.probability,
        "log_odds": None if found.mutations is None else float(found.mutations.reference[question.column]),
        "attribution": None
        if attributed is None
        else {
            "log_odds": attributed.score,
            "log_odds_of_average": attributed.baseline,
            "sum": float(attributed.values.sum(dtype=np.float64)),
            "per_base": attributed.exact,
        },
        "notes": found.notes,
    }


def _section(found: Explanation, pictures: Sequence[Path]) -> str:
    images = "\n".join(_image(path, found.target.name) for path in pictures) or "<p>No pictures were drawn.</p>"
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in found.notes)
    return (
        f"<h2>{html.escape(found.target.name)}</h2>\n<p>{html.escape(in_words(found))}.</p>\n"
        f'{_completeness(found)}{images}\n{_strongest(found)}<ul class="quiet">{notes}</ul>'
    )


def _completeness(found: Explanation) -> str:
    attributed = found.attribution
    if attributed is None:
        return ""
    total, difference = float(attributed.values.sum(dtype=np.float64)), attributed.score - attributed.baseline
    spread = "" if attributed.exact else " A token's attribution is shared out evenly over its bases."
    return (
        f'<p class="quiet">Log odds {attributed.score:.2f}; of the window\'s average {attributed.baseline:.2f}. '
        f"Attributions add up to {total:.2f}, the difference is {difference:.2f}.{spread}</p>\n"
    )


def _strongest(found: Explanation) -> str:
    """The changes with the greatest effects, either way."""
    if found.mutations is None:
        return ""
    effects = np.nan_to_num(found.mutations.effects[:, :4, found.question.column])
    order = np.argsort(-np.abs(effects), axis=None, kind="stable")[:_NUM_STRONGEST]
    positions = found.target.positions()[found.target.first : found.target.last] + 1
    rows = "".join(
        f"<tr><td>{positions[base]:,}</td><td>{found.target.region[base]} → {BASES[column]}</td>"
        f"<td>{effects[base, column]:+.3f}</td></tr>"
        for base, column in zip(*np.unravel_index(order, effects.shape), strict=True)
    )
    return (
        '<div class="table"><table><thead><tr><th>Position</th><th>Change</th><th>Change of log odds</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>\n"
    )


def _image(path: Path, name: str) -> str:
    kind = next(kind for kind in _CAPTIONS if path.stem.endswith(kind))
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<img alt="{html.escape(name)}: {kind.replace("_", " ")}" src="data:image/png;base64,{data}">\n'
        f'<p class="quiet">{_CAPTIONS[kind]}</p>'
    )


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Explained: $title</title>
<style>
:root { color-scheme: light dark; --text: #1c1c1c; --quiet: #606060; --line: #d8d8d8; --paper: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8e8e8; --quiet: #a8a8a8; --line: #444444; --paper: #1b1b1b; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper);
       max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
.quiet { color: var(--quiet); margin-top: 0.25rem; }
img { max-width: 100%; background: #ffffff; border: 1px solid var(--line); border-radius: 4px; margin: 0.5rem 0 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.25rem 1.5rem 0.25rem 0; border-bottom: 1px solid var(--line); }
</style>
</head>
<body>
<h1>What speaks for the score of $title</h1>
<p class="quiet">Model $model, bigbird $version. Positions count from 1. A model's reasons are no proof of biology:
what it leans on may be a neighbour of what matters.</p>
$sections
</body>
</html>
""")
