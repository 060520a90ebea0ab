import json
import sys

import numpy as np
import pytest

from bigbird.data.intervals import Interval
from bigbird.errors import InputError, MissingDependency
from bigbird.representations.embedding import Embedded
from bigbird.representations.files import check_format, write_embeddings

ABOUT = {"model": "m", "pool": "none"}


def rows(count=3):
    """A record on a genome's other strand with three tokens, and one without a place."""
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    places = np.array([0, 2, 5]), np.array([2, 5, 6])
    yield Embedded("one", Interval("chr1", 100, 106, "-", "one"), *places, vectors)
    for number in range(count - 1):
        yield Embedded(f"a\tb {number}", None, np.array([0]), np.array([9]), vectors[:1] + 100 + number)


PLACES = [("one", "chr1", 104, 106, "-"), ("one", "chr1", 101, 104, "-"), ("one", "chr1", 100, 101, "-")]


def test_npy_has_its_names_and_what_was_computed_beside_it(tmp_path):
    assert write_embeddings(tmp_path / "e.npy", rows(), ABOUT) == 5
    vectors = np.load(tmp_path / "e.npy", mmap_mode="r", allow_pickle=False)
    assert (vectors.shape, vectors.dtype) == ((5, 4), np.float32)
    np.testing.assert_array_equal(vectors[:3].ravel(), np.arange(12))
    np.testing.assert_array_equal(vectors[4], [101, 102, 103, 104])
    lines = [line.split("\t") for line in (tmp_path / "e.tsv").read_text().splitlines()]
    assert lines[0] == ["name", "contig", "start", "end", "strand"]
    assert [(n, c, int(s), int(e), t) for n, c, s, e, t in lines[1:4]] == PLACES
    assert lines[4] == ["a b 0", "", "0", "9", ""]
    assert json.loads((tmp_path / "e.json").read_text()) == {**ABOUT, "shape": [5, 4]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.json", "e.npy", "e.tsv"]


def test_what_fails_on_the_way_leaves_nothing(tmp_path):
    def broken():
        yield from rows()
        raise InputError("no more")

    for ending in (".npy", ".parquet"):
        with pytest.raises(InputError, match="no more"):
            write_embeddings(tmp_path / f"e{ending}", broken(), ABOUT)
    assert list(tmp_path.iterdir()) == []


def test_parquet_has_a_row_each(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert write_embeddings(tmp_path / "e.parquet", rows(5_000), ABOUT) == 5_002
    table = parquet.read_table(tmp_path / "e.parquet")
    assert table.column_names == ["name", "contig", "start", "end", "strand", "embedding"]
    first = table.slice(0, 3).to_pylist()
    assert [tuple(row[name] for name in table.column_names[:5]) for row in first] == PLACES
    assert first[1]["embedding"] == [4, 5, 6, 7]
    assert str(table.schema.field("embedding").type) == "fixed_size_list<element: float>[4]"
    assert json.loads(table.schema.metadata[b"bigbird"]) == ABOUT


@pytest.mark.filterwarnings("default")  # anndata's own
def test_h5ad_is_what_single_cell_tools_read(tmp_path):
    anndata = pytest.importorskip("anndata")
    assert write_embeddings(tmp_path / "e.h5ad", rows(), ABOUT) == 5
    data = anndata.read_h5ad(tmp_path / "e.h5ad")
    np.testing.assert_array_equal(data.X[1], [4, 5, 6, 7])
    assert data.obs["start"].tolist() == [104, 101, 100, 0, 0]
    assert data.obs["name"].tolist()[:3] == ["one"] * 3
    assert json.loads(data.uns["bigbird"]) == ABOUT
    assert [path.name for path in tmp_path.iterdir()] == ["e.h5ad"]


def test_the_ending_chooses_the_format_and_what_is_missing_is_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"e\.txt must end in \.npy, \.parquet, \.h5ad: the ending chooses"):
        check_format(tmp_path / "e.txt")
    for ending, package, extra in ((".h5ad", "anndata", "anndata"), (".parquet", "pyarrow", "parquet")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingDependency, match=rf"writing {ending} needs {package}.*'bigbird\[{extra}\]'"):
            check_format(tmp_path / f"e{ending}")
