"""Which files a corpus is made of."""

import logging

import pytest

from bigbird.data.corpus_files import find_files
from bigbird.errors import DataError, InputError


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name in ("b.txt", "a.jsonl.gz", "deep/c.fa", ".hidden.txt", ".git/d.txt", "picture.png"):
        (folder / name).write_text("x")
    (folder / "link.txt").symlink_to(folder / "b.txt")
    (folder / "loop").symlink_to(folder)
    return folder


def test_a_folder_is_walked_without_what_is_hidden_linked_strange_or_the_corpus_itself(folder, caplog):
    (folder / "corpus").mkdir()
    (folder / "corpus" / "e.txt").write_text("x")
    with caplog.at_level(logging.WARNING):
        found = find_files([folder], leave_out=folder / "corpus")
    assert [(file.name, file.format) for file in found] == [
        ("texts/a.jsonl.gz", "jsonl"),
        ("texts/b.txt", "text"),
        ("texts/deep/c.fa", "fasta"),
    ]
    assert "links are not followed in a folder: link.txt, loop" in caplog.text
    assert "left out, not of a kind that is read: picture.png" in caplog.text


@pytest.mark.parametrize("sign", ["manifest.json", "unfinished.json"])
def test_a_prepared_corpus_is_no_source(folder, tmp_path, caplog, sign):
    corpus = folder / "old"
    (corpus / "tokenizer").mkdir(parents=True)
    (corpus / "tokenizer" / "merges.txt").write_text("x")
    (corpus / sign).write_text("{}")
    with pytest.raises(InputError, match="old is a prepared corpus; name the files it was made of"):
        find_files([corpus], leave_out=tmp_path / "out")
    with caplog.at_level(logging.WARNING):
        found = find_files([folder], leave_out=tmp_path / "out")
    assert not any("merges" in file.name for file in found)
    assert "left out, a prepared corpus" in caplog.text


def test_a_file_that_is_named_may_be_a_link_or_hidden(folder, tmp_path):
    found = find_files([folder / "link.txt", folder / ".hidden.txt"], leave_out=tmp_path / "out")
    assert [file.name for file in found] == ["link.txt", ".hidden.txt"]


@pytest.mark.parametrize(
    ("names", "error", "text"),
    [
        ([], InputError, "name at least one file or folder to read"),
        (["nowhere"], DataError, "nowhere is neither a file nor a folder"),
        (["picture.png"], DataError, "cannot tell the format from the name; it must end in .txt, .md"),
        ([".git/../deep", "deep/c.fa"], InputError, "c.fa is among the sources 2 times; name each file once"),
        ([".empty"], DataError, "holds no file that ends in .txt"),
    ],
)
def test_what_cannot_be_read_is_told(folder, tmp_path, names, error, text):
    (folder / ".empty").mkdir()
    with pytest.raises(error, match=text):
        find_files([folder / name for name in names], leave_out=tmp_path / "out")
