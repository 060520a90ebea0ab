import numpy as np
import pytest

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.errors import InputError
from bigbird.genomics import track, whole_scan
from bigbird.genomics.browser_tracks import levels, write_bedgraph
from bigbird.genomics.calls import calls
from bigbird.genomics.plots import _thinned
from bigbird.genomics.scan import ScanConfig, scan
from bigbird.genomics.scan_store import PARTS_FOLDER, ScanStore, scan_identity
from bigbird.genomics.whole_scan import bases_done, parts_of, scan_regions
from bigbird.tasks import TokenLabels
from helpers import STRANDED, dna, loaded_model

CONFIG = ScanConfig(window_bp=200, overlap_bp=40, bin_bp=10, merge_bp=30)
IDENTITY = {"model": "a", "window_bp": 200}


class Contextual:
    """Scores each base by all of its window, so that a window that sees anything else answers otherwise."""

    def __init__(self, stop_after=None):
        self.loaded = loaded_model(STRANDED)
        self.num_seen, self._stop_after = 0, stop_after

    def predict(self, records):
        for record in records:
            if self.num_seen == self._stop_after:
                raise KeyboardInterrupt
            self.num_seen += 1
            letters = np.frombuffer(record.sequence.encode(), np.uint8).astype(np.float32)
            weights = letters * np.arange(1, len(letters) + 1) % 97
            score = (weights + weights.mean() + letters[0]) % 1
            yield TokenLabels(np.stack([score, 1 - score], axis=1))


@pytest.fixture
def genome(tmp_path):
    pieces = dna(700, 1) + "N" * 450 + dna(853, 2), dna(90, 3)
    (tmp_path / "genome.fa").write_text(f">chr1\n{pieces[0]}\n>chr2\n{pieces[1]}\n")
    return Genome.open(tmp_path / "genome.fa")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(whole_scan, "PART_BP", 350)  # two steps of 160
    monkeypatch.setattr(track, "_BINS_AT_ONCE", 7)  # shares no edge with the parts


REGIONS = [Interval("chr1", 0, 2_003), Interval("chr2", 0, 90)]


@pytest.mark.parametrize("region", [*REGIONS, Interval("chr1", 123, 1_990), Interval("chr1", 1_950, 2_003)])
def test_a_scan_in_parts_is_the_scan_of_the_whole(tmp_path, genome, region):
    whole = scan(Contextual(), genome, region, CONFIG)
    assert len(parts_of(region, CONFIG)) == -(-region.length // 320)
    with ScanStore.opened(tmp_path / "out", IDENTITY) as store:
        (stored,) = scan_regions(Contextual(), genome, [region], CONFIG, store=store)
        assert stored.remarks == whole.remarks
        assert len(stored.scores) == len(whole.scores)
        np.testing.assert_array_equal(stored.scores[:], whole.scores)
        for start in range(0, len(whole.scores), 5):
            np.testing.assert_array_equal(stored.scores[start : start + 33], whole.scores[start : start + 33])
        assert calls(stored, CONFIG) == calls(whole, CONFIG)
        assert list(levels(stored)) == list(levels(whole))


def test_work_in_pieces_gives_what_work_on_the_whole_gives(genome, monkeypatch):
    whole = scan(Contextual(), genome, REGIONS[0], CONFIG)
    in_pieces = calls(whole, CONFIG), list(levels(whole)), _thinned(whole)
    monkeypatch.setattr(track, "_BINS_AT_ONCE", 10**6)
    assert calls(whole, CONFIG) == in_pieces[0]
    assert len(in_pieces[0]) > 3
    assert list(levels(whole)) == in_pieces[1]
    np.testing.assert_array_equal(_thinned(whole)[1], in_pieces[2][1])


def test_an_interrupted_scan_goes_on_where_it_stood(tmp_path, genome):
    told = []
    first = Contextual(stop_after=5)
    with pytest.raises(KeyboardInterrupt), ScanStore.opened(tmp_path / "out", IDENTITY) as store:
        scan_regions(first, genome, REGIONS, CONFIG, store=store)
    second, uninterrupted = Contextual(), Contextual()
    with ScanStore.opened(tmp_path / "out", IDENTITY) as store:
        begun = bases_done(store, REGIONS, CONFIG)
        assert begun == 960  # of five windows, and one of nothing but N
        report = lambda contig, bases: told.append((contig, bases))  # noqa: E731
        tracks = scan_regions(second, genome, REGIONS, CONFIG, store=store, report=report)
        assert begun + sum(bases for _, bases in told) == 2_093
        with ScanStore.opened(tmp_path / "other", IDENTITY) as other:
            expected = scan_regions(uninterrupted, genome, REGIONS, CONFIG, store=other)
            for name, some in (("one", tracks), ("two", expected)):
                write_bedgraph(tmp_path / name, some)
            other.remove()
        store.remove()
    assert second.num_seen == uninterrupted.num_seen - 5
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert not (tmp_path / "out" / PARTS_FOLDER).exists()


def begun_store(folder, genome, identity=IDENTITY):
    with ScanStore.opened(folder, identity) as store:
        scan_regions(Contextual(), genome, REGIONS[:1], CONFIG, store=store)


def test_parts_of_another_scan_are_not_taken_and_that_is_said(tmp_path, genome, caplog):
    begun_store(tmp_path / "out", genome)
    with ScanStore.opened(tmp_path / "out", {"model": "b", "window_bp": 400}) as store:
        assert bases_done(store, REGIONS, CONFIG) == 0
    said = "holds an unfinished scan with another model and window_bp: it starts anew"
    assert [said in record.message for record in caplog.records] == [True]
    (tmp_path / "out" / PARTS_FOLDER / "scan.json").write_text("{")
    begun_store(tmp_path / "out", genome, {"model": "b"})


def test_a_damaged_part_is_made_again(tmp_path, genome):
    begun_store(tmp_path / "out", genome)
    path = min((tmp_path / "out" / PARTS_FOLDER).glob("*.npz"))
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:400] + bytes(40) + whole[440:]):
        path.write_bytes(damaged)
        predictor = Contextual()
        with ScanStore.opened(tmp_path / "out", IDENTITY) as store:
            assert bases_done(store, REGIONS[:1], CONFIG) == 2_003 - 320
            scan_regions(predictor, genome, REGIONS[:1], CONFIG, store=store)
        assert predictor.num_seen == 2


def test_one_program_at_a_time(tmp_path):
    with (
        ScanStore.opened(tmp_path / "out", IDENTITY),
        pytest.raises(InputError, match="in use by another program"),
        ScanStore.opened(tmp_path / "out", IDENTITY),
    ):
        pass


def test_a_scan_s_identity_is_all_that_its_scores_depend_on(tmp_path, genome):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    path = tmp_path / "genome.fa"

    def identity(config=CONFIG):
        return scan_identity(model, config, [path], genome.contigs)

    before = identity()
    assert identity(ScanConfig(window_bp=200, overlap_bp=40, threshold=0.9, merge_bp=0)) == before
    assert identity(ScanConfig(window_bp=400, overlap_bp=40)) != before
    assert identity(ScanConfig(window_bp=200, overlap_bp=40, labels=("site+",))) != before
    (model / "model.safetensors").write_bytes(b"Weights")
    after = identity()
    assert (after["model"] != before["model"], after["genome"] == before["genome"]) == (True, True)
    path.write_text(path.read_text().lower())
    assert identity()["genome"] != before["genome"]
