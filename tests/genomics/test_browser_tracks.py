import sys

import numpy as np
import pytest

from bigbird.data.intervals import Interval
from bigbird.errors import MissingDependency
from bigbird.genomics import browser_tracks
from bigbird.genomics.browser_tracks import levels, write_bedgraph, write_bigwig
from bigbird.genomics.report import write_scan
from bigbird.genomics.scan import ScanConfig
from bigbird.genomics.track import Track


def track_of(column, *, start=1_000, contig="chr1", contig_length=0):
    scores = np.array([column, np.zeros(len(column))], np.float32).T
    scores[np.isnan(scores[:, 0])] = np.nan
    region = Interval(contig, start, start + 10 * len(scores) - 3)  # the last bin is short
    return Track(region, 10, scores, ("a", "b"), contig_length=contig_length)


SCORES = [np.nan, 0, 0.25, 0.2501, np.nan, np.nan, 0.25, 0.9]


def test_neighbours_of_one_score_are_one_and_unknown_bases_none():
    assert [(start, end, round(score, 3)) for start, end, score in levels(track_of(SCORES))] == [
        (1_010, 1_020, 0.0),
        (1_020, 1_040, 0.25),
        (1_060, 1_070, 0.25),
        (1_070, 1_077, 0.9),
    ]
    assert list(levels(track_of([np.nan] * 3))) == []


def test_bigwig_holds_what_the_bedgraph_holds(tmp_path, monkeypatch):
    bigwig = pytest.importorskip("pyBigWig")
    monkeypatch.setattr(browser_tracks, "_ENTRIES_AT_ONCE", 2)
    tracks = [track_of(SCORES, contig_length=5_000), track_of([0.5], start=2_000, contig_length=5_000)]
    tracks.append(track_of([0.125, 1], contig="chrX"))
    write_bedgraph(tmp_path / "s.bedgraph", tracks)
    assert write_bigwig(tmp_path / "s.bigwig", tracks)
    rows = [line.split("\t") for line in (tmp_path / "s.bedgraph").read_text().splitlines()[1:]]
    with bigwig.open(str(tmp_path / "s.bigwig")) as file:
        assert file.chroms() == {"chr1": 5_000, "chrX": 1_017}
        found = [(contig, *entry) for contig in file.chroms() for entry in file.intervals(contig)]
    assert [(c, str(s), str(e), f"{v:.3f}") for c, s, e, v in found] == [tuple(row) for row in rows]


def test_without_pybigwig_or_scores_that_is_said_and_no_old_file_stays(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyBigWig", None)
    with pytest.raises(MissingDependency, match=r"a bigWig file needs pyBigWig.*'bigbird\[bigwig\]'"):
        write_bigwig(tmp_path / "s.bigwig", [track_of([1.0])])
    (tmp_path / "scores.bigwig").touch()
    result = write_scan(tmp_path, [track_of([1.0])], ScanConfig(), [], model="m")
    assert any("scores.bigwig was not written; scores.bedgraph holds the same" in note for note in result.notes)
    assert not (tmp_path / "scores.bigwig").exists()


def test_a_track_without_a_score_makes_no_bigwig(tmp_path):
    pytest.importorskip("pyBigWig")
    result = write_scan(tmp_path, [track_of([np.nan])], ScanConfig(), [], model="m")
    assert "scores.bigwig was not written: no base has a score" in result.notes
