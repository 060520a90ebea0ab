"""The command line as people use it: the whole road, and every mistake told in one line."""

import gzip
import json
import os
import random
import re
import subprocess
import sys
import time

import pytest

import tokenizers
from bigbird import cli
from bigbird.checkpoint import save_model
from helpers import STRANDED, YES_NO, dna, loaded_model, motif_records


@pytest.fixture
def files(tmp_path):
    """A genome, tables of labelled records and two small models."""
    (tmp_path / "genome.fa").write_text(f">chr1\n{dna(3_000, 1)}\n>chr2\n{dna(2_000, 2)}\n")
    for name, seed in (("train", 0), ("dev", 1)):
        rows = [f"{record.sequence},{record.labels[0]}" for record in motif_records(24, seed=seed)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["sequence,label", *rows]) + "\n")
    (tmp_path / "sites.bed").write_text("chr1\t100\t200\tone\t0\t-\nchr2\t0\t50\n")
    (tmp_path / "genes.gtf").write_text(
        '1\tx\tgene\t501\t900\t.\t+\t.\tgene_name "ALPHA"; gene_type "protein_coding";\n'
    )
    save_model(tmp_path / "windows", loaded_model(YES_NO))
    save_model(tmp_path / "tokens", loaded_model(STRANDED))
    return tmp_path


def settings(*pairs):
    return [part for pair in pairs for part in ("--set", pair)]


DATA = settings("data.train=train.csv", "data.validation=dev.csv")
SMALL = settings(
    "training.num_steps=3", "training.batch_size=4", "training.micro_batch_size=4", "training.warmup_steps=0"
)
TINY = settings(
    "start.tokenizer=single-base",
    "start.encoder.hidden_size=16",
    "start.encoder.inner_size=32",
    "start.encoder.num_heads=2",
    "start.encoder.num_layers=1",
)
SMALL_RUN = [*DATA, *SMALL, *TINY]
SMALL_WINDOWS = settings("window_bp=400", "overlap_bp=100")
SMALL_BENCH = settings(
    "lengths=[512]",
    "num_heads=2",
    "head_dim=16",
    "spec.block_size=16",
    "rounds=2",
    'contenders=["gathered"]',
    "memory=false",
)


def test_from_labelled_files_to_a_model_to_predictions_and_figures(bigbird, files):
    code, _, said = bigbird("train", "genomics.classification", "--out", "run", *SMALL_RUN)
    assert code == 0, said
    assert "the best model is in run/model" in said
    code, out, _ = bigbird("evaluate", "run/model", "dev.csv", "--out", "figures.json")
    assert code == 0
    assert re.search(r"^accuracy\t\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]$", out, re.MULTILINE)
    assert json.loads((files / "figures.json").read_text())["scores"]["accuracy"]["value"] >= 0
    code, out, _ = bigbird("predict", "run/model", "dev.csv")
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "name\tlabel\tno\tyes"
    assert len(lines) == 25
    assert lines[1].split("\t")[1] in ("no", "yes")


def test_from_a_genome_and_start_sites_to_a_track(bigbird, tmp_path):
    (tmp_path / "genome.fa").write_text(f">chr1\n{dna(60_000, 1)}\n>chr2\n{dna(40_000, 2)}\n")
    (tmp_path / "starts.bed").write_text(
        "chr1\t2000\t2001\ta\t0\t+\nchr1\t3000\t3001\tb\t0\t-\nchr2\t900\t901\tc\t0\t+\n"
    )
    data = settings(
        'data.genomes=["genome.fa"]',
        "data.sites=starts.bed",
        'data.train_regions=["chr1"]',
        'data.validation_regions=["chr2"]',
        "data.window_bp=1000",
    )
    tiny = [*TINY[2:], *settings("start.bases_per_token=8", "training.precision=float32", "training.watch=loss")]
    code, _, said = bigbird("train", "genomics.promoter", "--out", "run", *data, *SMALL, *tiny)
    assert code == 0, said
    config = json.loads((tmp_path / "run/model/config.json").read_text())
    assert (config["encoder"]["bases_per_token"], config["encoder"]["vocab_size"]) == (8, 2**24)
    code, _, said = bigbird("scan", "run/model", "--genome", "genome.fa", "--region", "chr1:1-5000", "--out", "found")
    assert code == 0, said
    rows = [line.split("\t") for line in (tmp_path / "found/scores.bedgraph").read_text().splitlines()[1:]]
    assert {row[0] for row in rows if len(row) == 4} == {"chr1"}
    assert max(int(row[2]) for row in rows if len(row) == 4) == 5000


def test_a_run_is_repeated_from_its_own_file_and_resumed(bigbird, files):
    assert bigbird("train", "genomics.classification", "--out", "run", *SMALL_RUN)[0] == 0
    assert bigbird("train", "run/run.json", "--out", "again")[0] == 0
    steps = [
        [json.loads(line).get("loss") for line in (files / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("run", "again")
    ]
    assert steps[0] == steps[1]
    assert (files / "run/run.json").read_text() == (files / "again/run.json").read_text()
    code, _, said = bigbird("train", "run/run.json", "--out", "run", "--resume", "--set", "training.num_steps=4")
    assert code == 0, said
    assert json.loads((files / "run/metrics.jsonl").read_text().splitlines()[-2])["step"] == 4


def test_a_run_may_start_from_a_model(bigbird, files):
    start = settings("start=windows", "task.max_length=256")
    code, _, said = bigbird("train", "genomics.classification", "--out", "run", *DATA, *SMALL, *start)
    assert code == 0, said
    config = json.loads((files / "run/model/config.json").read_text())
    assert config["encoder"]["num_layers"] == 2
    assert config["notes"]["start"] == "windows"


def test_show_prints_the_settings_and_trains_nothing(bigbird, tmp_path):
    code, out, _ = bigbird("train", "genomics.promoter", "--show", "--set", "training.num_steps=7")
    assert code == 0
    assert json.loads(out)["training"]["num_steps"] == 7
    assert list(tmp_path.iterdir()) == []


def test_places_on_a_genome_are_predicted_and_a_base_is_named_as_on_the_genome(bigbird, files):
    code, out, _ = bigbird("predict", "tokens", "sites.bed", "--genome", "genome.fa", "--out", "table.tsv")
    assert (code, out) == (0, "")
    header, one, two = (line.split("\t") for line in (files / "table.tsv").read_text().splitlines())
    assert header == ["name", "site+ score", "site+ place", "site- score", "site- place"]
    assert one[0] == "one"
    assert 101 <= int(one[2].removeprefix("chr1:")) <= 200
    assert 1 <= int(two[2].removeprefix("chr2:")) <= 50


def test_a_scan_writes_its_folder_and_says_how_good_it_is(bigbird, files, caplog):
    code, _, said = bigbird(
        "scan", "tokens", "--genome", "genome.fa", "--region", "chr1:401-1000", "--annotation", "genes.gtf",
        "--threshold", "0.5", "--out", "found", "--set", "window_bp=400", "--set", "overlap_bp=100",
    )  # fmt: skip
    assert code == 0, said
    assert "read as: 1 -> chr1" in caplog.text
    assert re.search(r"\d of 1 annotated gene starts have a call within 500 bp", said.replace("\n", " "))
    summary = json.loads((files / "found/summary.json").read_text())
    assert summary["regions"] == ["chr1:401-1000"]
    assert summary["settings"]["window_bp"] == 400
    assert {"calls.bed", "scores.bedgraph", "report.html"} <= {path.name for path in (files / "found").iterdir()}


def test_without_a_region_the_whole_genome_is_scanned(bigbird, files):
    assert (
        bigbird("scan", "windows", "--genome", "genome.fa", "--set", "window_bp=200", "--set", "overlap_bp=100")[0] == 0
    )
    contigs = {line.split("\t")[0] for line in (files / "scan/scores.bedgraph").read_text().splitlines()[1:]}
    assert contigs == {"chr1", "chr2"}


def test_pretraining_on_a_genome_and_going_on_from_it(bigbird, files):  # noqa: ARG001  the genome must lie there
    genome = settings('data.genomes=["genome.fa"]', 'data.train_regions=["chr1"]', 'data.validation_regions=["chr2"]')
    size = settings("data.window_bp=200", "data.num_records=8", "data.num_validation=2", "training.precision=float32")
    code, _, said = bigbird("train", "genomics.pretrain", "--out", "pretrained", *genome, *size, *SMALL, *TINY)
    assert code == 0, said
    assert "bits_per_letter" in said
    code, out, _ = bigbird("predict", "pretrained/model", "dev.csv")
    assert code == 0
    assert out.splitlines()[0] == "name\tbits per letter\thidden letters"
    assert 1 < float(out.splitlines()[1].split("\t")[1]) < 6
    start = settings("start=pretrained/model", "task.max_length=256")
    code, _, said = bigbird("train", "genomics.classification", "--out", "run", *DATA, *SMALL, *start)
    assert code == 0, said


def test_info_says_what_there_is(bigbird, files):  # noqa: ARG001  the models must lie there
    code, out, _ = bigbird("info")
    assert code == 0
    assert re.search(r"gathered\s+ready", out)
    assert "genomics.promoter" in out
    code, out, _ = bigbird("info", "tokens")
    assert code == 0
    assert "labels site+, site-" in out
    code, out, _ = bigbird("info", "dna")
    assert code == 0
    assert "task: MaskedLM\n" in out


MISTAKES = {
    "an empty FASTA": (["scan", "tokens", "--genome", "empty.fa"], r"empty.fa is empty; a FASTA file begins with"),
    "a truncated gzip": (["scan", "tokens", "--genome", "cut.fa.gz"], r"cut.fa.gz ends in the middle of its gzip data"),
    "binary garbage for a genome": (["scan", "tokens", "--genome", "rubbish.fa"], r"rubbish.fa:1: .*(binary|begins)"),
    "binary garbage for records": (["predict", "tokens", "rubbish.csv"], r"rubbish.csv:1: "),
    "a BED line beyond the contig": (
        ["predict", "tokens", "beyond.bed", "--genome", "genome.fa"],
        r"beyond.bed:2: chr2:1900-2001 goes beyond the contig, which has 2000 bases",
    ),
    "BED without a genome": (["predict", "tokens", "sites.bed"], r"give the genome they lie on with --genome FASTA"),
    "no genome to scan": (["scan", "tokens"], r"scan needs the genome to run along, with --genome FASTA"),
    "an unknown setting": (
        ["train", "genomics.promoter", "--out", "run", "--set", "training.stepz=5"],
        r"--set: training has no setting 'stepz'\. Did you mean",
    ),
    "an ill-typed setting": (
        ["train", "genomics.promoter", "--out", "run", "--set", "training.num_steps=many"],
        r"training.num_steps got 'many'",
    ),
    "an unknown setting of a scan": (
        ["scan", "tokens", "--genome", "genome.fa", "--set", "windw_bp=5"],
        r"no setting 'windw_bp'\. Did you mean 'window_bp'\?",
    ),
    "an unknown key in a model's config": (
        ["info", "oddmodel"],
        r"no setting 'num_layer'\. Did you mean 'num_layers'\?",
    ),
    "a run without data": (["train", "genomics.promoter", "--out", "run"], r"data.genomes is not set"),
    "a run without a folder": (["train", "genomics.promoter"], r"--out FOLDER"),
    "an unknown recipe": (["train", "genomics.promotor", "--out", "run"], r"Did you mean genomics.promoter\?"),
    "a run.json that is none": (["train", "genome.json", "--out", "run"], r"genome.json is no run.json"),
    "an unknown model": (["predict", "nowhere", "dev.csv"], r"nowhere is neither a model folder"),
    "a missing file": (["predict", "tokens", "nowhere.csv"], r"cannot read nowhere.csv: No such file or directory"),
    "a region off the genome": (
        ["scan", "tokens", "--genome", "genome.fa", "--region", "chr1:1-9000"],
        r"must satisfy 1 <= start <= end <= 3000",
    ),
    "a sequence of length 0": (["predict", "tokens", "nothing.csv"], r"nothing.csv:2: the sequence is empty"),
    "a folder that holds a run": (["train", "genomics.classification", "--out", "tokens/..", *SMALL_RUN], None),
    "an output that cannot be written": (
        ["predict", "tokens", "dev.csv", "--out", "genome.fa/table.tsv"],
        r"--out genome.fa/table.tsv cannot be written: genome.fa is a file, not a folder",
    ),
    "a folder to write a table into": (
        ["predict", "tokens", "dev.csv", "--out", "windows"],
        r"--out windows is a folder; name a file, new or to be replaced",
    ),
    "a folder to write figures into": (["evaluate", "windows", "dev.csv", "--out", "windows"], r"windows is a folder"),
    "a file to write a scan into": (
        ["scan", "tokens", "--genome", "genome.fa", "--out", "dev.csv"],
        r"--out dev.csv is a file; name a folder, new or one to write into",
    ),
    "a file to write a run into": (
        ["train", "genomics.classification", "--out", "dev.csv", *SMALL_RUN],
        r"--out dev.csv is a file; name a folder, new or one to write into",
    ),
    "regions that share bases": (
        ["scan", "tokens", "--genome", "genome.fa", "--region", "chr1:500-900", "--region", "1:1-500"],
        r"the regions chr1:1-500 and chr1:500-900 share bases; give each base once",
    ),
    "a region of commas": (["scan", "tokens", "--genome", "genome.fa", "--region", "chr1:,-,"], r"is not of the form"),
    "a negative distance of calls": (
        ["scan", "tokens", "--genome", "genome.fa", "--set", "merge_bp=-1"],
        r"merge_bp must be at least 0, got -1",
    ),
    "windows of no bases": (
        ["train", "genomics.pretrain", "--out", "run", "--set", "data.window_bp=0"],
        r"data.window_bp must be at least 1, got 0",
    ),
    "a seed of more than 64 bits": (
        ["train", "genomics.promoter", "--out", "run", "--set", f"data.seed={2**64}"],
        r"data.seed must be from 0 to 2\*\*63 - 1",
    ),
    "a threshold out of range": (
        ["scan", "tokens", "--genome", "genome.fa", "--threshold", "7"],
        r"threshold must lie between 0 and 1, got 7",
    ),
    "a window longer than the model reads": (
        ["scan", "tokens", "--genome", "genome.fa", "--set", "window_bp=10000000"],
        r"window_bp 10,000,000 is more than this model reads at once, which is 510 tokens of at most 1 bases\. Set "
        r"window_bp to 510 or less, and overlap_bp below that\.",
    ),
    "a model larger than the machine": (
        [
            "train",
            "genomics.classification",
            "--out",
            "run",
            *SMALL_RUN,
            "--set",
            "start.encoder.num_layers=1000000000",
        ],
        r"training a model of [\d,]+ parameters \(hidden_size 16, .* GiB of memory or more, .* GiB are available",
    ),
    "a model larger than any tensor": (
        [
            "train",
            "genomics.classification",
            "--out",
            "run",
            *SMALL_RUN,
            "--set",
            "start.encoder.hidden_size=10000000000",
        ],
        r"no model can be that large \(hidden_size 10,000,000,000, .*\): .* Give smaller sizes",
    ),
    "a vocabulary of something else": (
        ["info", "textmodel"],
        r"textmodel/tokenizer.json is no DNA vocabulary: it lacks",
    ),
    "an empty name of a model": (["info", ""], r"the model's name is empty; give a model folder or one of"),
    "an empty name of a file": (["predict", "tokens", "dev.csv", "--out", ""], r"--out '' names nothing; name a file"),
    "a path of a folder for a table": (
        ["predict", "tokens", "dev.csv", "--out", "table.tsv/"],
        r"--out 'table.tsv/' names a folder; name a file, new or to be replaced",
    ),
    "a path of a folder for a measurement": (
        ["bench", "attention", "--out", "new.json/"],
        r"--out 'new.json/' names a folder; name a file, new or to be replaced",
    ),
    "a folder for a measurement": (
        ["bench", "attention", "--out", "windows"],
        r"--out windows is a folder; name a file",
    ),
    "a picture that belongs to nothing measured": (
        ["bench", "attention", "--out", "mine.json"],
        r"--out mine.json: the picture beside it would replace mine.png, which belongs to no mine.json\. Name another",
    ),
    "a folder where the picture would be": (
        ["bench", "attention", "--out", "album.json"],
        r"--out album.json: the picture album.png is a folder; name a file",
    ),
    "a measurement longer than the memory": (
        ["bench", "attention", "--set", "lengths=[100000000000]"],
        r"one call at 100,000,000,000 tokens, .* GiB of memory or more, .* available\. Give smaller lengths",
    ),
    "a layer longer than the memory": (
        ["bench", "layer", "--set", "lengths=[100000000000]"],
        r"one layer of size base at 100,000,000,000 tokens needs .* Give smaller lengths",
    ),
    "a measurement of nobody": (
        ["bench", "attention", "--out", "new.json", *SMALL_BENCH, "--set", "seconds_limit=1e-9"],
        r"nothing was timed: nobody takes part, or nobody is done within seconds_limit 1e-09; the lines above",
    ),
    "an unknown option": (["scan", "x", "--nonsense"], r"bigbird: no such option: --nonsense\. See: .*scan --help$"),
    "an unknown command": (["inof"], r"bigbird: no such command 'inof'\. Did you mean 'info'\? See: .*--help$"),
    "a missing argument": (["train"], r"bigbird: missing argument 'recipe'\. See: .*train --help$"),
    "a missing choice": (["bench"], r"missing argument 'what'\. Choose from: attention, layer, encoder, step\. See: "),
    "an unknown choice": (
        ["bench", "speed"],
        r"invalid value for 'what': 'speed' is not one of 'attention', 'layer', 'encod",
    ),
    "an ill-typed option": (
        ["scan", "x", "--threshold", "much"],
        r"invalid value for '--threshold': Input should be a",
    ),
    "evaluation without labels": (["evaluate", "windows", "nolabels.csv"], r"it needs exactly one of no, yes"),
}


@pytest.fixture
def broken(files):
    (files / "empty.fa").write_text("")
    (files / "cut.fa.gz").write_bytes(gzip.compress(b">a\n" + random.Random(0).randbytes(500).hex().encode())[:-200])
    (files / "rubbish.fa").write_bytes(random.Random(1).randbytes(300))
    (files / "rubbish.csv").write_bytes(random.Random(2).randbytes(300))
    (files / "beyond.bed").write_text("chr1\t0\t10\nchr2\t1900\t2001\n")
    (files / "nothing.csv").write_text("sequence,label\n,yes\n")
    (files / "nolabels.csv").write_text("sequence\nACGT\n")
    (files / "genome.json").write_text("[]")
    (files / "mine.png").write_bytes(b"a picture of mine")
    (files / "album.png").mkdir()
    save_model(files / "textmodel", loaded_model(YES_NO))
    tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0}, [])).save(str(files / "textmodel/tokenizer.json"))
    save_model(files / "oddmodel", loaded_model(YES_NO))
    config = json.loads((files / "oddmodel/config.json").read_text())
    config["encoder"]["num_layer"] = 3
    (files / "oddmodel/config.json").write_text(json.dumps(config))
    return files


@pytest.mark.parametrize("mistake", [name for name, (_, message) in MISTAKES.items() if message])
def test_a_mistake_is_one_line_and_exit_code_2_and_writes_nothing(bigbird, broken, mistake):
    arguments, message = MISTAKES[mistake]
    before = {path for path in broken.rglob("*") if path.suffix != ".fai"}
    code, out, said = bigbird(*arguments)
    last = said.strip().splitlines()[-1]
    assert code == 2, said
    assert last.startswith("bigbird: ")
    assert re.search(message, last), last
    assert "Traceback" not in out + said
    assert {path for path in broken.rglob("*") if path.suffix != ".fai"} == before


@pytest.mark.parametrize("command", ["scan", "predict"])
def test_where_the_answer_goes_is_checked_before_the_work(bigbird, files, monkeypatch, command):  # noqa: ARG001
    def refuse(_):
        raise AssertionError("the work has begun")

    monkeypatch.setattr("bigbird.predictor.Predictor.load", refuse)
    arguments = {"scan": ["--genome", "genome.fa", "--out", "dev.csv"], "predict": ["dev.csv", "--out", "windows"]}
    assert bigbird(command, "tokens", *arguments[command])[0] == 2


def test_a_file_without_the_right_to_read_is_told_in_one_line(bigbird, files, monkeypatch):
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "dev.csv" not in str(path) and allowed(path, mode))
    opened = type(files).open

    def refuse(path, *arguments, **options):
        if path.name == "dev.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(type(files), "open", refuse)
    assert bigbird("predict", "tokens", "dev.csv") == (2, "", "bigbird: cannot read dev.csv: Permission denied\n")


def test_a_fasta_that_cannot_be_indexed_is_scanned_without_words_of_the_c_library(files):
    sequence = dna(1_000, 1)
    (files / "ragged.fa").write_text(f">chr1\n{sequence[:60]}\n{sequence[60:65]}\n{sequence[65:]}\n")
    done = in_process(["scan", "tokens", "--genome", "ragged.fa", "--out", "found", *SMALL_WINDOWS], files)
    assert done.returncode == 0
    assert "cannot be indexed" in done.stderr.replace("\n", " ")
    assert "[E::" not in done.stderr


PROGRAM = "import sys; from bigbird.cli import main; sys.argv = ['bigbird', *sys.argv[1:]]; main()"


def in_process(arguments, folder, *, program=PROGRAM, **options):
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=folder, text=True, stderr=subprocess.PIPE, check=False, **options)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["predict", "windows", "one.csv"], id="found at the end"),
        pytest.param(["predict", "windows", "many.csv"], id="found while writing"),
        pytest.param(["--help"], id="help"),
        pytest.param(["bench", "--help"], id="help of a command"),
        pytest.param(["info"], id="info"),
        pytest.param([], id="no command"),
    ],
)
def test_a_reader_of_our_output_may_leave(files, arguments):
    for name, num_records in (("one", 1), ("many", 5_000)):
        (files / f"{name}.csv").write_text("sequence\n" + "ACGT\n" * num_records)
    there, here = os.pipe()
    os.close(there)
    done = in_process(arguments, files, stdout=here)
    os.close(here)
    assert (done.returncode, done.stderr) == (0, "")


def test_when_nobody_hears_what_is_said_the_exit_code_still_tells(files):
    there, here = os.pipe()
    os.close(there)
    command = [sys.executable, "-c", PROGRAM]
    codes = [
        subprocess.run([*command, *arguments], cwd=files, stdout=here, stderr=here, check=False).returncode
        for arguments in (["predict", "nowhere", "dev.csv"], ["scan", "x", "--nonsense"], ["bench", "--help"])
    ]
    os.close(here)
    assert codes == [2, 2, 0]


def test_ctrl_c_says_that_it_stopped(files):
    program = (
        "import signal; from bigbird.predictor import Predictor\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # tests run in the background ignore it
        "Predictor.load = lambda model: signal.raise_signal(signal.SIGINT)\n" + PROGRAM
    )
    done = in_process(["predict", "tokens", "dev.csv"], files, program=program)
    assert (done.returncode, done.stderr) == (130, "bigbird: stopped\n")


def test_figures_that_are_not_known_are_null(bigbird, files):
    rows = (files / "dev.csv").read_text().splitlines()
    (files / "one.csv").write_text("\n".join([rows[0], *(row for row in rows[1:] if row.endswith(",yes"))]) + "\n")
    code, _, said = bigbird("evaluate", "windows", "one.csv", "--out", "figures.json")
    assert code == 0, said

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    scores = json.loads((files / "figures.json").read_text(), parse_constant=refuse)["scores"]
    assert scores["auroc/yes"]["value"] is None


def test_regions_are_scanned_in_the_order_of_the_genome(bigbird, files):
    regions = ["--region", "chr2", "--region", "chr1:2001-3000", "--region", "chr1:1-1000"]
    code, _, said = bigbird(
        "scan", "windows", "--genome", "genome.fa", *regions, *settings("window_bp=200", "overlap_bp=100")
    )
    assert code == 0, said
    summary = json.loads((files / "scan/summary.json").read_text())
    assert summary["regions"] == ["chr1:1-1000", "chr1:2001-3000", "chr2:1-2000"]


def test_a_second_run_in_one_folder_is_refused_and_loses_nothing(bigbird, files):
    assert bigbird("train", "genomics.classification", "--out", "run", *SMALL_RUN)[0] == 0
    before = (files / "run/metrics.jsonl").read_text()
    code, _, said = bigbird("train", "genomics.classification", "--out", "run", *SMALL_RUN)
    assert code == 2
    assert "run holds a run already; resume it with --resume, or choose another folder" in said
    assert (files / "run/metrics.jsonl").read_text() == before


@pytest.mark.parametrize("text", ['{"recipe": []}', '{"recipe": 5}', "[]", "[" * 100_000, '{"data": {}}'])
def test_a_run_json_that_is_none_is_told_in_one_line(bigbird, files, text):
    (files / "odd.json").write_text(text)
    code, _, said = bigbird("train", "odd.json", "--out", "run")
    assert code == 2
    assert said.startswith("bigbird: odd.json is no run.json of an earlier run: ")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_what_is_read_is_never_overwritten(bigbird, files, command):
    before = (files / "dev.csv").read_text()
    code, _, said = bigbird(command, "windows", "dev.csv", "--out", "dev.csv")
    assert (code, said) == (2, "bigbird: --out dev.csv is what is read; name another file\n")
    assert (files / "dev.csv").read_text() == before


def test_bench_wants_a_json_file(bigbird, files):  # noqa: ARG001
    code, _, said = bigbird("bench", "attention", "--out", "figures.png")
    assert (code, said) == (2, "bigbird: --out figures.png must end in .json; the picture is written beside it\n")


def test_bench_writes_figures_and_a_picture(bigbird, files):
    bench = ("bench", "attention", *SMALL_BENCH, "--out", "figures/attention.json")
    code, _, said = bigbird(*bench)
    assert code == 0, said
    assert "gathered: correct at 1024 tokens" in said
    found = json.loads((files / "figures/attention.json").read_text())
    assert found["bench"] == "attention"
    assert [result["pass"] for result in found["results"]] == ["forward", "forward and backward"]
    assert bigbird(*bench)[0] == 0  # what it has written itself it may replace, as any other command may
    code, out, _ = bigbird("bench", "layer", "--show", "--set", "size=tiny")
    assert (code, json.loads(out)["size"]) == (0, "tiny")
    code, _, said = bigbird("bench", "step", "--set", "size=huge")
    assert (code, said.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["train"], ["predict", "x"], ["scan", "x", "--nonsense"], ["scan", "x", "--out"]]
)
def test_wrong_usage_is_one_plain_line_and_exit_code_2(bigbird, arguments):
    code, out, said = bigbird(*arguments)
    assert (code, out, said.count("\n")) == (2, "", 1)
    assert said.startswith("bigbird: ")


def test_without_a_command_the_help_is_shown(bigbird):
    code, out, said = bigbird()
    assert (code, said) == (2, "")
    assert "scan" in out


def test_the_options_are_frozen():
    # A new option is a promise for years; change this list on purpose.
    import typer

    commands = typer.main.get_command(cli.app).commands
    options = {
        name: sorted(option for parameter in command.params for option in parameter.opts if option.startswith("--"))
        for name, command in commands.items()
    }
    assert options == {
        "train": ["--auto-resume", "--out", "--processes", "--resume", "--resume-from", "--set", "--show"],
        "prepare": [
            *("--held-out", "--hold-out", "--name-field", "--out", "--region", "--seed", "--text-field"),
            *("--tokenizer", "--walks", "--workers"),
        ],
        "windows": [],  # a group; its commands have their own
        "evaluate": ["--genome", "--out", "--part", "--region", "--row-length"],
        "calibrate": ["--genome", "--out", "--region"],
        "predict": ["--genome", "--out"],
        "scan": ["--annotation", "--genome", "--label", "--out", "--region", "--set", "--threshold"],
        "ask": ["--json", "--model", "--out", "--question", "--questions", "--threshold", "--top-k"],
        "summarize": ["--json", "--length", "--model", "--out", "--query", "--support"],
        "variants": ["--genome", "--label", "--on-ref-mismatch", "--out", "--set", "--table"],
        "explain": [
            *("--at", "--attribution", "--deletions", "--genome", "--label", "--out", "--region", "--window"),
        ],
        "embed": ["--genome", "--layer", "--out", "--pool", "--strands"],
        "convert": ["--block-size", "--from-bin", "--max-length", "--num-heads", "--random-blocks"],
        "report": ["--out"],
        "info": [],
        "bench": ["--out", "--set", "--show"],
    }


def test_help_answers_at_once():
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv = ['bigbird', '--help']; from bigbird.cli import main; main()",
    ]
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds.append(time.monotonic() - started)
    assert "scan" in done.stdout
    assert min(seconds) < 1.5
