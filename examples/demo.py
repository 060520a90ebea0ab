"""The promoter model on a stretch of human DNA it has never seen: scan, compare, train a little. `make demo` runs this.

python examples/demo.py --out demo-output
"""

import argparse
import importlib.resources
import shutil
import time
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import track

from bigbird import Genome, Predictor, config
from bigbird.data.intervals import parse_region, read_annotation, start_sites
from bigbird.genomics.report import in_words, write_scan
from bigbird.genomics.scan import ScanConfig, scan
from bigbird.recipes import recipe
from bigbird.run import train

MODEL = "promoter"
SAMPLE = Path(str(importlib.resources.files("bigbird"))) / "samples" / "chr22_slice"
REGION = "chr22:30,000,001-31,000,000"

console = Console(stderr=True)


def main() -> None:
    """Run the three parts and say what came out."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path("demo-output"))
    arguments.add_argument("--training-steps", type=int, default=80, help="under a second each")
    options = arguments.parse_args()
    scan_part(options.out)
    train_part(options.out, options.training_steps)
    say("")
    say("What to try next:")
    say(f"  open {options.out / 'report.html'} in a browser, calls.bed and scores.bedgraph in IGV")
    say("  bigbird scan promoter --genome YOUR.fa.gz --annotation YOUR.gtf.gz --out scan")
    say("  bigbird info promoter        the model card: data, figures beside baselines, limits")
    say("  bigbird train genomics.classification --show        train on your own labelled sequences")


def scan_part(out: Path) -> None:
    """Scan the bundled stretch and compare the calls with the annotated genes."""
    started = time.monotonic()
    say(f"1. Scanning {REGION} of human chromosome 22, which the model has not seen in training.")
    genome = Genome.open(SAMPLE / "genome.fa.gz")
    region = parse_region(REGION, genome.contigs)
    features = read_annotation(SAMPLE / "genes.gtf.gz", genome.contigs)
    predictor = Predictor.load(MODEL)
    settings = config.changed(ScanConfig(), predictor.loaded.notes["scan"], source=MODEL)
    watch = partial(track, description="scanning", console=console, disable=not console.is_terminal)
    found = scan(predictor, genome, region, settings, watch=lambda windows, total: watch(windows, total=total))
    result = write_scan(out, [found], settings, features, model=MODEL)
    say(f"   {len(result.found)} promoter calls in {time.monotonic() - started:.0f} s, written to {out}")
    say(f"   {in_words(result.agreement)}")


def train_part(out: Path, num_steps: int) -> None:
    """Fine-tune on the left half of the stretch, score on the right half."""
    say(f"2. Training: {num_steps} steps on the left half, scored on the right half (about a minute).")
    annotation = SAMPLE / "genes.gtf.gz"
    sites = out / "gene-starts.bed"
    write_starts(sites, annotation)
    folder = out / "fine-tuned"
    shutil.rmtree(folder, ignore_errors=True)
    run = config.overridden(
        recipe("genomics.promoter"),
        [
            f"start={MODEL}",
            f'data.genomes=["{SAMPLE / "genome.fa.gz"}"]',
            f"data.sites={sites}",
            f'data.annotations=["{annotation}"]',
            'data.train_regions=["chr22:30,000,001-30,500,000"]',
            'data.validation_regions=["chr22:30,500,001-31,000,000"]',
            f"training.num_steps={num_steps}",
            "training.batch_size=8",
            "training.micro_batch_size=8",
            "training.learning_rate=1e-4",
            "training.warmup_steps=5",
            f"training.evaluate_every={num_steps}",
            f"training.save_every={num_steps}",
        ],
        source="demo",
    )
    train(run, folder, console=console)
    say(f"   the model that scored best is in {folder / 'model'}, every step in {folder / 'metrics.jsonl'}")


def write_starts(path: Path, annotation: Path) -> None:
    """The starts of protein-coding genes as BED."""
    genome = Genome.open(SAMPLE / "genome.fa.gz")
    genes = [gene for gene in read_annotation(annotation, genome.contigs) if gene.biotype == "protein_coding"]
    lines = [f"{s.contig}\t{s.start}\t{s.end}\t{s.name}\t0\t{s.strand}\n" for s in start_sites(genes, kind="gene")]
    path.write_text("".join(lines))


def say(text: str) -> None:
    """One line on the console."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
