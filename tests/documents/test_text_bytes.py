"""Bytes to text: encodings, guesses said aloud, and what is no text."""

import codecs
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigbird.documents.text_bytes import decoded
from bigbird.errors import DataError

LETTERS = "Grüße, “Ωmega” 😀 שלום\r\nline\n"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_what_a_mark_says_is_read_letter_for_letter_and_without_a_word(mark, encoding):
    assert decoded(mark + LETTERS.encode(encoding), "x.txt") == (LETTERS, ())


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_utf8_text_comes_out_as_it_went_in(text):
    assert decoded(b"A " + text.encode(), "x.txt").text == "A " + text


def test_western_letters_that_are_no_utf8_are_read_and_told():
    text, remarks = decoded("Résumé – 5 €".encode("cp1252"), "x.txt")
    assert text == "Résumé – 5 €"
    assert remarks == ("x.txt is not UTF-8; it was read as Windows-1252 (Western European)",)
    assert decoded("Résumé".encode("latin-1"), "x.txt").text == "Résumé"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_known_by_its_zeros_and_told(encoding):
    text, remarks = decoded("When does it end?\n".encode(encoding), "x.txt")
    assert text == "When does it end?\n"
    assert remarks == (f"x.txt has no byte-order mark; it was read as {encoding.upper()}",)


def test_a_stray_control_character_makes_no_binary_file():
    assert decoded(b"It ends\x01 in May.\x1a", "x.txt") == ("It ends\x01 in May.\x1a", ())


def test_a_declared_encoding_is_believed_where_it_fits():
    assert decoded("Договор".encode("koi8-r"), "x.html", declared="koi8-r") == ("Договор", ())
    text, remarks = decoded("Ä".encode("cp1252"), "x.html", declared="no-such")
    assert text == "Ä"
    assert remarks == ("x.html is not UTF-8, nor no-such as it says; it was read as Windows-1252 (Western European)",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"%PDF-1.4\n%abc", r"x.txt is a PDF by its contents, not text\. Give the file the ending it should have\."),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", r"x.txt is a PNG picture by its contents"),
        (b"PK\x03\x04rest", r"x.txt is a zip archive \(\.docx is one\) by its contents"),
        (b"\x1f\x8b\x08rest", r"x.txt is gzip data by its contents"),
        (random.Random(1).randbytes(300), r"x.txt is a binary file, not text\. Give a \.txt, \.md, "),
        (random.Random(2).randbytes(300).replace(b"\0", b"\1"), r"x.txt is a binary file, not text"),
        (b"\1\2\3\4 all of it is ASCII", r"x.txt is a binary file, not text"),
        (b"text\0text\0text", r"x.txt is a binary file, not text"),
        (codecs.BOM_UTF16_LE + b"abc", r"x.txt begins with the mark of UTF-16 and is damaged at byte 3\. Save it as"),
        ("Договор ЁЃ".encode("cp1251"), r"an encoding that cannot be told: byte 10 is neither UTF-8 nor Windows-1252"),
    ],
)
def test_what_is_no_text_is_refused_in_one_line(data, message):
    with pytest.raises(DataError, match=message) as told:
        decoded(data, "x.txt")
    assert "\n" not in str(told.value)
