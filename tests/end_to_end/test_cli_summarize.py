"""`bigbird summarize` as people use it, with methods that need no model and with a tiny one."""

import json
import re

import pytest

import reader_models as readers
from bigbird.checkpoint import save_model
from helpers import YES_NO, loaded_model
from small_documents import paragraph, write_docx
from small_summarizers import one_word_summarizer

TEXT = "The fee is due. It rises in May. Nobody pays.\n\fRed red red red red. So be it."
LEAD = ("--model", "lead", "--length", "short")
SAID = (
    "bigbird: lead chooses sentences of the document itself; --model FOLDER takes a model that has learned to write "
    "summaries\n"
)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    folder = tmp_path / "docs"
    (folder / "in").mkdir(parents=True)
    (folder / "in/a.txt").write_text(TEXT)
    (folder / "b.txt").touch()
    write_docx(folder / "c.docx", paragraph("No end."))
    (folder / "d.xlsx").touch()
    return tmp_path


@pytest.fixture
def model(tmp_path_factory):
    """A model folder; it writes "red red red red", and is cut there."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = readers.text_tokenizers(folder)["bert"]
    save_model(folder / "mine", one_word_summarizer(tokenizer, "red"))
    return ("--model", folder / "mine", "--length", "short")


def test_each_sentence_is_followed_by_its_place(bigbird, files):  # noqa: ARG001
    assert bigbird("summarize", "a.txt", *LEAD) == (
        0,
        "  The fee is due.\n"
        "      page 1, characters 0 to 15\n"
        "  It rises in May.\n"
        "      page 1, characters 16 to 32\n"
        "  Nobody pays.\n"
        "      page 1, characters 33 to 45\n",
        SAID,
    )


def test_without_a_model_central_sentences_are_chosen(bigbird, files):  # noqa: ARG001
    pytest.importorskip("sklearn")
    code, out, said = bigbird("summarize", "a.txt")
    assert (code, out.count("characters")) == (0, 5)
    assert said.startswith("bigbird: lexrank chooses sentences of the document itself; --model FOLDER")


def test_a_written_sentence_shows_what_says_so_and_that_it_was_cut(bigbird, files, model):  # noqa: ARG001
    assert bigbird("summarize", "a.txt", *model) == (
        0,
        "  red red red red\n      page 2, characters 47 to 67, 100%: Red red red red red.\n",
        "bigbird: a.txt: its summary has all the tokens that its length allows; its end may be missing\n",
    )


def test_a_sentence_that_nothing_says_is_told(bigbird, files, model):
    (files / "b.txt").write_text("So be it.")
    assert "no sentence of the document says so in its words" in bigbird("summarize", "b.txt", *model)[1]
    out = bigbird("summarize", "b.txt", *model, "--support", "attention")[1]
    assert re.search(r"characters 0 to 9, \d+%: So be it\.", out)


def test_a_long_document_says_what_was_left_out(bigbird, files, model):
    (files / "long.txt").write_text("Red one so blue two. " * 30)
    assert re.search(
        r"bigbird: long.txt: 1\d\d tokens at its end were left out, the model read \d\d\n",
        bigbird("summarize", "long.txt", *model)[2],
    )


def test_json_has_the_same_with_every_place(bigbird, files):  # noqa: ARG001
    code, out, _ = bigbird("summarize", "a.txt", *LEAD, "--json")
    found = json.loads(out)
    assert code == 0
    assert {key: found[key] for key in ("document", "model", "length", "summary")} == {
        "document": "a.txt",
        "model": "lead",
        "length": "short",
        "summary": "The fee is due.\nIt rises in May.\nNobody pays.",
    }
    assert found["sentences"][0]["sources"] == [
        {"start": 0, "end": 15, "weight": 1.0, "page": 1, "text": "The fee is due."}
    ]


def test_out_writes_what_would_be_printed(bigbird, files):
    printed = bigbird("summarize", "a.txt", *LEAD)[1]
    code, out, said = bigbird("summarize", "a.txt", *LEAD, "--out", "new/s.txt")
    assert (code, out, said) == (0, "", SAID + "the summary is in new/s.txt\n")
    assert (files / "new/s.txt").read_text() == printed
    bigbird("summarize", "a.txt", *LEAD, "--json", "--out", "s.json")
    assert json.loads((files / "s.json").read_text())["document"] == "a.txt"


def test_several_are_printed_under_their_names_and_a_bad_one_loses_no_other(bigbird, files):  # noqa: ARG001
    code, out, said = bigbird("summarize", "a.txt", "docs", *LEAD)
    assert code == 1
    assert re.findall(r"^\S.*", out, re.MULTILINE) == ["a.txt", "docs/c.docx", "docs/in/a.txt"]
    assert said.splitlines() == [
        "bigbird: left out, being no documents by their endings: 1 (such as d.xlsx)",
        SAID.rstrip("\n"),
        "bigbird: docs/b.txt is empty: it has 0 bytes",
    ]
    rows = json.loads(bigbird("summarize", "a.txt", "docs", *LEAD, "--json")[1])
    assert [(row["document"], "error" in row) for row in rows] == [
        ("a.txt", False),
        ("docs/b.txt", True),
        ("docs/c.docx", False),
        ("docs/in/a.txt", False),
    ]


@pytest.mark.parametrize(("options", "ending"), [((), ".txt"), (("--json",), ".json")])
def test_several_into_a_folder_have_a_file_each(bigbird, files, options, ending):
    command = ("summarize", "docs", *LEAD, *options, "--out", "docs/found")
    for _ in range(2):  # what is in the folder of the results is not read
        code, out, said = bigbird(*command)
        assert (code, out) == (1, "")
        assert said.endswith("the summaries of 2 of 3 documents are in docs/found\n")
    written = sorted(str(path.relative_to(files)) for path in (files / "docs/found").rglob("*.*"))
    assert written == [f"docs/found/c.docx{ending}", f"docs/found/in/a.txt{ending}"]


LINES = [
    {"name": "a", "document": TEXT, "summary": "x"},
    {"name": "b", "file": "nowhere.txt"},
    {"name": "c", "file": "a.txt"},
]


def batch(files, *lines):
    (files / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_batch_is_summed_up_line_by_line_and_goes_on(bigbird, files, monkeypatch):
    from bigbird.summarizing.summarizer import Summarizer

    command = ("summarize", "in.jsonl", "--out", "out.jsonl", *LEAD)
    batch(files, *LINES)
    with monkeypatch.context() as stopped:
        summarize, calls = Summarizer.summarize, []

        def once(self, *arguments, **options):
            if calls:
                raise KeyboardInterrupt
            calls.append(arguments)
            return summarize(self, *arguments, **options)

        stopped.setattr(Summarizer, "summarize", once)
        assert bigbird(*command)[0] == 130
    assert len((files / "out.jsonl").read_text().splitlines()) == 2
    code, out, said = bigbird(*command)
    assert (code, out) == (1, "")
    assert said == SAID + (
        "3 lines are in out.jsonl, 2 of them from before; 1 could not be summed up, "
        "their lines tell why; only another --out tries them again\n"
    )
    rows = [json.loads(line) for line in (files / "out.jsonl").read_text().splitlines()]
    assert [(row["name"], row.get("error")) for row in rows] == [
        ("a", None),
        ("b", "there is no file nowhere.txt"),
        ("c", None),
    ]
    assert rows[0]["summary"] == rows[2]["summary"] == "The fee is due.\nIt rises in May.\nNobody pays."
    before = (files / "out.jsonl").read_bytes()
    assert "3 of them from before" in bigbird(*command)[2]
    assert (files / "out.jsonl").read_bytes() == before
    code, _, said = bigbird("summarize", "in.jsonl", "--out", "out.jsonl", "--model", "lead")
    assert (code, "was begun with length 'short', now it is 'medium'" in said) == (2, True)


MISTAKES = {
    "a missing document": (["no.txt"], r"there is no file no.txt"),
    "an empty document": (["docs/b.txt"], r"docs/b.txt is empty: it has 0 bytes"),
    "a spreadsheet": (["docs/d.xlsx"], r"docs/d.xlsx is no document by its ending '.xlsx'"),
    "no length": (["a.txt", "--length", "huge"], r"length must be one of short, medium, long, got 'huge'"),
    "no support": (["a.txt", "--support", "magic"], r"support must be one of overlap, attention, got 'magic'"),
    "support of what is copied": (["a.txt", "--support", "overlap"], r"lead copies sentences, so that each is its own"),
    "a query to a method": (["a.txt", "--query", "who?"], r"lead answers no query; leave it out, or give a model that"),
    "no model": (["a.txt", "--model", "nobody"], r"there is no model nobody\. Give a model folder, OWNER/NAME"),
    "a model of another kind": (["a.txt", "--model", "other"], r"other writes no summaries: its task is Classificat"),
    "a folder without documents": (["nothing"], r"nothing holds no document; a document ends in .txt, .md, "),
    "into what is read": (["docs", "--out", "docs"], r"--out docs is the folder that is read; name another"),
    "over what is read": (["a.txt", "--out", "a.txt"], r"--out a.txt is what is read; name another file"),
    "one into a folder": (["a.txt", "--out", "docs"], r"--out docs is a folder; name a file"),
    "several into a file": (["docs", "--out", "a.txt"], r"--out a.txt is a file; name a folder"),
    "two of one name": (
        ["a.txt", "docs/in/a.txt", "--out", "x"],
        r"a.txt and docs/in/a.txt would both be summed up in",
    ),
    "over one of several": (
        ["same/a", "same/a.txt.txt", "a.txt", "--out", "same"],
        r"--out same would replace same/a.t",
    ),
    "a summary where a folder is": (
        ["a.txt", "docs", "--out", "taken"],
        r"--out taken: the file of a summary taken/c.docx.txt is a folder; name a file",
    ),
    "a folder where a file is": (
        ["a.txt", "docs", "--out", "other place"],
        r"--out other place: the file of a summary other place/in/a.txt.txt cannot be written: other place/in is a f",
    ),
    "a summary where another needs a folder": (
        ["a.txt", "deep", "--out", "x"],
        r"the summary of a.txt would be a file where that of deep/a.txt.txt/b.txt needs a folder; give them an --out",
    ),
    "a batch to nowhere": (["in.jsonl"], r"in.jsonl is summed up into a file: give --out SUMMARIES.jsonl"),
    "a batch among others": (["a.txt", "in.jsonl", "--out", "x.jsonl"], r"in.jsonl is a batch of its own; give it al"),
    "a batch as JSON": (["in.jsonl", "--json", "--out", "x.jsonl"], r"in.jsonl brings its own queries, and is summed"),
    "an empty batch": (["empty.jsonl", "--out", "x.jsonl"], r"empty.jsonl holds no lines; write \{\"name\": …, \"text"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2_and_writes_nothing(bigbird, files, mistake):
    (files / "nothing").mkdir()
    (files / "same").mkdir()
    (files / "same/a.txt.txt").write_text("x")
    (files / "taken/c.docx.txt").mkdir(parents=True)
    (files / "other place").mkdir()
    (files / "other place/in").touch()
    (files / "deep/a.txt.txt").mkdir(parents=True)
    (files / "deep/a.txt.txt/b.txt").write_text("x")
    (files / "empty.jsonl").write_text("\n")
    batch(files, *LINES)
    if "other" in MISTAKES[mistake][0]:
        save_model(files / "other", loaded_model(YES_NO))
    before = set(files.rglob("*"))
    arguments, message = MISTAKES[mistake]
    code, out, said = bigbird("summarize", "--model", "lead", *arguments)
    assert code == 2, said
    assert re.search(f"^bigbird: {message}", said.splitlines()[-1]), said
    assert "Traceback" not in out + said
    assert set(files.rglob("*")) == before
