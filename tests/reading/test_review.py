"""The review of a folder: files for each document, an index, and nothing done twice or lost."""

import json
import os

import pytest

from bigbird.documents.document_files import find_documents
from bigbird.errors import DataError
from bigbird.reading import review as module
from bigbird.reading.asking import AskConfig, AskedQuestion
from bigbird.reading.review import Review, review_documents
from html_pages import parsed
from small_documents import paragraph, write_docx
from small_readers import SearchReader

QUESTIONS = (AskedQuestion("End", 'Where is "May"?'), AskedQuestion("Law & order", "Which law?"))


@pytest.fixture
def contracts(tmp_path):
    folder = tmp_path / "contracts"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("It ends in May. Or not in May.")
    (folder / "empty.txt").touch()
    write_docx(folder / "sub" / "a b#1.docx", paragraph("It goes on."))
    return folder


def review(folder, *, reader=None, questions=QUESTIONS, model="m", report=lambda *_: None, **settings):
    asked = Review(questions=questions, config=AskConfig(**settings), model=model)
    reader = SearchReader() if reader is None else reader
    out = folder.parent / "out"
    documents, _ = find_documents(folder, leave_out=out)
    return review_documents(reader, documents, out, asked, root=folder, report=report), reader.asked


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_document_has_its_json_and_page_and_all_are_in_the_index(contracts):
    rows, _ = review(contracts)
    out = contracts.parent / "out"
    assert set(files(out)) == {
        "index.html", "a.txt.html", "a.txt.json", "sub/a b#1.docx.html", "sub/a b#1.docx.json",
    }  # fmt: skip
    record = json.loads((out / "a.txt.json").read_text())
    assert (record["model"], record["document"], record["num_pages"]) == ("m", "a.txt", None)
    assert record["settings"] == {"top_k": 3, "threshold": 0.5}
    for question in record["questions"]:
        for answer in question["answers"]:
            assert record["text"][answer["start"] : answer["end"]] == answer["text"]
            assert answer["text"] in answer["evidence"]["text"]
    assert [(row.name, row.error) for row in rows] == [
        ("a.txt", ""), ("empty.txt", "empty.txt is empty: it has 0 bytes"), ("sub/a b#1.docx", ""),
    ]  # fmt: skip
    page = parsed(out / "index.html")
    assert "a.txt ✓ 90 % – 97 %" in page.text
    assert "empty.txt is empty: it has 0 bytes" in page.text
    assert "Found in 1 0" in page.text
    assert "Review of 3 documents 2 questions; 1 could not be read." in page.text


def test_every_link_of_the_index_leads_to_a_place(contracts):
    review(contracts)
    out = contracts.parent / "out"
    links = parsed(out / "index.html").links
    assert len(links) == 6
    for link in links:
        file, _, place = link.partition("#")
        target = parsed(out / file.replace("%20", " ").replace("%23", "#"))
        assert not place or place in target.places
    assert parsed(out / "sub/a b#1.docx.html").links[0] == "../index.html"


def test_the_same_again_asks_nothing_and_changes_nothing(contracts):
    rows, asked = review(contracts)
    before = files(contracts.parent / "out")
    again, asked_again = review(contracts)
    assert (asked, asked_again) == (4, 0)
    assert again == rows
    assert files(contracts.parent / "out") == before


CHANGES = {
    "a question": ({"questions": QUESTIONS[:1]}, 2),
    "the model": ({"model": "n"}, 4),
    "a setting": ({"threshold": 0.6}, 4),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_questions_are_asked_anew(contracts, change):
    review(contracts)
    options, num_asked = CHANGES[change]
    assert review(contracts, **options)[1] == num_asked


def test_a_changed_document_and_one_that_can_be_read_now_are_asked_anew(contracts):
    review(contracts)
    (contracts / "a.txt").write_text("It ends in June.")
    (contracts / "empty.txt").write_text("No longer, in May.")
    rows, asked = review(contracts)
    assert asked == 4
    assert [bool(row.error) for row in rows] == [False] * 3
    assert [row.cells[0].is_found for row in rows] == [False, True, False]


def test_a_page_that_was_deleted_and_a_torn_json_are_made_again(contracts):
    review(contracts)
    out = contracts.parent / "out"
    before = files(out)
    (out / "a.txt.html").unlink()
    (out / "sub/a b#1.docx.json").write_bytes(before["sub/a b#1.docx.json"][:50])
    assert review(contracts)[1] == 4
    assert files(out) == before


@pytest.mark.parametrize("num_questions", range(4))
def test_a_killed_review_goes_on_where_it_was(contracts, num_questions):
    with pytest.raises(KeyboardInterrupt):
        review(contracts, reader=SearchReader(fail_after=num_questions))
    _, asked = review(contracts)
    assert asked == (4 if num_questions < 2 else 2)
    killed = files(contracts.parent / "out")
    for path in (contracts.parent / "out").rglob("*.*"):
        path.unlink()
    review(contracts)
    assert killed == files(contracts.parent / "out")


def test_a_question_that_cannot_be_asked_is_a_line_per_document(contracts):
    rows, _ = review(contracts, questions=(AskedQuestion("Long", "why " * 500),))
    assert [row.error for row in rows] == [
        "a.txt: the question is longer than the window of the model",
        "empty.txt is empty: it has 0 bytes",
        "sub/a b#1.docx: the question is longer than the window of the model",
    ]


def test_progress_tells_documents_and_their_questions(contracts):
    told = []
    review(contracts, report=lambda *report: told.append(report))
    review(contracts, report=lambda *report: told.append(report))
    first = [("a.txt", 0), ("a.txt", 1), ("a.txt", 1), ("empty.txt", 0)]
    assert told[:4] == first
    assert told[7:10] == [("a.txt", 0), ("a.txt", 2), ("empty.txt", 0)]


def test_a_name_that_no_disk_takes_with_an_ending_is_shortened(contracts):
    names = ["n" * 240 + ".txt", "n" * 240 + "m.txt"]
    for name in names:
        (contracts / name).write_text("in May")
    rows, _ = review(contracts)
    pages = [row.page for row in rows if row.name in names]
    assert len(set(pages)) == 2
    assert all((contracts.parent / "out" / page).is_file() for page in pages)


def test_a_name_that_is_no_unicode_is_reviewed(contracts):
    name = os.fsdecode(b"caf\xe9.txt")
    try:
        (contracts / name).write_text("in May")
    except OSError:
        pytest.skip("this disk takes names in Unicode only")
    rows, _ = review(contracts)
    assert "caf?.txt" in [row.name for row in rows]
    assert "caf%E9.txt.html" in parsed(contracts.parent / "out/index.html").links


def test_a_document_without_the_right_to_read_is_a_row(contracts, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.hashlib, "file_digest", refuse)
    rows, _ = review(contracts)
    assert rows[0].error == "cannot read a.txt: Permission denied"


def test_what_the_disk_refuses_is_no_fault_of_a_document(contracts, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "document_page", refuse)
    with pytest.raises(OSError, match="No space left"):
        review(contracts)


def test_an_error_of_a_document_is_kept_apart_from_ours(contracts, monkeypatch):
    def fault(*_, **__):
        raise DataError("a fault")

    monkeypatch.setattr(module, "read_document", fault)
    assert [row.error for row in review(contracts)[0]] == [
        "a.txt: a fault", "empty.txt: a fault", "sub/a b#1.docx: a fault",
    ]  # fmt: skip
