"""A scan as a folder a biologist can open: BED, bedGraph, pictures, a page and a summary."""

from __future__ import annotations

import base64
import html
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from math import isnan
from pathlib import Path
from string import Template
from urllib.parse import quote

import numpy as np

from bigbird.data.files import json_text, written_whole
from bigbird.data.intervals import Feature, in_genome_order
from bigbird.errors import MissingDependency
from bigbird.genomics.agreement import Agreement, added, compare, distance_to, supporting_starts
from bigbird.genomics.browser_tracks import write_bedgraph, write_bigwig
from bigbird.genomics.calls import Call, calls, write_bed
from bigbird.genomics.plots import draw_scan
from bigbird.genomics.scan import ScanConfig
from bigbird.genomics.track import Track

CALLS_FILE, SCORES_FILE, SUMMARY_FILE, PAGE_FILE = "calls.bed", "scores.bedgraph", "summary.json", "report.html"
BIGWIG_FILE = "scores.bigwig"
MAX_PICTURES = 24
MAX_ROWS = 1000


@dataclass(frozen=True, kw_only=True)
class ScanResult:
    """What a scan found and where it was written.

    agreement  None without an annotation
    notes      what was left out, in words
    """

    folder: Path
    found: tuple[Call, ...]
    agreement: Agreement | None
    notes: tuple[str, ...]


def write_scan(
    folder: Path, tracks: Sequence[Track], config: ScanConfig, features: Sequence[Feature], *, model: str
) -> ScanResult:
    """Write everything about the scanned regions into `folder`; pictures only where matplotlib is installed.

    The regions share no bases. They are written in order; contigs stay in the order in which they come first.
    """
    tracks = _in_order(tracks)
    folder.mkdir(parents=True, exist_ok=True)
    per_track = [calls(track, config) for track in tracks]
    found = [call for some in per_track for call in some]
    write_bed(folder / CALLS_FILE, found)
    write_bedgraph(folder / SCORES_FILE, tracks)
    agreements = [compare(some, features, track) for some, track in zip(per_track, tracks, strict=True)]
    notes = [remark for track in tracks for remark in track.remarks]
    notes += _bigwig(folder / BIGWIG_FILE, tracks)
    pictures = _draw(folder, tracks, per_track, config, features, notes)
    result = ScanResult(
        folder=folder, found=tuple(found), agreement=added(agreements) if features else None, notes=tuple(notes)
    )
    with written_whole(folder / SUMMARY_FILE) as path:
        path.write_text(json_text(_summary(result, tracks, config, model)))
    with written_whole(folder / PAGE_FILE) as path:
        path.write_text(_page(result, tracks, config, pictures, features, model), encoding="utf-8")
    return result


def _bigwig(path: Path, tracks: Sequence[Track]) -> Iterator[str]:
    """Write it where that can be done; else a remark, and none of an earlier scan stays."""
    try:
        if write_bigwig(path, tracks):
            return
        yield f"{path.name} was not written: no base has a score"
    except MissingDependency as error:
        yield f"{path.name} was not written; {SCORES_FILE} holds the same: {error}"
    path.unlink(missing_ok=True)


def _in_order(tracks: Sequence[Track]) -> list[Track]:
    contigs = dict.fromkeys(track.region.contig for track in tracks)
    track_on = {track.region: track for track in tracks}
    return [track_on[region] for region in in_genome_order([track.region for track in tracks], contigs)]


def in_words(agreement: Agreement) -> str:
    """One or two sentences that say how good the calls are."""
    wanted = "transcript" if agreement.missing == "gene" else "gene"
    supporting = "gene" if agreement.missing == "transcript" else "transcript"
    within = f"within {agreement.reach_bp} bp"
    text = (
        f"{agreement.num_found} of {agreement.num_starts} annotated {wanted} starts have a call {within} (recall "
        f"{_shown(agreement.recall)}); {agreement.num_supported} of {agreement.num_calls} calls lie {within} of an "
        f"annotated {supporting} start (precision {_shown(agreement.precision)}, by chance {_shown(agreement.chance)})"
    )
    if agreement.missing is None:
        return text
    return f"{text}. The annotation has no {agreement.missing} rows with a strand, so {wanted} starts serve for both"


def _shown(share: float) -> str:
    return "unknown" if isnan(share) else f"{share:.2f}"


def _draw(
    folder: Path,
    tracks: Sequence[Track],
    per_track: Sequence[Sequence[Call]],
    config: ScanConfig,
    features: Sequence[Feature],
    notes: list[str],
) -> list[Path]:
    pictures = []
    num_regions = Counter(track.region.contig for track in tracks)
    for track, some in list(zip(tracks, per_track, strict=True))[:MAX_PICTURES]:
        region = track.region
        part = f".{region.start + 1}-{region.end}" if num_regions[region.contig] > 1 else ""
        path = folder / f"scan.{quote(region.contig, safe='')}{part}.png"
        try:
            draw_scan(path, track, some, features, threshold=config.threshold)
        except MissingDependency as error:
            notes.append(str(error))
            break
        pictures.append(path)
    if len(tracks) > MAX_PICTURES:
        notes.append(f"pictures were drawn for the first {MAX_PICTURES} of {len(tracks)} regions")
    return pictures


def _summary(result: ScanResult, tracks: Sequence[Track], config: ScanConfig, model: str) -> dict[str, object]:
    agreement = result.agreement
    return {
        "bigbird_version": metadata.version("bigbird"),
        "model": model,
        "regions": [f"{track.region.contig}:{track.region.start + 1}-{track.region.end}" for track in tracks],
        "settings": asdict(config),
        "num_calls": len(result.found),
        "agreement": None
        if agreement is None
        else agreement._asdict()
        | {"recall": agreement.recall, "precision": agreement.precision, "chance": agreement.chance},
        "notes": result.notes,
    }


def _page(
    result: ScanResult,
    tracks: Sequence[Track],
    config: ScanConfig,
    pictures: Sequence[Path],
    features: Sequence[Feature],
    model: str,
) -> str:
    """A page without links to anything outside it: pictures are inside, there is no script."""
    regions = ", ".join(str(track.region) for track in tracks[:10])
    images = "\n".join(
        f'<img alt="Scores along {html.escape(path.stem)}" src="data:image/png;base64,'
        f'{base64.b64encode(path.read_bytes()).decode()}">'
        for path in pictures
    )
    return _PAGE.substitute(
        model=html.escape(model),
        regions=html.escape(regions) + (f" and {len(tracks) - 10} more" if len(tracks) > 10 else ""),
        version=html.escape(metadata.version("bigbird")),
        threshold=f"{config.threshold:g}",
        num_calls=len(result.found),
        agreement=html.escape(in_words(result.agreement)) if result.agreement else "No annotation was given.",
        images=images or "<p>No pictures were drawn.</p>",
        rows="\n".join(_rows(result.found[:MAX_ROWS], features)),
        more=f"<p>{len(result.found) - MAX_ROWS} more calls stand in {CALLS_FILE}.</p>"
        if len(result.found) > MAX_ROWS
        else "",
        notes="".join(f"<li>{html.escape(note)}</li>" for note in result.notes),
        calls_file=CALLS_FILE,
        scores_file=SCORES_FILE,
        bigwig_file=BIGWIG_FILE,
    )


def _rows(found: Sequence[Call], features: Sequence[Feature]) -> Iterator[str]:
    sites = supporting_starts(features)
    for call in found:
        place = call.interval
        there = [site for site in sites if site.contig == place.contig]
        distances = distance_to(np.array([call.summit]), np.array([site.start for site in there]))
        nearest = min(there, key=lambda site: abs(site.start - call.summit), default=None)
        cells = (
            str(place),
            place.strand,
            f"{call.summit + 1:,}",
            f"{call.score:.3f}",
            f"{nearest.name} ({nearest.strand})" if nearest else "",
            f"{distances[0]:,.0f}" if nearest else "",
        )
        yield "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Scan of $regions</title>
<style>
:root { color-scheme: light dark; --text: #1c1c1c; --quiet: #606060; --line: #d8d8d8; --paper: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8e8e8; --quiet: #a8a8a8; --line: #444444; --paper: #1b1b1b; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper);
       max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
.quiet { color: var(--quiet); margin-top: 0.25rem; }
img { width: 100%; background: #ffffff; border: 1px solid var(--line); border-radius: 4px; margin: 0.5rem 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.25rem 0.75rem 0.25rem 0; border-bottom: 1px solid var(--line); }
code { font-size: 0.9em; }
</style>
</head>
<body>
<h1>$num_calls calls on $regions</h1>
<p class="quiet">Model $model, threshold $threshold, bigbird $version</p>
<p>$agreement</p>
<h2>Scores</h2>
$images
<p class="quiet">The coloured area is the score along the region; a label of the minus strand points down. Dotted lines
are the threshold, black triangles the calls. Below: annotated genes with an arrow at their start, protein-coding ones
darker.</p>
<h2>Calls</h2>
<div class="table"><table>
<thead><tr><th>Place</th><th>Strand</th><th>Summit</th><th>Score</th><th>Nearest annotated start</th>
<th>Distance (bp)</th></tr></thead>
<tbody>
$rows
</tbody>
</table></div>
$more
<h2>Files</h2>
<p><code>$calls_file</code> and <code>$scores_file</code> (and <code>$bigwig_file</code>, the same, where pyBigWig is
installed), beside this page, open in IGV or the UCSC browser. Places in
them count from 0, as BED does; on this page they count from 1.</p>
<ul class="quiet">$notes</ul>
</body>
</html>
""")
