"""A page about one run or several, from their folders alone. Nothing outside the page is needed to look at it."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from string import Template

from bigbird.data.files import json_text, written_whole
from bigbird.errors import DataError, MissingDependency
from bigbird.tasks.metrics import headline_names
from bigbird.training.curves import draw_curves
from bigbird.training.metrics_file import Event
from bigbird.training.run_record import RunRecord, value
from bigbird.training.run_summary import Summary, headline, summary

PAGE_FILE, SUMMARY_FILE, PICTURE_FILE = "report.html", "summary.json", "curves.svg"
_MOST_EVALUATIONS = 200
_MOST_SECONDS = 1e9  # of a time in days and hours: 30 years
_UNKNOWN = "–"


def write_report(runs: Sequence[RunRecord], folder: Path) -> list[str]:
    """Write report.html, summary.json and, where matplotlib is installed, curves.svg; returns remarks in words."""
    if not runs:
        raise DataError("a report needs at least one run; name the folder of a run")
    runs = _told_apart(runs)
    remarks = [f"{run.name}: {remark}" for run in runs for remark in run.remarks]
    try:
        picture = draw_curves(runs)
    except MissingDependency as error:
        picture = ""
        remarks.append(str(error))
    summaries = [summary(run) for run in runs]
    files = {PAGE_FILE: _page(runs, summaries, picture, remarks), SUMMARY_FILE: json_text({"runs": summaries})}
    for name, text in {**files, **({PICTURE_FILE: picture} if picture else {})}.items():
        with written_whole(folder / name) as path:
            path.write_bytes(text.encode("utf-8", "replace"))  # JSON may hold what is no character
    return remarks


def _told_apart(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Runs whose folders have the same name go by their paths."""
    names = [run.name for run in runs]
    return [replace(run, name=str(run.folder)) if names.count(run.name) > 1 else run for run in runs]


def _page(runs: Sequence[RunRecord], summaries: Sequence[Summary], picture: str, remarks: Sequence[str]) -> str:
    title = f"Run {runs[0].name}" if len(runs) == 1 else f"{len(runs)} runs: {', '.join(run.name for run in runs)}"
    return _PAGE.substitute(
        title=html.escape(title),
        version=html.escape(metadata.version("bigbird")),
        headline="".join(f"<p>{html.escape(headline(s))}</p>" for s in summaries),
        picture=f'<div class="picture">{picture}</div>' if picture else "<p>No pictures were drawn.</p>",
        legend=_legend(runs) if picture else "",
        table=_table(summaries),
        evaluations="".join(_evaluations(run, heading=len(runs) > 1) for run in runs),
        settings="".join(_settings(run) for run in runs),
        remarks="".join(f"<li>{html.escape(remark)}</li>" for remark in remarks),
    )


_ROWS = {
    "recipe": "Recipe",
    "num_weights": "Weights",
    "last_step": "Steps done",
    "num_steps": "Steps wanted",
    "best_step": "Best step",
    "best": "Best watched value",
    "watch": "Watched",
    "train_loss": "Training loss, smoothed, at the end",
    "train_bits_per_letter": "Training bits per letter, smoothed, at the end",
    "validation_loss": "Last validation loss",
    "validation_bits_per_letter": "Last validation bits per letter",
    "tokens_per_second": "Tokens per second (median of steps)",
    "num_tokens": "Tokens seen",
    "seconds_in_steps": "Time in steps",
    "peak_memory_bytes": "Peak memory",
    "skipped_steps": "Skipped steps",
    "resumed_after": "Resumed after steps",
    "folder": "Folder",
}


def _table(summaries: Sequence[Summary]) -> str:
    head = "".join(f"<th>{html.escape(str(found['name']))}</th>" for found in summaries)
    rows = "".join(_row(label, [_shown(name, found[name]) for found in summaries]) for name, label in _ROWS.items())
    return _framed(f"<tr><th></th>{head}</tr>", rows)


def _row(label: str, cells: Sequence[str]) -> str:
    """A row of the table; nothing when no run knows it."""
    if all(cell == _UNKNOWN for cell in cells):
        return ""
    return f"<tr><th>{label}</th>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def _framed(head: str, rows: str) -> str:
    return f'<div class="table"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _shown(name: str, found: object) -> str:
    if found is None:
        return _UNKNOWN
    if isinstance(found, list):
        more = f" and {len(found) - 10} more" if len(found) > 10 else ""
        return (", ".join(f"{step:,}" for step in found[:10]) + more) if found else "none"
    if name == "seconds_in_steps" and isinstance(found, float):
        return str(timedelta(seconds=round(found))) if abs(found) < _MOST_SECONDS else f"{found:,.0f} s"
    if name == "peak_memory_bytes" and isinstance(found, int | float):
        return f"{found / 2**30:.2f} GiB"
    if name == "tokens_per_second" and isinstance(found, float):
        return f"{found:,.0f}"
    return f"{found:,.4f}" if isinstance(found, float) else f"{found:,}" if isinstance(found, int) else str(found)


def _evaluations(run: RunRecord, *, heading: bool) -> str:
    """A table of the last evaluations, values with their intervals."""
    title = f"<h3>{html.escape(run.name)}</h3>" if heading else ""
    if not run.evaluations:
        return f"{title}<p>There are none yet.</p>"
    metrics = headline_names(name for name in run.evaluations[-1] if name not in ("event", "step"))
    best = run.best_evaluation()
    rows = "".join(
        f"<tr{' class=best' if event is best else ''}><td>{event['step']:,}</td>"
        + "".join(f"<td>{_estimate(event, name)}</td>" for name in metrics)
        + "</tr>"
        for event in run.evaluations[-_MOST_EVALUATIONS:]
    )
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in metrics)
    return f"{title}{_framed(f'<tr><th>Step</th>{head}</tr>', rows)}"


def _estimate(event: Event, metric: str) -> str:
    found = value(event, metric)
    if found is None:
        return "–"
    low, high = (value(event, metric, place) for place in (1, 2))
    is_interval = low is not None and high is not None
    interval = f' <span class="quiet">{low:.4f} to {high:.4f}</span>' if is_interval else ""
    return f"{found:.4f}{interval}"


def _settings(run: RunRecord) -> str:
    rows = "".join(
        f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(text)}</td></tr>"
        for name, text in _flat(run.settings)
    )
    table = _framed("", rows) if rows else "<p>They are not known.</p>"
    return f"<details><summary>Settings of {html.escape(run.name)}</summary>{table}</details>"


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """name.name and value, as --set takes them."""
    for name, found in settings.items():
        if isinstance(found, Mapping) and found:
            yield from _flat(found, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(found)


def _legend(runs: Sequence[RunRecord]) -> str:
    """What the lines of the picture are."""
    lines = (
        "Faint: every step; bold: their trend over about 50 steps; with markers: validation."
        if len(runs) == 1
        else "Dotted: the trend of training; with markers: validation."
    )
    marks = " Red uprights are skipped steps." if any(run.skipped for run in runs) else ""
    marks += " Dotted uprights: the run was resumed." if len(runs) == 1 and runs[0].resumes else ""
    return f'<p class="quiet">{lines}{marks}</p>'


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --text: #1c1c1c; --quiet: #606060; --line: #d8d8d8; --paper: #ffffff;
        --best: #e8f2f6; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8e8e8; --quiet: #a8a8a8; --line: #444444; --paper: #1b1b1b; --best: #17343f; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper);
       max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
h3 { font-size: 1rem; }
.quiet { color: var(--quiet); }
.picture { background: #ffffff; border: 1px solid var(--line); border-radius: 4px; margin: 0.5rem 0; }
.picture svg { width: 100%; height: auto; display: block; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.25rem 1.5rem 0.25rem 0; border-bottom: 1px solid var(--line);
         vertical-align: top; }
tbody th { font-weight: normal; color: var(--quiet); }
tr.best td { background: var(--best); }
code { font-size: 0.9em; }
summary { cursor: pointer; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="quiet">bigbird $version</p>
$headline
<h2>Curves</h2>
$picture
$legend
<h2>Figures</h2>
$table
<h2>Evaluations</h2>
$evaluations
<h2>Settings</h2>
$settings
<ul class="quiet">$remarks</ul>
</body>
</html>
""")
