import gzip
import sys

import numpy as np
import pytest

from bigbird.data.deepsea_files import is_deepsea, label_names, read_deepsea, read_names
from bigbird.errors import DataError, MissingDependency
from deepsea_folders import LABELS, SEQUENCES, TRUTH, one_hot, write_csv, write_hdf5, write_mat_5, write_mat_73


@pytest.mark.parametrize(
    ("name", "write"), [("a.mat", write_mat_5), ("a.mat", write_mat_73), ("a.h5", write_hdf5), ("a.csv", write_csv)]
)
def test_every_form_holds_the_same_rows(tmp_path, name, write):
    write(tmp_path / name)
    assert is_deepsea(tmp_path / name)
    rows = read_deepsea(tmp_path / name)
    assert (rows.num_rows, rows.num_labels) == (len(SEQUENCES), LABELS)
    assert [rows.sequence(row) for row in range(rows.num_rows)] == SEQUENCES
    assert (np.stack([rows.truth(row) for row in range(rows.num_rows)]) == TRUTH).all()


def test_a_table_may_be_gzip_and_have_a_header(tmp_path):
    write_csv(tmp_path / "plain.csv")
    header = "sequence," + ",".join(f"name{number}" for number in range(LABELS))
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write(header + "\n" + (tmp_path / "plain.csv").read_text())
    assert is_deepsea(tmp_path / "a.csv.gz")
    assert read_deepsea(tmp_path / "a.csv.gz").header[-1] == f"name{LABELS - 1}"


def test_an_ordinary_table_is_none_of_these(tmp_path):
    (tmp_path / "a.csv").write_text("sequence,label\nACGTACGTACGTACGTACGTACGT,yes\n")
    assert not is_deepsea(tmp_path / "a.csv")
    assert not is_deepsea(tmp_path / "a.fa")


def test_channels_may_be_in_another_order(tmp_path):
    pytest.importorskip("scipy")
    write_mat_5(tmp_path / "a.mat", channels="ACGT")
    assert read_deepsea(tmp_path / "a.mat", channels="ACGT").sequence(0) == SEQUENCES[0]
    with pytest.raises(
        DataError, match=r"channels must be the letters A, C, G and T in the order of the file, got 'ACG'"
    ):
        read_deepsea(tmp_path / "a.mat", channels="ACG")


def test_labels_have_distinct_names_and_groups_in_deepsea_s_order(tmp_path):
    names = [f"cell{number}" for number in range(919)]
    names[130] = names[131]
    (tmp_path / "names.txt").write_text("".join(f"{name}\n" for name in names))
    labels = label_names(919, read_names(tmp_path / "names.txt"))
    assert [labels[column] for column in (0, 124, 125, 814, 815, 918)] == [
        "DHS:cell0", "DHS:cell124", "TF:cell125", "TF:cell814", "Histone:cell815", "Histone:cell918",
    ]  # fmt: skip
    assert labels[130:132] == ("TF:cell131", "TF:cell131#2")
    assert len(set(label_names(919))) == 919
    assert label_names(3) == ("1", "2", "3")
    with pytest.raises(DataError, match=r"there are 3 labels and 2 names; give a name for each"):
        label_names(3, ("a", "b"))


TABLES = {
    "unequal rows": ("{s},0,1\n{s},0\n", r"a.csv:2: this row has 1 labels, the first one 2"),
    "a word": ("{s},0,1\n{s},0,x\n", r"a.csv:2: a row must be a sequence and a 0 or 1 for each label"),
    "nothing": ("sequence,a\n", r"a.csv holds no rows of a sequence and labels"),
    "a short header": ("sequence,a\n{s},0,1\n", r"the header names 1 labels, the rows have 2"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_wrong_is_told_with_its_line(tmp_path, name):
    text, message = TABLES[name]
    (tmp_path / "a.csv").write_text(text.format(s="ACGT" * 10))
    with pytest.raises(DataError, match=message):
        read_deepsea(tmp_path / "a.csv")


def test_arrays_that_do_not_go_together_are_told(tmp_path):
    io = pytest.importorskip("scipy.io")
    io.savemat(tmp_path / "a.mat", {"other": np.zeros(3)})
    with pytest.raises(DataError, match=r"a.mat must hold trainxdata and traindata or .*; it holds other"):
        read_deepsea(tmp_path / "a.mat")
    io.savemat(tmp_path / "b.mat", {"validxdata": one_hot("AGCT")[:2], "validdata": TRUTH})
    with pytest.raises(DataError, match=r"validxdata \[2, 4, 1000\] and validdata \[3, 5\] must have as many rows"):
        read_deepsea(tmp_path / "b.mat")


@pytest.mark.parametrize("content", [b"nonsense" * 100, b"\x89HDF nonsense" * 60], ids=["MATLAB", "HDF5"])
def test_a_damaged_file_is_told(tmp_path, content):
    pytest.importorskip("scipy" if content[0] == ord("n") else "h5py")
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"a.mat is no readable (MATLAB|HDF5) file: .*[Cc]opy or download it again"):
        read_deepsea(tmp_path / "a.mat")


@pytest.mark.parametrize(("name", "package"), [("a.h5", "h5py"), ("a.mat", "scipy")])
def test_a_missing_package_is_told_with_the_command(tmp_path, monkeypatch, name, package):
    (tmp_path / name).write_bytes(b"MATLAB 5.0" * 100)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(
        MissingDependency, match=rf"needs {package}, which is not installed. Run: pip install 'bigbird\[deepsea\]'"
    ):
        read_deepsea(tmp_path / name)


def test_a_file_of_another_kind_or_none_is_told(tmp_path):
    with pytest.raises(DataError, match=r"a file in DeepSEA's layout ends in .mat, .h5, .hdf5 or .csv"):
        read_deepsea(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"cannot read .*a.mat: No such file"):
        read_deepsea(tmp_path / "a.mat")
