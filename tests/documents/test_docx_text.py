"""Word documents."""

import random
import zipfile

import pytest

from bigbird.documents import docx_text as module
from bigbird.documents.docx_text import docx_text
from bigbird.errors import DataError
from small_documents import LAID_OUT, PAGE_BREAK, paragraph, write_docx


def read(path):
    return docx_text(path, "x.docx")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.docx"


def test_paragraphs_tables_and_notes_are_read_in_order(path):
    body = (
        paragraph("Größe &amp; “Recht” 😀 ")
        + "<w:p><w:pPr><w:tabs><w:tab w:val='left' w:pos='720'/></w:tabs></w:pPr>"
        + "<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>"
        + f"<w:tbl><w:tr><w:tc>{paragraph('Fee')}</w:tc><w:tc>{paragraph('5 %')}</w:tc></w:tr></w:tbl>"
    )
    write_docx(path, body, footnotes=paragraph("A note."), endnotes=paragraph("The end."))
    document = read(path)
    assert document.text == "Größe & “Recht” 😀 \na\tb\nc\nFee\n\t5 %\n\tA note.\nThe end.\n"
    assert document.page_starts == ()
    assert document.page(0) is None


def test_what_is_struck_out_moved_away_or_said_twice_is_left_out(path):
    run = "<w:r><w:t>{}</w:t></w:r>"
    body = (
        f"<w:p><w:del><w:r><w:delText>old</w:delText></w:r>{run.format('older')}</w:del>{run.format('new')}</w:p>"
        f"<w:p><w:moveFrom>{run.format('moved')}</w:moveFrom>"
        f'<x:Fallback xmlns:x="http://schemas.openxmlformats.org/markup-compatibility/2006">{run.format("again")}'
        f"</x:Fallback><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
    )
    assert read(write_docx(path, body)).text == "new\n\n"


def test_pages_are_as_word_last_laid_them_out(path):
    body = paragraph("one") + f"<w:p>{PAGE_BREAK}{LAID_OUT}<w:r><w:t>two</w:t></w:r></w:p>" + paragraph("still two")
    document = read(write_docx(path, body))
    assert [document.page(document.text.index(word)) for word in ("one", "two", "still")] == [1, 2, 2]


def test_without_a_layout_page_breaks_count(path):
    body = paragraph("one") + f"<w:p>{PAGE_BREAK}<w:r><w:t>two</w:t></w:r></w:p>"
    document = read(write_docx(path, body))
    assert [document.page(document.text.index(word)) for word in ("one", "two")] == [1, 2]


def test_the_main_part_may_have_another_name(path):
    assert read(write_docx(path, paragraph("here"), main="word/document2.xml")).text == "here\n"


def test_the_prefix_of_a_name_does_not_matter(path):
    write_docx(path, "<x:p xmlns:x='http://purl.oclc.org/ooxml/wordprocessingml/main'><x:t>a</x:t><x:tab/></x:p>")
    assert read(path).text == "a\t\n"


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("word/document.xml", "w") as part:
        part.write(b"<w>" + b" " * 3_000_000)


def entities(path):
    head = '<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    write_docx(path, paragraph("&b;"), head=head)


def cut(path):
    write_docx(path, paragraph("some words " * 500))
    path.write_bytes(path.read_bytes()[:-200])


def flipped(path):
    write_docx(path, paragraph(random.Random(0).randbytes(2_000).hex()))
    data = bytearray(path.read_bytes())
    data[1_000] ^= 0xFF
    path.write_bytes(data)


def no_word(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")


MISTAKES = {
    "noise": (
        lambda path: path.write_bytes(random.Random(0).randbytes(500)),
        r"x.docx is no .docx, or a damaged one \(",
    ),
    "cut off": (cut, r"x.docx is no .docx, or a damaged one \(.*\)\. Copy or save it again\."),
    "a byte flipped": (flipped, r"x.docx is no .docx, or a damaged one \("),
    "broken XML": (lambda path: write_docx(path, "<w:p><w:t>"), r"x.docx is damaged: its XML ends or breaks at "),
    "entities": (entities, r"x.docx is damaged: its XML ends or breaks at a document type, which no .docx has"),
    "a bomb": (
        bomb,
        r"x.docx unpacks to more than 2 MiB of XML, which no document needs\. It is damaged or made to do",
    ),
    "a spreadsheet": (no_word, r"x.docx is no Word document: it has no word/document.xml\. Save it as .docx\."),
    "a password": (
        lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)),
        r"x.docx is protected by a password, or an old .doc\. Save it as a .docx without one\.",
    ),
    "blanks": (lambda path: write_docx(path, paragraph(" ")), r"x.docx holds no text, only blanks\."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_bad_file_is_told_in_one_line(path, monkeypatch, mistake):
    make, message = MISTAKES[mistake]
    monkeypatch.setattr(module, "MAX_XML_BYTES", 2 * 2**20)
    make(path)
    with pytest.raises(DataError, match=message) as told:
        read(path)
    assert "\n" not in str(told.value)
