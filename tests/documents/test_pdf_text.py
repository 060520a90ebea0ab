"""PDF files."""

import logging
import random
import sys

import pytest

from bigbird.documents.pdf_text import pdf_text
from bigbird.errors import DataError, MissingDependency
from small_documents import write_pdf


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.pdf"


@pytest.fixture
def pypdf():
    return pytest.importorskip("pypdf", reason="pypdf is not installed: pip install 'bigbird[documents]'")


def read(path):
    return pdf_text(path, "x.pdf")


def protected(pypdf, path, **how):
    writer = pypdf.PdfWriter(clone_from=write_pdf(path, "It ends in May."))
    writer.encrypt(**how)
    writer.write(path)
    return path


@pytest.mark.usefixtures("pypdf")
def test_text_and_pages_are_read(path):
    document = read(write_pdf(path, "The term\nends in May.", "Fee: 5 %, “net”.", "Last"))
    assert document.text == "The term\nends in May.\nFee: 5 %, “net”.\nLast"
    assert [document.page(document.text.index(word)) for word in ("term", "May", "Fee", "net", "Last")] == [
        1,
        1,
        2,
        2,
        3,
    ]
    assert document.remarks == ()


@pytest.mark.usefixtures("pypdf")
def test_pages_without_text_are_told(path):
    document = read(write_pdf(path, "one", "", "three", ""))
    assert document.page(document.text.index("three")) == 3
    assert document.remarks == ("x.pdf: pages 2, 4 held no text",)


def test_a_page_that_cannot_be_read_loses_no_other(pypdf, path, monkeypatch):
    read_page = pypdf.PageObject.extract_text

    def some(page):
        if "two" in read_page(page):
            raise KeyError("/Font")
        return read_page(page)

    monkeypatch.setattr(pypdf.PageObject, "extract_text", some)
    document = read(write_pdf(path, "one", "two", "three"))
    assert document.text == "one\n\nthree"
    assert document.remarks == ("x.pdf: page 2 could not be read",)
    with pytest.raises(DataError, match=r"x.pdf is a damaged PDF, no page of it can be read: KeyError: '/Font'\. Copy"):
        read(write_pdf(path, "two"))


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_a_pdf_that_opens_without_a_password_is_read(pypdf, path, algorithm):
    if algorithm != "RC4-128":
        pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'bigbird[documents]'")
    protected(pypdf, path, user_password="", owner_password="secret", algorithm=algorithm)  # noqa: S106
    assert read(path).text == "It ends in May."


def test_a_password_is_told(pypdf, path):
    protected(pypdf, path, user_password="secret", algorithm="RC4-128")  # noqa: S106
    with pytest.raises(DataError, match=r"^x.pdf is protected by a password\. Save a copy without one\.$"):
        read(path)


def test_a_cipher_that_is_not_installed_is_told(pypdf, path, monkeypatch):
    write_pdf(path, "text")

    def refuse(_):
        raise pypdf.errors.DependencyError("cryptography>=3.1 is required for AES algorithm")

    monkeypatch.setattr(pypdf, "PdfReader", refuse)
    with pytest.raises(
        MissingDependency, match=r"x.pdf, which is encrypted, needs cryptography.*bigbird\[documents\]'"
    ):
        read(path)


def test_without_pypdf_the_error_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(
        MissingDependency,
        match=r"reading x.pdf needs pypdf, which is not installed\. Run: pip install 'bigbird\[documents\]'",
    ):
        read(write_pdf(path, "text"))


def without_pages(path):
    write_pdf(path)


MISTAKES = {
    "noise": (
        lambda path: path.write_bytes(random.Random(0).randbytes(2_000)),
        r"x.pdf is no PDF, or a damaged one \(",
    ),
    "a page of HTML": (
        lambda path: path.write_text("<p>Sign in"),
        r"x.pdf is no PDF, or a damaged one \(.*\)\. Copy or",
    ),
    "the beginning alone": (lambda path: path.write_bytes(b"%PDF-1.4\n"), r"x.pdf is no PDF, or a damaged one"),
    "a scan": (
        lambda path: write_pdf(path, "", ""),
        r"^x.pdf holds no text: its pages are pictures, such as a scan\. Let a program for text recognition",
    ),
    "no pages": (without_pages, r"x.pdf is a damaged PDF, no page of it can be read\. Copy or save it again\."),
}


@pytest.mark.usefixtures("pypdf")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_bad_file_is_told_in_one_line(path, mistake):
    make, message = MISTAKES[mistake]
    make(path)
    with pytest.raises(DataError, match=message) as told:
        read(path)
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("pypdf")
@pytest.mark.parametrize("seed", range(12))
def test_damage_anywhere_is_read_through_or_told_and_never_chatted_about(path, seed, caplog):
    write_pdf(path, "one and more words", "two")
    rng, data = random.Random(seed), bytearray(path.read_bytes())
    for _ in range(20):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(data[: rng.randrange(len(data))] if seed % 2 else data)
    with caplog.at_level(logging.WARNING):
        try:
            outcome = "x.pdf " + read(path).text
        except DataError as error:
            outcome = str(error)
    assert outcome.startswith("x.pdf ")
    assert caplog.records == []
