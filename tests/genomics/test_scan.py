import dataclasses
import json
import re

import numpy as np
import pytest

from bigbird.data.genome import Genome
from bigbird.data.intervals import Feature, Interval
from bigbird.data.records import Record
from bigbird.errors import ConfigError, MissingDependency
from bigbird.genomics import report
from bigbird.genomics.agreement import added, compare
from bigbird.genomics.browser_tracks import write_bedgraph
from bigbird.genomics.calls import Call, calls, write_bed
from bigbird.genomics.report import in_words, write_scan
from bigbird.genomics.scan import ScanConfig, scan
from bigbird.genomics.track import Track
from bigbird.predictor import Predictor
from bigbird.tasks import BinClassification, MaskedLM, TokenLabels
from helpers import STRANDED, YES_NO, dna, loaded_model

CONFIG = ScanConfig(window_bp=400, overlap_bp=100, bin_bp=10)


class Marker:
    """A stand-in for a predictor: scores 1 on every A, so that a scan's places can be checked base by base."""

    def __init__(self):
        self.loaded = loaded_model(STRANDED)
        self.seen = []

    def predict(self, records):
        for record in records:
            self.seen.append(record)
            is_a = np.array([letter == "A" for letter in record.sequence], np.float32)
            yield TokenLabels(np.stack([is_a, 1 - is_a], axis=1))


def genome_of(tmp_path, **contigs):
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return Genome.open(path)


@pytest.mark.parametrize(("start", "end"), [(0, 2_003), (0, 400), (350, 1_777), (1_990, 2_003), (0, 1), (700, 1_300)])
def test_every_bin_gets_the_score_of_its_own_bases(tmp_path, start, end):
    sequence = "".join(np.random.default_rng(0).choice(list("AC"), 2_003))
    track = scan(Marker(), genome_of(tmp_path, chr1=sequence), Interval("chr1", start, end), CONFIG)
    assert len(track.scores) == -(-(end - start) // 10)
    for index, score in enumerate(track.scores[:, 0]):
        bases = sequence[start + 10 * index : min(start + 10 * index + 10, end)]
        assert score == pytest.approx(bases.count("A") / len(bases))


def test_a_contig_shorter_than_a_window_is_scanned_too(tmp_path):
    track = scan(Marker(), genome_of(tmp_path, chr1="AACC" * 20), Interval("chr1", 0, 80), CONFIG)
    np.testing.assert_allclose(track.scores[:, 0], [0.6, 0.4] * 4, rtol=1e-6)
    assert track.remarks == ("chr1: windows reach 320 bases over its ends; these were filled with N",)


def test_unknown_stretches_get_no_score_and_windows_of_nothing_else_are_left_out(tmp_path):
    marker = Marker()
    track = scan(
        marker, genome_of(tmp_path, chr1="A" * 500 + "N" * 3_000 + "A" * 500), Interval("chr1", 0, 4_000), CONFIG
    )
    assert np.isnan(track.scores[51:349]).all()
    assert (track.scores[:50, 0] == 1).all()
    assert (track.scores[-50:, 0] == 1).all()
    (remark,) = track.remarks
    assert remark == "chr1: 9 of 14 windows hold nothing but N and were left out"
    assert all(set(record.sequence) != {"N"} for record in marker.seen)


def test_every_base_is_seen_with_half_an_overlap_of_context(tmp_path):
    marker = Marker()
    scan(marker, genome_of(tmp_path, chr1="AC" * 2_000), Interval("chr1", 1_000, 3_000), CONFIG)
    assert marker.seen[0].interval.start == 950
    assert marker.seen[-1].interval.end >= 3_050
    starts = [record.interval.start for record in marker.seen]
    assert set(np.diff(starts)) == {300}


def test_a_scan_equals_the_prediction_for_its_window(tmp_path):
    sequence = "".join(np.random.default_rng(1).choice(list("ACGT"), 200))
    predictor = Predictor(loaded_model(STRANDED))
    track = scan(
        predictor,
        genome_of(tmp_path, chr1=sequence),
        Interval("chr1", 0, 200),
        ScanConfig(window_bp=200, overlap_bp=20),
    )
    (expected,) = predictor.predict([Record(sequence=sequence)])
    np.testing.assert_allclose(track.scores, expected.probabilities.reshape(20, 10, 2).mean(1), rtol=1e-5)


def test_a_model_with_one_answer_per_window_gives_steps(tmp_path):
    sequence = "".join(np.random.default_rng(1).choice(list("ACGT"), 1_000))
    config = ScanConfig(window_bp=200, overlap_bp=100)
    track = scan(
        Predictor(loaded_model(YES_NO)), genome_of(tmp_path, chr1=sequence), Interval("chr1", 0, 1_000), config
    )
    assert track.labels == ("no", "yes")
    np.testing.assert_allclose(track.scores.sum(1), 1, rtol=1e-5)
    assert 8 <= len(np.unique(track.scores[:, 1])) <= 10


def test_ambiguity_codes_are_counted_aloud(tmp_path):
    track = scan(Marker(), genome_of(tmp_path, chr1="ACRTY" * 80), Interval("chr1", 0, 400), CONFIG)
    assert track.remarks == ("chr1: ambiguity codes were read as N, 320 in all windows together",)


def test_a_model_without_labels_cannot_scan(tmp_path):
    with pytest.raises(ConfigError, match="a scan needs a model with labels; the task of this one, MaskedLM, has none"):
        scan(Predictor(loaded_model(MaskedLM())), genome_of(tmp_path, chr1="ACGT"), Interval("chr1", 0, 4), CONFIG)


def test_a_window_longer_than_the_model_reads_is_refused(tmp_path):
    genome, region = genome_of(tmp_path, chr1="AC" * 500), Interval("chr1", 0, 1_000)
    assert scan(Marker(), genome, region, ScanConfig(window_bp=510, overlap_bp=100)).scores.shape == (100, 2)
    reads = r"which is 510 tokens of at most 1 bases\. Set window_bp to 510 or less, and overlap_bp below that\."
    with pytest.raises(ConfigError, match=rf"window_bp 520 is more than this model reads at once, {reads}"):
        scan(Marker(), genome, region, ScanConfig(window_bp=520, overlap_bp=100))


def track_of(*columns, start=1_000, labels=("site+", "site-")):
    scores = np.array(columns, np.float32).T
    return Track(Interval("chr1", start, start + 10 * len(scores)), 10, scores, labels)


def test_calls_are_the_stretches_over_the_threshold_merged_when_close():
    up = [0, 0.6, 0.9, 0, 0.7, 0, 0, 0, 0, 0.8]
    down = [0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, np.nan, 0.1, 0.1]
    found = calls(track_of(up, down), ScanConfig(merge_bp=20))
    assert [(c.interval.start, c.interval.end, c.interval.strand, c.summit) for c in found] == [
        (1_000, 1_010, "-", 1_005),
        (1_010, 1_050, "+", 1_025),
        (1_090, 1_100, "+", 1_095),
    ]
    assert found[1].score == pytest.approx(0.9)
    assert calls(track_of(up, down), ScanConfig(threshold=0.95)) == []


def test_bed_and_bedgraph_are_what_browsers_read(tmp_path):
    track = track_of([0, 0.25, 0.25, 0.9, np.nan], [0, 0, 0, 0.1, np.nan])
    write_bed(tmp_path / "calls.bed", calls(track, ScanConfig()))
    assert (tmp_path / "calls.bed").read_text() == "chr1\t1030\t1040\tsite+\t900\t+\t1035\t1036\n"
    write_bedgraph(tmp_path / "scores.bedgraph", [track])
    assert (tmp_path / "scores.bedgraph").read_text().splitlines()[1:] == [
        "chr1\t1000\t1010\t0.000",
        "chr1\t1010\t1030\t0.250",
        "chr1\t1030\t1040\t0.900",
    ]


def gene(start, *, strand="+", kind="gene", biotype="protein_coding"):
    interval = Interval("chr1", start, start + 100, strand)
    return Feature(interval, kind, f"gene{start}", biotype)


def call_at(summit):
    return Call(Interval("chr1", summit - 5, summit + 5, "+", "site+"), summit, 0.9)


def test_agreement_counts_starts_found_and_calls_supported():
    track = track_of([0.0] * 10_000, [0.0] * 10_000, start=0)
    features = [
        gene(10_000),
        gene(20_000),
        gene(30_000, biotype="lncRNA"),
        *(gene(place, kind="transcript") for place in (10_000, 20_000, 30_000)),
    ]
    found = [call_at(10_500), call_at(20_501), call_at(30_010), call_at(60_000)]
    agreement = compare(found, features, track)
    assert (agreement.num_starts, agreement.num_found, agreement.recall) == (2, 1, 0.5)
    assert (agreement.num_calls, agreement.num_supported, agreement.precision) == (4, 2, 0.5)
    assert agreement.chance == pytest.approx(3 * 1_001 / 100_000, rel=0.02)
    assert "1 of 2 annotated gene starts have a call within 500 bp (recall 0.50)" in in_words(agreement)
    double = added([agreement, agreement])
    assert (double.num_starts, double.num_calls, double.recall, double.reach_bp) == (4, 8, 0.5, 500)
    nothing = compare([], [], track)
    assert np.isnan([nothing.recall, nothing.precision]).all()


def test_a_scan_s_folder_holds_everything_and_the_page_needs_nothing_else(tmp_path):
    pytest.importorskip("matplotlib")
    track = track_of([0.0] * 400 + [0.9] * 3 + [0.0] * 400, [0.0] * 803)
    odd = dataclasses.replace(gene(5_010, kind="transcript"), gene="<b>odd</b>")
    features = [gene(5_010), odd, gene(7_000, strand="-")]
    result = write_scan(tmp_path / "out", [track], ScanConfig(), features, model="<script>alert(1)</script>")
    names = sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".bigwig")
    assert names == ["calls.bed", "report.html", "scan.chr1.png", "scores.bedgraph", "summary.json"]
    assert (tmp_path / "out" / "scan.chr1.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["num_calls"] == len(result.found) == 1
    assert summary["agreement"]["recall"] == 0.5
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "&lt;b&gt;odd&lt;/b&gt; (+)" in page
    assert "1 of 2 annotated gene starts" in page


def on(track, contig):
    return track._replace(region=dataclasses.replace(track.region, contig=contig))


def test_several_regions_of_a_contig_have_a_picture_each_and_stand_in_order(tmp_path):
    pytest.importorskip("matplotlib")
    later, earlier = (track_of([score] * 10, [0.0] * 10, start=start) for score, start in ((0.9, 5_000), (0.8, 0)))
    result = write_scan(tmp_path, [later, on(later, "a/b"), earlier, on(later, "a_b")], ScanConfig(), [], model="m")
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "scan.a%2Fb.png",
        "scan.a_b.png",
        "scan.chr1.1-100.png",
        "scan.chr1.5001-5100.png",
    ]
    places = [("chr1", 0), ("chr1", 5_000), ("a/b", 5_000), ("a_b", 5_000)]
    assert [(call.interval.contig, call.interval.start) for call in result.found] == places
    for name, skipped in (("calls.bed", 0), ("scores.bedgraph", 1)):
        rows = [line.split("\t") for line in (tmp_path / name).read_text().splitlines()[skipped:]]
        assert [(row[0], int(row[1])) for row in rows] == places
    assert json.loads((tmp_path / "summary.json").read_text())["regions"][0] == "chr1:1-100"


def test_regions_that_share_bases_are_not_written(tmp_path):
    track = track_of([0.0] * 10, [0.0] * 10)
    with pytest.raises(ConfigError, match=r"the regions chr1:1,001-1,100 and chr1:1,001-1,100 share bases"):
        write_scan(tmp_path / "out", [track, track], ScanConfig(), [], model="m")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "missing", "words"),
    [
        ("gene", "transcript", "gene starts serve for both"),
        ("transcript", "gene", "transcript starts serve for both"),
    ],
)
def test_an_annotation_of_genes_or_transcripts_alone_serves_for_both_and_that_is_said(kind, missing, words):
    track = track_of([0.0] * 10_000, [0.0] * 10_000, start=0)
    features = [gene(place, kind=kind, biotype="") for place in (10_000, 20_000)]
    agreement = compare([call_at(10_100), call_at(60_000)], features, track)
    assert (agreement.recall, agreement.precision) == (0.5, 0.5)
    assert agreement.chance == pytest.approx(2 * 1_001 / 100_000, rel=0.02)
    said = in_words(added([agreement, agreement]))
    assert f"of 4 annotated {kind} starts have a call" in said
    assert f"of an annotated {kind} start (precision 0.50" in said
    assert said.endswith(f"The annotation has no {missing} rows with a strand, so {words}")


def test_what_cannot_be_known_is_called_unknown_and_is_null(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "draw_scan", lambda *_, **__: None)
    monkeypatch.setattr(report, "_page", lambda *_: "")
    elsewhere = dataclasses.replace(gene(10_000), interval=Interval("chr2", 0, 10, "+"))
    result = write_scan(tmp_path, [track_of([0.0] * 10, [0.0] * 10)], ScanConfig(), [elsewhere], model="m")
    assert "0 of 0 annotated gene starts have a call within 500 bp (recall unknown)" in in_words(result.agreement)

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    summary = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert summary["agreement"]["recall"] is None


def test_the_page_names_the_nearest_gene_when_there_are_no_transcripts(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "draw_scan", lambda path, *_, **__: path.touch())
    write_scan(tmp_path, [track_of([0.9], [0.0])], ScanConfig(), [gene(1_105)], model="m")
    assert "<td>gene1105 (+)</td><td>100</td>" in (tmp_path / "report.html").read_text()


def test_without_matplotlib_a_scan_says_so_and_goes_on(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise MissingDependency("a picture needs matplotlib, which is not installed. Run: pip install 'bigbird[plot]'")

    monkeypatch.setattr(report, "draw_scan", refuse)
    result = write_scan(tmp_path / "out", [track_of([0.9], [0.1])], ScanConfig(), [], model="m")
    assert any("pip install 'bigbird[plot]'" in note for note in result.notes)
    assert not list((tmp_path / "out").glob("*.png"))
    assert "No annotation was given." in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"window_bp": 16_005},
            "window_bp must be a multiple of bin_bp and overlap_bp of twice bin_bp, got window_bp 16005",
        ),
        ({"overlap_bp": 10}, "overlap_bp 10"),
        ({"overlap_bp": 16_000}, "overlap_bp must be at least 0 and below window_bp, got 16000"),
        ({"threshold": 1.0}, "threshold must lie between 0 and 1, got 1.0"),
        ({"merge_bp": -1}, "merge_bp must be at least 0, got -1"),
    ],
)
def test_settings_that_make_no_scan_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        ScanConfig(**changes)


def test_a_model_of_bins_scans_what_it_answers_for(tmp_path):
    task = BinClassification(labels=("x", "y"), bin_bp=20, context_bp=40, max_length=402, overlap=20)
    predictor, sequence = Predictor(loaded_model(task)), dna(1_000, 1)
    genome, region = genome_of(tmp_path, chr1=sequence), Interval("chr1", 0, 1_000)
    scores = scan(predictor, genome, region, ScanConfig(window_bp=400, overlap_bp=80, bin_bp=20)).scores[:, 0]
    assert np.isfinite(scores).all()  # at the contig's ends the context is N
    config = ScanConfig(window_bp=400, overlap_bp=80, bin_bp=20, labels=("y",))
    only, both = (
        scan(predictor, genome, region, config),
        scan(predictor, genome, region, dataclasses.replace(config, labels=())),
    )
    np.testing.assert_array_equal(only.scores, both.scores[:, 1:])
    (middle,) = predictor.predict([Record(sequence=sequence[280:680])])  # the second window
    np.testing.assert_allclose(scores[16:32], middle.probabilities[:, 0], rtol=1e-6)
    for changes in ({"bin_bp": 10}, {"overlap_bp": 40}, {"window_bp": 410, "bin_bp": 10}):
        with pytest.raises(ConfigError, match="bin_bp must be 20, and overlap_bp a multiple of 40 from 80 on; got"):
            scan(predictor, genome, region, ScanConfig(**{"window_bp": 400, "overlap_bp": 80, "bin_bp": 20} | changes))


def test_soft_mask_is_ignored_and_half_known_bins_are_scored(tmp_path):
    sequence = "ACGT" * 50 + "N" * 25 + "CCGT" * 50
    upper, lower = Marker(), Marker()
    (tmp_path / "a").mkdir()
    tracks = [
        scan(marker, genome_of(folder, chr1=text), Interval("chr1", 0, 425), CONFIG)
        for marker, folder, text in ((upper, tmp_path, sequence), (lower, tmp_path / "a", sequence.lower()))
    ]
    np.testing.assert_array_equal(tracks[0].scores, tracks[1].scores)
    known = ~np.isnan(tracks[0].scores[:, 0])
    assert np.flatnonzero(~known).tolist() == [20, 21]  # the third, half of it known, has a score
    assert all(
        call.interval.end <= 200 or call.interval.start >= 220 for call in calls(tracks[0], ScanConfig(merge_bp=0))
    )


def test_only_the_labels_wanted_are_scored(tmp_path):
    genome, region = genome_of(tmp_path, chr1="ACGT" * 100), Interval("chr1", 0, 400)
    both, one = (
        scan(Marker(), genome, region, dataclasses.replace(CONFIG, labels=labels)) for labels in ((), ("site-",))
    )
    assert one.labels == ("site-",)
    np.testing.assert_array_equal(one.scores, both.scores[:, 1:])
    with pytest.raises(ConfigError, match=r"this model has no label 'site' among its 2; nearest are site-, site\+"):
        scan(Marker(), genome, region, dataclasses.replace(CONFIG, labels=("site",)))
