"""`bigbird ask` as people use it, with a reader that needs no model."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird.errors import CheckpointError
from html_pages import parsed
from small_documents import paragraph, write_docx, write_pdf
from small_readers import SearchReader

MODEL = ("--model", "reader")
TERM = "The fee is 5 % (net). This Agreement ends on 1 May 2027, unless renewed.\n\fSee 1 May 2027."


@pytest.fixture(autouse=True)
def reader(monkeypatch):
    """The reader that every command opens."""
    reader = SearchReader()

    def opened(model):
        if model != "reader":
            raise CheckpointError(f"there is no model {model}")
        return reader

    monkeypatch.setattr("bigbird.cli.asking.opened_reader", opened)
    return reader


@pytest.fixture
def files(tmp_path):
    (tmp_path / "term.txt").write_text(TERM)
    (tmp_path / "two.yaml").write_text('End: Where is "1 May 2027"?\nLaw: Which law?\n')
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "a.txt").write_text(TERM)
    (folder / "b.txt").touch()
    write_docx(folder / "c.docx", paragraph("No end."))
    (folder / "d.xlsx").touch()
    return tmp_path


def test_one_question_prints_its_answers_with_page_and_evidence(bigbird, files):  # noqa: ARG001
    assert bigbird("ask", "term.txt", 'Where is "1 may 2027"?', *MODEL) == (
        0,
        "   90 %  page 1  1 May 2027\n"
        "         This Agreement ends on >>1 May 2027<<, unless renewed.\n"
        "    9 %  page 2  1 May 2027\n"
        "         See >>1 May 2027<<.\n"
        "  no answer: 1 %\n",
        "",
    )


def test_several_questions_are_told_by_name_and_no_answer_is_said(bigbird, files):  # noqa: ARG001
    code, out, _ = bigbird(
        "ask", "term.txt", "Who?", "--question", 'Where is "fee"?', "--questions", "two.yaml", "--top-k", "1", *MODEL
    )
    assert code == 0
    assert re.findall(r"^\S.*", out, re.MULTILINE) == ["Who?", 'Where is "fee"?', "End", "Law"]
    assert out.startswith("Who?\n  no answer found (97 %)\nWhere is")
    assert out.count("1 May 2027\n") == 1


def test_the_threshold_decides_what_counts_as_found(bigbird, files):  # noqa: ARG001
    question = ("ask", "term.txt", 'Where is "fee"?', *MODEL)
    assert "fee" in bigbird(*question)[1]
    assert bigbird(*question, "--threshold", "0.05")[1] == "  no answer found (10 %)\n"


def test_json_holds_every_answer_with_its_place(bigbird, files):  # noqa: ARG001
    code, out, said = bigbird("ask", "term.txt", "--questions", "two.yaml", "--json", *MODEL)
    found = json.loads(out)
    assert (code, said) == (0, "")
    assert (found["document"], found["model"]) == ("term.txt", "reader")
    assert [(one["name"], one["is_found"]) for one in found["questions"]] == [("End", True), ("Law", False)]
    answer = found["questions"][0]["answers"][0]
    assert TERM[answer["start"] : answer["end"]] == answer["text"] == "1 May 2027"


def test_what_is_guessed_of_a_document_is_said(bigbird, files):
    (files / "old.txt").write_bytes("Gebühr".encode("latin-1"))
    code, out, said = bigbird("ask", "old.txt", 'Where is "gebühr"?', *MODEL)
    assert code == 0
    assert "Gebühr" in out
    assert said == "bigbird: old.txt is not UTF-8; it was read as Windows-1252 (Western European)\n"


def test_nothing_in_a_document_steers_the_terminal(bigbird, files):
    (files / "evil.txt").write_text("It \x1b[2J\x1b]0;x\x07 ends [bold]in[/bold] \u202eMay\x9b1m " + "and on " * 200)
    code, out, _ = bigbird("ask", "evil.txt", 'Where is "ends [bold]in"?', *MODEL)
    assert code == 0
    assert ">>ends [bold]in<<[/bold]" in out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
    assert max(len(line) for line in out.splitlines()) < 700


def test_on_a_terminal_the_answer_is_marked_by_colour(files, monkeypatch, capsys):
    from rich.console import Console

    from bigbird.cli import answers_shown
    from bigbird.documents.document_files import read_document
    from bigbird.reading.asking import AskConfig, AskedQuestion, put_questions

    def console(**options):
        return Console(force_terminal=True, color_system="standard", width=200, **options)

    monkeypatch.setattr(answers_shown, "Console", console)
    document = read_document(files / "term.txt")
    answered = put_questions(SearchReader(), document, [AskedQuestion("Fee", 'Where is "fee"?')], AskConfig())
    answers_shown.show_answers(answered, document, with_names=True)
    out = capsys.readouterr().out
    assert "\x1b[30;43mfee\x1b[0m" in out
    assert ">>" not in out


def test_a_pdf_is_asked(bigbird, files):
    pytest.importorskip("pypdf", reason="pypdf is not installed: pip install 'bigbird[documents]'")
    write_pdf(files / "a.pdf", "One", "It ends in May.")
    assert "90 %  page 2  May" in bigbird("ask", "a.pdf", 'Where is "may"?', *MODEL)[1]


def test_a_folder_is_reviewed_and_reviewed_again_without_work(bigbird, files, reader):
    command = ("ask", "--questions", "two.yaml", "contracts", "--out", "found", *MODEL)
    code, out, said = bigbird(*command)
    assert (code, out) == (1, "")
    assert said.splitlines() == [
        "bigbird: left out, being no documents by their endings: 1 (such as d.xlsx)",
        "1 of 3: a.txt",
        "2 of 3: b.txt",
        "3 of 3: c.docx",
        "bigbird: b.txt is empty: it has 0 bytes",
        "2 of 3 documents reviewed; open found/index.html",
    ]
    assert reader.asked == 4
    assert "a.txt ✓ 90 % – 97 %" in parsed(files / "found/index.html").text
    assert [mark for mark, _ in parsed(files / "found/a.txt.html").marks] == ["1 May 2027", "1 May 2027"]
    (files / "contracts/b.txt").write_text("Something.")
    code, _, said = bigbird(*command)
    assert (code, reader.asked) == (0, 6)
    assert said.splitlines()[-1] == "3 documents reviewed; open found/index.html"


def test_a_review_has_a_place_of_its_own_and_may_be_of_one_document(bigbird, files):
    assert bigbird("ask", "contracts", "Who?", *MODEL)[2].endswith("reviewed; open review/index.html\n")
    code, _, said = bigbird("ask", "term.txt", "Who?", "--out", "one", *MODEL)
    assert (code, said.splitlines()[-1]) == (0, "1 document reviewed; open one/index.html")
    assert (files / "one/term.txt.json").exists()


def test_a_review_inside_the_folder_it_reads_does_not_read_itself(bigbird, files, reader):
    command = ("ask", "contracts", "Who?", "--out", "contracts/found", *MODEL)
    bigbird(*command)
    bigbird(*command)
    assert reader.asked == 2
    assert len(list((files / "contracts/found").glob("*.html"))) == 3


def batch(files, *lines):
    (files / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


LINES = [
    {"name": "a", "question": 'Where is "fee"?', "file": "term.txt"},
    {"name": "b", "question": "Who?", "file": "nowhere.txt"},
    {"name": "c", "question": 'Where is "May"?', "text": "In May."},
]


def test_a_batch_is_answered_line_by_line_and_goes_on(bigbird, files, monkeypatch, reader):
    command = ("ask", "in.jsonl", "--out", "out.jsonl", *MODEL)
    batch(files, *LINES)
    reader.fail_after = 1
    assert bigbird(*command)[0] == 130
    assert len((files / "out.jsonl").read_text().splitlines()) == 2
    reader.fail_after = None
    code, out, said = bigbird(*command)
    assert (code, out) == (1, "")
    assert (
        said == "3 lines are in out.jsonl, 2 of them from before; 1 could not be answered, "
        "their lines tell why; only another --out tries them again\n"
    )
    rows = [json.loads(line) for line in (files / "out.jsonl").read_text().splitlines()]
    assert [(row["name"], row.get("is_found"), row.get("error")) for row in rows] == [
        ("a", True, None), ("b", None, "there is no file nowhere.txt"), ("c", True, None),
    ]  # fmt: skip
    before = (files / "out.jsonl").read_bytes()
    monkeypatch.setattr("bigbird.cli.asking.opened_reader", None)  # the same again needs no reader
    assert "3 of them from before" in bigbird(*command)[2]
    assert (files / "out.jsonl").read_bytes() == before


def test_a_batch_without_faults_ends_with_0(bigbird, files):
    batch(files, LINES[0], LINES[2])
    assert bigbird("ask", "in.jsonl", "--out", "out.jsonl", *MODEL) == (0, "", "2 lines are in out.jsonl\n")


def test_batches_that_go_on_with_something_else_are_refused(bigbird, files):
    command = ("ask", "in.jsonl", "--out", "out.jsonl", *MODEL)
    batch(files, *LINES)
    bigbird(*command)
    code, _, said = bigbird(*command, "--top-k", "1")
    assert (code, "was begun with top_k 3, now it is 1" in said) == (2, True)
    batch(files, *LINES[::-1])
    code, _, said = bigbird(*command)
    assert (code, "out.jsonl:1 belongs to 'a', where 'c' stands now." in said) == (2, True)


MISTAKES = {
    "no question": (
        ["term.txt"],
        r"there is no question: write it behind the document, or give --questions with a file",
    ),
    "an empty question": (["term.txt", " "], r'a question is empty; ask something, such as "When does it end\?"'),
    "one question twice": (["term.txt", "Who?", "--question", "Who?"], r"what is asked has two questions of the name"),
    "a missing document": (["no.txt", "Who?"], r"there is no file or folder no.txt"),
    "an empty document": (["contracts/b.txt", "Who?"], r"contracts/b.txt is empty: it has 0 bytes"),
    "a spreadsheet": (["contracts/d.xlsx", "Who?"], r"contracts/d.xlsx is no document by its ending '.xlsx'"),
    "a picture": (["picture.txt", "Who?"], r"picture.txt is a PNG picture by its contents"),
    "a missing file of questions": (["term.txt", "--questions", "no.yaml"], r"cannot read no.yaml: No such file"),
    "no number of answers": (["term.txt", "Who?", "--top-k", "0"], r"top_k must be at least 1, got 0"),
    "no threshold": (["term.txt", "Who?", "--threshold", "0"], r"threshold is the probability from which no answer c"),
    "no model": (["term.txt", "Who?", "--model", "nobody"], r"there is no model nobody"),
    "a long question": (["term.txt", "why " * 300], r"the question is longer than the window of the model"),
    "JSON of a folder": (
        ["contracts", "Who?", "--json"],
        r"--json prints the answers of one document; a review writes",
    ),
    "a folder without documents": (["nothing", "Who?"], r"nothing holds no document; a document ends in .txt, .md, "),
    "a review over what it reads": (["contracts", "Who?", "--out", "contracts"], r"--out contracts is the folder that"),
    "a review into a file": (["contracts", "Who?", "--out", "two.yaml"], r"--out two.yaml is a file; name a folder"),
    "a batch with questions": (["in.jsonl", "Who?", "--out", "x.jsonl"], r"in.jsonl brings its own questions, and ans"),
    "a batch to nowhere": (["in.jsonl"], r"in.jsonl is answered into a file: give --out ANSWERS.jsonl"),
    "a batch over itself": (["in.jsonl", "--out", "in.jsonl"], r"--out in.jsonl is what is read; name another file"),
    "an empty batch": (["empty.jsonl", "--out", "x.jsonl"], r"empty.jsonl holds no lines; write \{\"name\": …, "),
    "a missing batch": (["no.jsonl", "--out", "x.jsonl"], r"cannot read no.jsonl: No such file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2_and_writes_nothing(bigbird, files, mistake):
    (files / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (files / "nothing").mkdir()
    (files / "empty.jsonl").write_text("\n")
    batch(files, *LINES)
    before = set(files.rglob("*"))
    arguments, message = MISTAKES[mistake]
    code, out, said = bigbird("ask", *MODEL, *arguments)
    assert code == 2, said
    assert re.search(f"^bigbird: {message}", said.splitlines()[-1]), said
    assert "Traceback" not in out + said
    assert set(files.rglob("*")) == before


def test_without_a_model_the_one_that_comes_with_bigbird_answers(bigbird, files):  # noqa: ARG001
    command = ("ask", "term.txt", 'Where is "1 May 2027"?')
    assert bigbird(*command) == bigbird(*command, *MODEL)


def test_a_killed_batch_has_whole_lines_but_the_last(files):
    # As a person would: start the program, kill it, start it again.
    batch(files, *({"name": str(number), "question": '"May"', "text": "In May."} for number in range(200)))
    tests = Path(__file__).parents[1]
    program = (
        f"import sys, time; sys.path.insert(0, {str(tests)!r})\n"
        "from small_readers import SearchReader\n"
        "class Slow(SearchReader):\n"
        "    def ask_all(self, *arguments, **options):\n"
        "        time.sleep(0.005)\n"
        "        return super().ask_all(*arguments, **options)\n"
        "import bigbird.cli.asking as asking\n"
        "asking.opened_reader = lambda model: Slow()\n"
        "sys.argv = ['bigbird', 'ask', 'in.jsonl', '--out', 'out.jsonl', '--model', 'm']\n"
        "from bigbird.cli import main; main()"
    )
    command = [sys.executable, "-c", program]
    out = files / "out.jsonl"
    running = subprocess.Popen(command, cwd=files, stderr=subprocess.DEVNULL)
    while running.poll() is None and (not out.exists() or out.stat().st_size < 1_000):
        pass
    running.kill()
    running.wait()
    num_killed = len(out.read_text().splitlines())
    with out.open("a") as file:
        file.write('{"name": "torn')
    done = subprocess.run(command, cwd=files, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < num_killed < 200
    assert f"200 lines are in out.jsonl, {num_killed} of them from before" in done.stderr
    assert [json.loads(line)["name"] for line in out.read_text().splitlines()] == [str(number) for number in range(200)]
