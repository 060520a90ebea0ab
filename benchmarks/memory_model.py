"""The memory foretold for a run against the peak of real runs, each in a process of its own.

    python benchmarks/memory_model.py --out benchmarks/results/memory_model.json

Runs of four steps on random DNA of one length, and of hundreds on windows of the genome that comes with the package,
whose steps all differ in length. With --only the results of the other cases that --out holds are kept. Cases named
"fit" were looked at when the shares of gaps in bigbird.training.memory_model were set; the others are foretold.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import bigbird
from bigbird import randomness
from bigbird.attention import PatternSpec
from bigbird.bench.about import about
from bigbird.data import genome_windows
from bigbird.data.files import json_text, written_whole
from bigbird.data.sources import FileData
from bigbird.errors import RunStopped
from bigbird.machine import keep_freed_memory
from bigbird.model.encoder import EncoderConfig
from bigbird.recipes.genomics import pretrain
from bigbird.run import RunConfig, train
from bigbird.run_start import Scratch
from bigbird.tasks import Classification, MaskedLM
from bigbird.training import room
from bigbird.training.reporting import METRICS_FILE
from bigbird.training.settings import TrainingConfig
from kept_results import kept

# Sizes of the runs. "window_bp": windows of a genome, in byte pairs.
CASES = {
    "fit: 6 layers, 2 x 1536": {"hidden": 384, "layers": 6, "length": 1536, "micro": 2},
    "fit: bfloat16, 4 x 3072 twice": {
        "hidden": 192, "layers": 4, "length": 3072, "micro": 4, "batch": 8, "precision": "bfloat16",
    },
    "fit: 1 x 2048 three times": {"hidden": 512, "layers": 3, "length": 2048, "micro": 1, "batch": 3},
    "fit: classification, 3 x 2048": {"hidden": 320, "layers": 5, "length": 2048, "micro": 3, "task": "classification"},
    "fit: checkpointed, 2 x 2048 twice": {
        "hidden": 384, "layers": 6, "length": 2048, "micro": 2, "batch": 4, "checkpoint": True,
    },
    "fit: width 1024, 2 x 256": {"hidden": 1024, "layers": 2, "length": 256, "micro": 2},
    "fit: adafactor, 2 x 512": {"hidden": 512, "layers": 4, "length": 512, "micro": 2, "optimizer": "adafactor"},
    "4 x 1024": {"hidden": 256, "layers": 4, "length": 1024, "micro": 4},
    "8 x 512 twice": {"hidden": 256, "layers": 4, "length": 512, "micro": 8, "batch": 16},
    "2 x 4096 twice": {"hidden": 256, "layers": 4, "length": 4096, "micro": 2, "batch": 4},
    "deep and narrow": {"hidden": 128, "layers": 10, "length": 2048, "micro": 2},
    "wide and shallow": {"hidden": 768, "layers": 2, "length": 1024, "micro": 2},
    "base width, 1 x 512": {"hidden": 768, "layers": 6, "length": 512, "micro": 1},
    "bfloat16, 1 x 4096": {"hidden": 512, "layers": 4, "length": 4096, "micro": 1, "precision": "bfloat16"},
    "fit: checkpointed, 1 x 4096": {"hidden": 256, "layers": 8, "length": 4096, "micro": 1, "checkpoint": True},
    "checkpointed, 1 x 3072": {"hidden": 320, "layers": 6, "length": 3072, "micro": 1, "checkpoint": True},
    "fit: windows, bfloat16, 12 x 2400 bp": {
        "hidden": 192, "layers": 4, "window_bp": 2400, "micro": 12, "precision": "bfloat16", "steps": 100,
    },
    "fit: windows, 4 x 6000 bp": {"hidden": 192, "layers": 3, "window_bp": 6000, "micro": 4, "steps": 100},
    "fit: windows, bfloat16, 6 x 2400 bp twice": {
        "hidden": 192, "layers": 3, "window_bp": 2400, "micro": 6, "batch": 12, "precision": "bfloat16", "steps": 100,
    },
    "windows, bfloat16, 8 x 2400 bp": {
        "hidden": 192, "layers": 4, "window_bp": 2400, "micro": 8, "precision": "bfloat16", "steps": 300,
    },
    "windows, bfloat16, width 64, 24 x 2400 bp": {
        "hidden": 64, "layers": 4, "window_bp": 2400, "micro": 24, "precision": "bfloat16", "steps": 300,
    },
    "windows, width 64, 2 x 20000 bp": {"hidden": 64, "layers": 4, "window_bp": 20_000, "micro": 2, "steps": 300},
    "windows, width 64, 6 x 6000 bp": {"hidden": 64, "layers": 3, "window_bp": 6000, "micro": 6, "steps": 300},
    "windows, bfloat16, width 384, 2 x 2400 bp": {
        "hidden": 384, "layers": 3, "window_bp": 2400, "micro": 2, "precision": "bfloat16", "steps": 300,
    },
    "windows, bfloat16, 24 x 2400 bp": {
        "hidden": 192, "layers": 4, "window_bp": 2400, "micro": 24, "precision": "bfloat16", "steps": 300,
    },
    "windows, bfloat16, 4 x 2400 bp twice": {
        "hidden": 192, "layers": 3, "window_bp": 2400, "micro": 4, "batch": 8, "precision": "bfloat16", "steps": 300,
    },
}  # fmt: skip
NUM_STEPS = 4
VOCAB_SIZE = 4096
SLICE = Path(bigbird.__file__).parent / "samples/chr22_slice/genome.fa.gz"


def main() -> None:
    """Measure all cases, or carry one out and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file for the figures")
    parser.add_argument("--only", nargs="+", metavar="CASE", choices=CASES, default=list(CASES))
    parser.add_argument(
        "--seconds", type=float, help="after which a case is stopped and what it took until then counts"
    )
    parser.add_argument("--one", metavar="CASE", help="carry out one case, in JSON, and print what it took")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(json.loads(given.one))))
        return
    if given.out is None:
        parser.error("say where the figures shall be written, with --out FILE")
    results = kept(given.out, "results")
    for name in given.only:
        case, started = CASES[name], time.perf_counter()
        code, said, complaint = carried_out(case, given.seconds)
        if code:
            print(name, "failed:", complaint[-2000:])
            continue
        result = {"case": case, **json.loads(said.splitlines()[-1])}
        results[name] = result
        parts = {part: f"{value / 2**20:.0f}" for part, value in result["foretold"].items()}
        print(f"{name:24} {result['error']:+.1%}  peak {result['peak'] / 2**20:.0f} MiB  {parts}", end="  ", flush=True)
        print(f"{result['steps']} steps, {time.perf_counter() - started:.0f} s", flush=True)
        write(given.out, {name: results[name] for name in CASES if name in results})


def carried_out(case: dict, seconds: float | None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process that carries a case out, asked to stop after so many seconds."""
    command = [sys.executable, __file__, "--one", json.dumps(case)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            said, complaint = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            said, complaint = process.communicate()
    return process.returncode, said, complaint


def write(path: Path, results: dict[str, dict]) -> None:
    """The results, and the worst of those that gave no share and of all."""
    foretold = [abs(result["error"]) for name, result in results.items() if not name.startswith("fit")]
    worst = {
        "worst_error": max(abs(result["error"]) for result in results.values()),
        "worst_error_of_those_foretold": max(foretold, default=None),
    }
    with written_whole(path) as new:
        new.write_text(json_text({"what": __doc__, **worst, "results": results}))


def one(case: dict) -> dict:
    """Train as `bigbird train` does; what was foretold and the peak of this process."""
    keep_freed_memory()
    foretold = {}
    tell = room.told

    def listening(model, *rest, **named):
        need = model.need()
        parts = {name: getattr(need, name) for name in ("process", "state", "saved", "activations", "gaps", "total")}
        foretold.update(parts)
        return tell(model, *rest, **named)

    room.told = listening
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with contextlib.suppress(RunStopped):
            train(run_config(case, Path(folder)), Path(folder) / "run")
        seconds = time.perf_counter() - started
        events = map(json.loads, (Path(folder) / "run" / METRICS_FILE).read_text().splitlines())
        steps = sum(event["event"] == "step" for event in events)
    peak = status("VmHWM")
    error = foretold["total"] / peak - 1
    measured = {"foretold": foretold, "peak": peak, "error": error, "steps": steps, "seconds": round(seconds, 1)}
    return {"about": about(), **measured}


def run_config(case: dict, folder: Path) -> RunConfig:
    """A run on random DNA, or on windows of a genome."""
    if "window_bp" in case:
        return window_config(case)
    for name, number in (("train", 24), ("dev", 4)):
        rows = [{"sequence": dna(number, i, case["length"] - 2), "label": ["a", "b"][i % 2]} for i in range(number)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    encoder = EncoderConfig(
        vocab_size=1, hidden_size=case["hidden"], num_layers=case["layers"], num_heads=case["hidden"] // 64,
        inner_size=4 * case["hidden"], max_length=4096, positions="rotary", norm="pre",
        pattern=PatternSpec(block_size=64),
    )  # fmt: skip
    is_masked = case.get("task") != "classification"
    return RunConfig(
        recipe="benchmark",
        start=Scratch(tokenizer="single-base", encoder=encoder),
        task=MaskedLM(max_length=4096) if is_masked else Classification(labels=(), max_length=4096),
        data=FileData(train=str(folder / "train.jsonl"), validation=str(folder / "dev.jsonl")),
        training=TrainingConfig(
            num_steps=NUM_STEPS, batch_size=case.get("batch", case["micro"]), micro_batch_size=case["micro"],
            precision=case.get("precision", "float32"), evaluate_every=4, save_every=2,
            checkpoint_activations=case.get("checkpoint", False), optimizer=case.get("optimizer", "adamw"),
        ),
    )  # fmt: skip


def window_config(case: dict) -> RunConfig:
    """The recipe genomics.pretrain, smaller, on the genome that comes with the package."""
    genome_windows._CORPUS_PIECES = 2000  # noqa: SLF001  byte pairs of fewer bases take less time and memory to find
    recipe = pretrain()
    sizes = {name: case["hidden"] * times for name, times in (("hidden_size", 1), ("inner_size", 4))}
    encoder = replace(
        recipe.start.encoder, **sizes, num_heads=case["hidden"] // 64, num_layers=case["layers"],
    )  # fmt: skip
    return replace(
        recipe,
        start=replace(recipe.start, vocab_size=VOCAB_SIZE, encoder=encoder),
        data=replace(
            recipe.data, genomes=(str(SLICE),), window_bp=case["window_bp"], num_validation=4,
            train_regions=("chr22:30000001-30900000",), validation_regions=("chr22:30900001-31000000",),
        ),
        training=replace(
            recipe.training, num_steps=case["steps"], batch_size=case.get("batch", case["micro"]),
            micro_batch_size=case["micro"], precision=case.get("precision", "float32"), evaluate_every=50,
            save_every=50,
        ),
    )  # fmt: skip


def dna(*key_and_length: int) -> str:
    """Random bases."""
    *key, length = key_and_length
    return "".join(np.array(list("ACGT"))[randomness.integers(0, 4, *key, np.arange(length))])


def status(name: str) -> int:
    """A value of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
