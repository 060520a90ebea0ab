"""A run from its settings: what is refused before anything is written, and what a resumed run may change."""

import dataclasses
import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from bigbird import config as configs
from bigbird.attention import PatternSpec
from bigbird.data.folder_lock import folder_lock
from bigbird.data.genome_windows import GenomeData
from bigbird.data.sources import FileData
from bigbird.errors import CheckpointError, ConfigError, DataError
from bigbird.model.encoder import EncoderConfig
from bigbird.run import RunConfig, train
from bigbird.run_folder import MAY_CHANGE
from bigbird.run_start import Scratch
from bigbird.tasks import Classification, TokenClassification
from bigbird.training.settings import TrainingConfig
from helpers import dna, motif_records

ENCODER = EncoderConfig(
    vocab_size=1,
    hidden_size=16,
    num_layers=1,
    num_heads=2,
    inner_size=32,
    max_length=256,
    positions="rotary",
    norm="pre",
    pattern=PatternSpec(block_size=16),
)
ONE, MANY = (Classification(labels=(), answer=answer, max_length=256, overlap=16) for answer in ("one", "many"))
SPANS = TokenClassification(labels=(), max_length=256, overlap=16)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch, tmp_path):
    monkeypatch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 10)
    monkeypatch.chdir(tmp_path)
    for name, seed in (("train", 0), ("dev", 1)):
        write(tmp_path / f"{name}.jsonl", motif_records(8, seed=seed))


def write(path, records, *, label=True, spans=True):
    rows = [
        {
            "sequence": record.sequence,
            **({"label": list(record.labels)} if label else {}),
            **({"spans": [list(span) for span in record.spans]} if spans else {}),
        }
        for record in records
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")


def settings(*changes, task=ONE, data=None):
    config = RunConfig(
        recipe="test",
        start=Scratch(tokenizer="single-base", encoder=ENCODER),
        task=task,
        data=data or FileData(train="train.jsonl", validation="dev.jsonl"),
        training=TrainingConfig(num_steps=2, batch_size=4, micro_batch_size=4, evaluate_every=1, save_every=1),
    )
    return configs.overridden(config, changes)


def run(folder, config, **arguments):
    console = Console(file=io.StringIO(), width=200)
    return train(config, folder, console=console, **arguments), console.file.getvalue()


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_its_settings_its_model_and_a_state(tmp_path):
    best, _ = run(tmp_path / "run", settings())
    assert best.task.labels == ("no", "yes")
    assert json.loads((tmp_path / "run/run.json").read_text()) == configs.to_json(settings())
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.json", "metrics.jsonl", "model", "state"}


def test_each_task_learns_the_labels_of_its_own_column(tmp_path):
    assert run(tmp_path / "many", settings(task=MANY))[0].task.labels == ("no", "yes")
    assert run(tmp_path / "spans", settings(task=SPANS))[0].task.labels == ("motif",)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (["training.watch=nonsense"], ConfigError, r"training.watch must be one of loss, accuracy, .*got 'nonsense'"),
        (['task.labels=["a", "b"]'], DataError, r"has the labels \['\w+'\]; it needs exactly one of a, b"),
        (["data.validation=other.jsonl"], DataError, r"other.jsonl:1.* has the labels \['perhaps'\]; it needs exactly"),
        (["data.train=other.jsonl", 'task.labels=["no", "yes"]'], DataError, r"other.jsonl:1.* labels \['perhaps'\]"),
        (["data.train=gap.jsonl"], DataError, r"gap.jsonl:9.* has the labels \[\]; it needs exactly one of no, yes"),
        (
            ["data.validation=yes.jsonl", "training.watch=auroc/yes"],
            ConfigError,
            r"training.watch is 'auroc/yes', which is nan for these validation records",
        ),
    ],
)
def test_a_mistake_that_shows_late_leaves_nothing_behind(tmp_path, change, error, message):
    records = motif_records(8)
    write(tmp_path / "other.jsonl", [dataclasses.replace(record, labels=("perhaps",)) for record in records])
    write(tmp_path / "gap.jsonl", [*records, dataclasses.replace(records[0], labels=())])
    write(tmp_path / "yes.jsonl", [record for record in records if record.labels == ("yes",)])
    with pytest.raises(error, match=message):
        run(tmp_path / "run", settings(*change))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("augment", ["none", "reverse-complement"])
def test_labels_that_end_in_a_sign_without_their_counterpart_are_plain_ones(tmp_path, augment):
    records = [dataclasses.replace(record, labels=(f"{record.labels[0]}+",)) for record in motif_records(8)]
    write(tmp_path / "strands.jsonl", records)
    files = ["data.train=strands.jsonl", "data.validation=strands.jsonl", f"data.augment={augment}"]
    assert run(tmp_path / "run", settings(*files))[0].task.labels == ("no+", "yes+")


@pytest.mark.parametrize("labels", ["[]", '["no", "yes"]'])
@pytest.mark.parametrize(("task", "column"), [(ONE, "label"), (MANY, "label"), (SPANS, "spans")])
def test_records_without_the_labels_a_task_learns_are_refused(tmp_path, task, column, labels):
    write(tmp_path / "train.jsonl", motif_records(8), label=column != "label", spans=column != "spans")
    message = rf"training records carry no label.* data.train must be a table \(.*\) with the column '{column}'"
    with pytest.raises(DataError, match=message):
        run(tmp_path / "run", settings(f"task.labels={labels}", task=task))
    assert not (tmp_path / "run").exists()


def test_windows_of_a_genome_carry_no_labels_to_learn(tmp_path):
    (tmp_path / "genome.fa").write_text(f">chr1\n{dna(2_000, 1)}\n>chr2\n{dna(2_000, 2)}\n")
    data = GenomeData(
        genomes=("genome.fa",), train_regions=("chr1",), validation_regions=("chr2",), window_bp=100, num_validation=4
    )
    with pytest.raises(DataError, match=r"the training records carry no label, so there is nothing to learn"):
        run(tmp_path / "run", settings(data=data))


def test_resuming_in_a_fresh_folder_is_refused_and_leaves_nothing_behind(tmp_path):
    with pytest.raises(CheckpointError, match=r"run holds no run to resume \(no run.json\); start without --resume"):
        run(tmp_path / "run", settings(), resume=True)
    assert not (tmp_path / "run").exists()


def test_resuming_beside_a_damaged_run_file_or_state_is_refused_and_changes_nothing(tmp_path):
    run(tmp_path / "run", settings())
    for state in (tmp_path / "run/state").iterdir():
        (state / "weights.safetensors").write_bytes(b"rubbish")
    before = snapshot(tmp_path)
    with pytest.raises(CheckpointError, match=r"step-000000002 is damaged"):
        run(tmp_path / "run", settings("training.num_steps=4"), resume=True)
    assert snapshot(tmp_path) == before
    (tmp_path / "run/run.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"run.json cannot be read, so nothing tells what to resume"):
        run(tmp_path / "run", settings(), resume=True)
    (tmp_path / "run/run.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"run.json holds \[\] instead of a run's settings"):
        run(tmp_path / "run", settings(), resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.batch_size=8", r"was begun with training.batch_size 4, now it is 8\. A run is resumed with its own"),
        ("training.seed=1", r"training.seed 0, now it is 1\."),
        ("training.watch=accuracy", r"training.watch 'loss', now it is 'accuracy'\."),
        ("training.learning_rate=1", r"training.learning_rate 0.0001, now it is 1.0\."),
        ("data.train=dev.jsonl", r"data.train 'train.jsonl', now it is 'dev.jsonl'\."),
        ("start=somewhere", r"start \{'tokenizer': 'single-base', .*\}, now it is 'somewhere'\."),
        ('task.labels=["no", "yes"]', r"task.labels \[\], now it is \['no', 'yes'\]\."),
    ],
)
def test_a_resumed_run_keeps_its_settings(tmp_path, change, message):
    run(tmp_path / "run", settings())
    before = snapshot(tmp_path)
    with pytest.raises(ConfigError, match=message) as caught:
        run(tmp_path / "run", settings(change), resume=True)
    assert "only training.num_steps, training.patience, training.evaluate_every, training.save_every," in str(
        caught.value
    )
    assert f"{', '.join(MAY_CHANGE)} may differ" in str(caught.value)
    assert snapshot(tmp_path) == before


def test_a_resumed_run_may_be_longer_and_look_and_save_at_other_times(tmp_path):
    run(tmp_path / "run", settings())
    longer = settings(
        "training.num_steps=4", "training.patience=9", "training.evaluate_every=2", "training.save_every=3"
    )
    run(tmp_path / "run", longer, resume=True)
    assert json.loads((tmp_path / "run/run.json").read_text()) == configs.to_json(longer)
    events = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events] == [0, 0, 1, 1, 2, 2, 2, 3, 4, 4]
    assert [event["event"] for event in events if "time" in event] == ["start", "resume"]


def test_the_docs_name_all_that_may_change():
    told = (Path(__file__).parents[1] / "docs/resuming.md").read_text().partition("## What may change")[2]
    assert all(f"`{name.removeprefix('training.')}`" in told or f"`{name}`" in told for name in MAY_CHANGE)


def test_states_without_the_settings_of_their_run_are_told(tmp_path):
    run(tmp_path / "run", settings())
    (tmp_path / "run/run.json").unlink()
    for how in ({"resume": True}, {"auto_resume": True}):
        with pytest.raises(CheckpointError, match=r"run holds a run without its run.json, .* put the file back, or"):
            run(tmp_path / "run", settings(), **how)


def test_how_many_states_are_kept_and_when_the_run_gives_up_may_change(tmp_path):
    run(tmp_path / "run", settings())
    assert len(list((tmp_path / "run/state").iterdir())) == 2
    run(
        tmp_path / "run",
        settings("training.num_steps=4", "training.keep_states=4", "training.max_skipped=9"),
        resume=True,
    )
    assert len(list((tmp_path / "run/state").iterdir())) == 4


@pytest.mark.parametrize("left", ["evaluated", "with a model"])
def test_a_run_killed_before_its_first_state_is_begun_anew_by_resume(tmp_path, left):
    run(tmp_path / "whole", settings())
    run(tmp_path / "run", settings())
    shutil.rmtree(tmp_path / "run/state")
    if left == "evaluated":
        shutil.rmtree(tmp_path / "run/model")
    metrics = (tmp_path / "run/metrics.jsonl").read_text().splitlines(keepends=True)
    with pytest.raises(
        CheckpointError, match="holds no saved state to resume from"
    ):  # it had done steps: they are lost
        run(tmp_path / "run", settings(), resume=True)
    (tmp_path / "run/metrics.jsonl").write_text(metrics[0])
    if left == "with a model":
        set_step_of_model(tmp_path / "run", 0)
    run(tmp_path / "run", settings(), resume=True)
    losses = [
        [(event["step"], event["loss"]) for event in map(json.loads, path.read_text().splitlines()) if "loss" in event]
        for path in (tmp_path / "run/metrics.jsonl", tmp_path / "whole/metrics.jsonl")
    ]
    assert losses[0] == losses[1]


def set_step_of_model(folder, step):
    path = folder / "model/config.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps({**saved, "notes": {**saved["notes"], "step": step}}))


@pytest.mark.parametrize("how", [{"resume": True}, {"auto_resume": True}])
@pytest.mark.parametrize("is_foreign", [True, False])
def test_a_trained_model_without_a_state_is_never_written_over(tmp_path, how, is_foreign):
    run(tmp_path / "run", settings())
    shutil.rmtree(tmp_path / "run/state")
    (tmp_path / "run/metrics.jsonl").unlink()
    set_step_of_model(tmp_path / "run", 0 if is_foreign else 2)
    if is_foreign:
        (tmp_path / "run/run.json").unlink()
    before = snapshot(tmp_path)
    message = "no run to resume" if is_foreign and "resume" in how else "no state to go on from, but a model that a new"
    with pytest.raises((ConfigError, CheckpointError), match=message):
        run(tmp_path / "run", settings(), **how)
    assert snapshot(tmp_path) == before


def test_a_step_to_go_on_from_is_never_passed_over(tmp_path):
    with pytest.raises(CheckpointError, match="holds no run to resume"):
        run(tmp_path / "run", settings(), resume_from=1)
    run(tmp_path / "run", settings("training.num_steps=4", "training.keep_states=9"))
    with pytest.raises(ConfigError, match="choose one of resume_from .* and auto_resume"):
        run(tmp_path / "run", settings("training.num_steps=4"), resume_from=1, auto_resume=True)
    _, said = run(tmp_path / "run", settings("training.num_steps=4"), resume_from=2)
    assert "goes on from the state of step 2" in said
    for left in ("state", "model"):
        shutil.rmtree(tmp_path / "run" / left)
    (tmp_path / "run/metrics.jsonl").unlink()
    with pytest.raises(CheckpointError, match="run holds no state of step 2, nor of any other"):
        run(tmp_path / "run", settings("training.num_steps=4"), resume_from=2)


def test_a_run_goes_on_from_the_state_of_a_step(tmp_path):
    run(tmp_path / "whole", settings("training.num_steps=4", "training.keep_states=9"))
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    _, said = run(tmp_path / "run", settings("training.num_steps=4"), resume=True, resume_from=1)
    assert "goes on from the state of step 1" in said
    weights = [tmp_path / name / "state/step-000000004/weights.safetensors" for name in ("run", "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    with pytest.raises(CheckpointError, match=r"holds no state of step 7; there are those of steps 3, 4"):
        run(tmp_path / "run", settings("training.num_steps=4"), resume=True, resume_from=7)


def test_a_folder_another_run_is_using_is_refused_and_nothing_changes(tmp_path):
    with folder_lock(tmp_path / "run"):
        before = snapshot(tmp_path)
        with pytest.raises(ConfigError, match=r"run is in use by another program \(process \d+ on "):
            run(tmp_path / "run", settings())
        assert snapshot(tmp_path) == before


def test_a_setting_that_the_older_run_did_not_know_is_no_difference(tmp_path):
    run(tmp_path / "run", settings())
    path = tmp_path / "run/run.json"
    saved = json.loads(path.read_text())
    del saved["training"]["clip_norm"]
    path.write_text(json.dumps(saved))
    run(tmp_path / "run", settings("training.num_steps=3"), resume=True)


def test_a_run_without_resume_leaves_another_run_alone(tmp_path):
    run(tmp_path / "run", settings())
    before = snapshot(tmp_path)
    with pytest.raises(
        ConfigError, match=r"run holds a run already; resume it with --resume, or choose another folder"
    ):
        run(tmp_path / "run", settings())
    assert snapshot(tmp_path) == before


def test_a_start_that_makes_no_tokenizer_is_refused():
    with pytest.raises(ConfigError, match=r"one of bpe, single-base, kmers, corpus, got 'letters'"):
        Scratch(tokenizer="letters", encoder=ENCODER)
    with pytest.raises(ConfigError, match=r"start.vocab_size must be from 1 to 16777216, got 10{30}"):
        Scratch(vocab_size=10**30, encoder=ENCODER)
