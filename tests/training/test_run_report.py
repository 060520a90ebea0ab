"""A page about a run, from its folder alone, in whatever state that folder is."""

import json
import math
import shutil
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from bigbird.errors import DataError
from bigbird.training import metrics_file
from bigbird.training.curves import draw_curves
from bigbird.training.run_record import read_run
from bigbird.training.run_report import write_report
from bigbird.training.run_summary import headline, summary
from training_runs import CONFIG, run


class Page(HTMLParser):
    """Checks that tags close and that nothing comes from elsewhere; collects the text."""

    ALONE = frozenset({"meta", "br", "img", "path", "use", "rect"})

    def __init__(self):
        super().__init__()
        self.open, self.words = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.ALONE:
            self.open.append(tag)
        for name, value in attributes:
            assert name not in ("src", "href") or value.startswith(("data:", "#"))
            assert not name.startswith("on")
        assert tag not in ("script", "link", "iframe")

    def handle_endtag(self, tag):
        if tag not in self.ALONE:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def page_of(folder):
    page = Page()
    page.feed((folder / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    return " ".join(" ".join(page.words).split())


def write_run(folder, *events, settings=None):
    """A run's folder by hand."""
    folder.mkdir()
    settings = {"recipe": "test", "training": {"num_steps": 100, "watch": "loss"}} if settings is None else settings
    (folder / "run.json").write_text(json.dumps(settings))
    for event in events:
        metrics_file.append(folder / "metrics.jsonl", event)
    return folder


def step(number, loss=2.0, **values):
    return {
        "event": "step", "step": number, "loss": loss, "gradient_norm": 1.0, "learning_rate": 0.1,
        "tokens_per_second": 100.0, "seconds": 2.0, "peak_memory_bytes": 2**30, **values,
    }  # fmt: skip


def evaluation(number, loss):
    return {"event": "evaluation", "step": number, "loss": [loss, None, None], "accuracy": [0.5, 0.4, 0.6]}


START = {"event": "start", "step": 0, "num_steps": 100, "letter": "base"}


def report(*folders, out):
    remarks = write_report([read_run(folder) for folder in folders], out)
    return page_of(out), remarks


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 10)
        folder = tmp_path_factory.mktemp("runs") / "finished"
        run(folder)
    return folder


def test_a_finished_run_is_summed_up_by_what_its_folder_holds(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    (copy / "run.json").write_text(json.dumps({"recipe": "mine", "training": {"num_steps": 8, "batch_size": 4}}))
    shutil.rmtree(copy / "state")  # not needed for a report
    found = summary(read_run(copy))
    kept = json.loads((copy / "model" / "config.json").read_text())["notes"]
    assert (found["last_step"], found["num_steps"], found["recipe"]) == (CONFIG.num_steps, 8, "mine")
    assert (found["best_step"], found["best"]) == (kept["step"], kept["validation"]["loss"])
    assert found["num_weights"] > 1000
    assert found["skipped_steps"] == found["resumed_after"] == []
    page, remarks = report(copy, out=tmp_path / "out")
    assert remarks == []
    assert "Run copy" in page
    assert f"at step 8 of 8; best loss {found['best']:.4f} after step {found['best_step']}" in page
    assert "training.batch_size 4" in page
    ElementTree.parse(tmp_path / "out" / "curves.svg")  # noqa: S314  ours
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["runs"][0] == found


def test_figures_come_from_the_events(tmp_path):
    folder = write_run(
        tmp_path / "run",
        START,
        evaluation(0, 3.0),
        *(step(n, 2.0, bits_per_letter=1.9) for n in range(1, 5)),
        step(5, None, gradient_norm=None),
        evaluation(5, 1.5),
        {"event": "resume", "step": 5, "num_steps": 200},
        step(6, 2.0, bits_per_letter=1.9, tokens_per_second=300.0, peak_memory_bytes=2**31),
        evaluation(6, 1.7),
    )
    found = summary(read_run(folder))
    assert (found["best_step"], found["best"]) == (5, 1.5)
    assert (found["validation_loss"], found["train_loss"]) == (1.7, pytest.approx(2.0))
    assert found["train_bits_per_letter"] == pytest.approx(1.9)
    assert (found["skipped_steps"], found["resumed_after"]) == ([5], [5])
    assert (found["tokens_per_second"], found["num_tokens"], found["seconds_in_steps"]) == (100.0, 1600, 12.0)
    assert (found["peak_memory_bytes"], found["letter"]) == (2**31, "base")
    page, _ = report(folder, out=tmp_path / "out")
    for text in ("Skipped steps 5", "Resumed after steps 5", "Peak memory 2.00 GiB", "0.5000 0.4000 to 0.6000"):
        assert text in page


def test_figures_of_many_labels_are_left_out_of_the_table(tmp_path):
    many = {f"auroc/{number}": [0.5, None, None] for number in range(30)}
    folder = write_run(tmp_path / "run", START, {**evaluation(1, 1.0), "mean_auroc": [0.7, None, None], **many})
    page, _ = report(folder, out=tmp_path / "out")
    assert "mean auroc" in page
    assert "auroc/7" not in page


def test_the_best_of_a_metric_that_should_be_high_is_the_highest(tmp_path):
    settings = {"training": {"watch": "accuracy"}}
    events = [{**evaluation(n, 1.0), "accuracy": [value, None, None]} for n, value in ((1, 0.5), (2, 0.9), (3, 0.7))]
    found = summary(read_run(write_run(tmp_path / "run", *events, settings=settings)))
    assert (found["best_step"], found["best"]) == (2, 0.9)


def test_runs_are_compared_on_one_page_and_told_apart(tmp_path):
    (tmp_path / "other").mkdir()
    one = write_run(tmp_path / "run", START, *(step(n, 2.0) for n in range(1, 40)), evaluation(39, 1.0))
    two = write_run(tmp_path / "other" / "run", START, *(step(n, 3.0) for n in range(1, 30)))
    page, _ = report(one, two, out=tmp_path / "out")
    assert page.count(str(one)) >= 2
    assert "not evaluated yet" in page
    svg = (tmp_path / "out" / "curves.svg").read_text()
    assert svg.count("#0b6e99") and svg.count("#c2571a")


def only_settings(folder):
    write_run(folder)


def only_metrics(folder):
    write_run(folder, START, step(1))
    (folder / "run.json").unlink()


def half_a_line(folder):
    write_run(folder, START, step(1), step(2))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"event": "step", "step": 3, "lo')


def nothing_finite(folder):
    write_run(folder, START, step(1, math.nan), step(2, math.inf), evaluation(2, math.nan))


def odd_values(folder):
    write_run(
        folder,
        {**START, "num_steps": "many", "letter": 3},
        {"event": "step", "step": 1, "loss": "low", "seconds": [], "gradient_norm": True},
        {"event": "evaluation", "step": 1, "loss": "x", "accuracy": ["a", {}, None], "<b>": [1.0, "2", 3]},
        settings={"training": 5, "<script>": "<script>alert(1)</script>"},
    )


def rubbish(folder):
    folder.mkdir()
    (folder / "run.json").write_bytes(b"\xff\xfe{")
    (folder / "metrics.jsonl").write_bytes(bytes(range(256)))
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("[]")
    (folder / "model" / "model.safetensors").write_bytes(b"short")


def huge(folder):
    settings = {"recipe": "\ud800", "training": {"num_steps": 10**400}}
    write_run(folder, {**START, "letter": "$x_{$"}, settings=settings)
    odd = ({"event": "evaluation", "step": 1, "loss": [10**400, 1, 2], "w": [1.0, 2, 10**400], "\ud800": [1]},)
    steps = [step(at, 1e308, seconds=1e99, tokens_per_second=1e99, bits_per_letter=10**400) for at in range(1, 30)]
    for event in (*steps, step(30, seconds=1e15, bits_per_letter=1.0), *odd, step(10**400), step(-1)):
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\n")


def deep(folder):
    write_run(folder, START)
    (folder / "run.json").write_text("[" * 100_000)
    (folder / "metrics.jsonl").write_text("[" * 100_000 + "\n")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (only_settings, "not evaluated yet"),
        (only_metrics, "run.json cannot be read (No such file or directory)"),
        (half_a_line, "metrics.jsonl: 1 line(s) could not be read and are left out"),
        (nothing_finite, "Skipped steps 1, 2"),
        (odd_values, "<script>alert(1)</script>"),  # as text
        (rubbish, "model/model.safetensors cannot be read, so the model's size is not known"),
        (deep, "run.json cannot be read (no JSON)"),
        (huge, "metrics.jsonl: 2 line(s) could not be read and are left out"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_page_is_made_of_whatever_is_there(tmp_path, make, told):
    make(tmp_path / "run")
    page, _ = report(tmp_path / "run", out=tmp_path / "run")
    assert told in page
    assert headline(summary(read_run(tmp_path / "run"))).startswith("run: at step ")


@pytest.mark.parametrize("name", ["$x_{$", "_hidden"])
def test_the_name_of_a_run_is_in_the_picture_as_it_is(tmp_path, name):
    runs = [write_run(tmp_path / folder, START, step(1), step(2)) for folder in ("other", name)]
    with pytest.MonkeyPatch.context() as patch:
        shown = []
        patch.setattr("matplotlib.legend.Legend.__init__", legend_that_tells(shown))
        draw_curves([read_run(run) for run in runs])
    assert shown == [["other", name]]


def legend_that_tells(shown):
    from matplotlib.legend import Legend

    begin = Legend.__init__

    def told(self, *arguments, **named):
        begin(self, *arguments, **named)
        shown.append([text.get_text().strip().replace(r"\$", "$") for text in self.get_texts()])

    return told


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, r"run is not there; name the folder of a run"),
        (lambda folder: folder.write_text(""), r"run is a file; name the folder of a run"),
        (lambda folder: folder.mkdir(), r"run holds neither run\.json nor metrics\.jsonl, so it is no run's folder"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path, make, message):
    make(tmp_path / "run")
    with pytest.raises(DataError, match=message):
        read_run(tmp_path / "run")


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match="a report needs at least one run; name the folder of a run"):
        write_report([], tmp_path)


def test_without_matplotlib_the_page_says_so_and_has_the_figures(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "run", START, step(1), evaluation(1, 1.25))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    page, remarks = report(folder, out=tmp_path / "out")
    assert remarks == ["a picture needs matplotlib, which is not installed. Run: pip install 'bigbird[plot]'"]
    assert remarks[0] in page
    assert "No pictures were drawn" in page
    assert "1.2500" in page
    assert not (tmp_path / "out" / "curves.svg").exists()


def test_a_long_run_makes_no_larger_picture_and_the_same_one_each_time(tmp_path):
    def events(count):
        return [START, *(step(n, 2.0 + math.sin(n)) for n in range(1, count))]

    short, long = (write_run(tmp_path / f"{count}", *events(count)) for count in (2000, 12_000))
    sizes = [len(draw_curves([read_run(folder)])) for folder in (short, long)]
    assert sizes[1] < 1.3 * sizes[0]
    assert draw_curves([read_run(short)]) == draw_curves([read_run(short)])
