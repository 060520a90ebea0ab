"""Documents by their endings, and files that are none."""

import os

import pytest

from bigbird.documents import document_files as module
from bigbird.documents.document_files import ENDINGS, find_documents, read_document
from bigbird.documents.document_text import DocumentText
from bigbird.errors import DataError
from small_documents import paragraph, write_docx, write_pdf


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_ending_is_read(folder):
    for name in ("a.txt", "b.MD", "c.text", "d.markdown"):
        (folder / name).write_bytes("# It *ends*\r\nin May – 😀".encode())
        assert read_document(folder / name, source=name) == DocumentText(source=name, text="# It *ends*\r\nin May – 😀")
    for name in ("a.html", "b.htm", "c.XHTML"):
        (folder / name).write_text("<p>It <b>ends</b>")
        assert read_document(folder / name).text == "It ends"
    assert read_document(write_docx(folder / "a.docx", paragraph("It ends"))).text == "It ends\n"


def test_a_pdf_is_read(folder):
    pytest.importorskip("pypdf", reason="pypdf is not installed: pip install 'bigbird[documents]'")
    assert read_document(write_pdf(folder / "a.PDF", "It ends")).text == "It ends"


def test_form_feeds_begin_pages(folder):
    (folder / "a.txt").write_text("one\n\ftwo\n\fthree\n\f")
    document = read_document(folder / "a.txt")
    assert document.page_starts == (0, 5, 10)
    assert [document.page(place) for place in (0, 4, 5, 9, 10)] == [1, 1, 2, 2, 3]


def test_half_characters_and_nothing_else_are_replaced_one_for_one():
    from bigbird.documents.document_text import document_text

    document = document_text("x", "a\ud800b\0c😀")
    assert document.text == "a\ufffdb\ufffdc😀"
    assert document.remarks == ("x: characters that are none were read as \ufffd",)


MISTAKES = {
    "nowhere.txt": r"^there is no file nowhere.txt$",
    "folder.txt": r"^folder.txt is a folder, and a document is wanted\. Name a file in it\.$",
    "empty.txt": r"^empty.txt is empty: it has 0 bytes$",
    "empty.pdf": r"^empty.pdf is empty: it has 0 bytes$",
    "old.doc": r"^old.doc is an old Word document\. Save it as .docx\.$",
    "sheet.xlsx": r"^sheet.xlsx is no document by its ending '.xlsx'\. A document ends in .txt, .md, .html, .docx or",
    "README": r"^README is no document by its ending ''\.",
    "picture.txt": r"^picture.txt is a PNG picture by its contents",
    "blanks.txt": r"^blanks.txt holds no text, only blanks\. Give a document with words in it\.$",
    "large.txt": r"^large.txt has 101 bytes; a document has at most 100\. Cut it in parts\.$",
    "secret.txt": r"^cannot read secret.txt: Permission denied$",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_bad_file_is_told_in_one_line(folder, monkeypatch, name):
    (folder / "folder.txt").mkdir()
    for empty in ("empty.txt", "empty.pdf"):
        (folder / empty).touch()
    for other in ("old.doc", "sheet.xlsx", "README", "secret.txt"):
        (folder / other).write_text("text")
    (folder / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (folder / "blanks.txt").write_text(" \n\t \u00a0\ufeff\r\n")
    (folder / "large.txt").write_text("a" * 101)
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    read_bytes = type(folder).read_bytes

    def refuse(path):
        if path.name == "secret.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(type(folder), "read_bytes", refuse)
    with pytest.raises(DataError, match=MISTAKES[name]):
        read_document(type(folder)(name))


def test_documents_of_a_folder_are_found_in_order_and_results_are_not(folder):
    for name in (
        "b.txt",
        "a/z.PDF",
        "a/.hidden.txt",
        "~$open.docx",
        ".git/x.txt",
        "out/b.txt.html",
        "c.xlsx",
        "a/b.md",
    ):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    documents, others = find_documents(folder, leave_out=folder / "a" / ".." / "out")
    assert [path.relative_to(folder).as_posix() for path in documents] == ["a/b.md", "a/z.PDF", "b.txt"]
    assert [path.name for path in others] == ["c.xlsx"]


def test_a_folder_that_cannot_be_listed_is_no_empty_folder(folder, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        find_documents(folder, leave_out=folder / "out")


def test_endings_are_those_the_error_names():
    assert {".txt", ".md", ".html", ".docx", ".pdf"} <= set(ENDINGS)
