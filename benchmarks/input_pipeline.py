"""How many times faster rows become batches than a model learns from them, on this machine.

    python benchmarks/input_pipeline.py CORPUS --out benchmarks/results/input_pipeline.json

CORPUS is a prepared corpus whose tokenizer has [MASK]. Both sides use the same rows and one thread each: reading,
hiding tokens and packing on one, the training step of a small encoder (4 layers of 192, the size of the genome recipes)
on the other. Alternated, medians of several rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

from bigbird.attention import PatternSpec
from bigbird.bench.about import about
from bigbird.data.files import json_text
from bigbird.data.prepared import PreparedCorpus, PreparedData
from bigbird.data.sources import shuffled
from bigbird.model.encoder import EncoderConfig
from bigbird.tasks import Batch, MaskedLM

ROUNDS, ROWS = 5, 4


def main() -> None:
    """Measure both sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("--row-length", type=int, default=4096)
    parser.add_argument("--block-size", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = PreparedData(corpus=options.corpus, row_length=options.row_length, block_size=options.block_size)
    data, task = config.open(), MaskedLM(max_length=options.row_length)
    assert data.tokenizer is not None
    encoder = EncoderConfig(
        vocab_size=data.tokenizer.vocab_size,
        num_layers=4,
        hidden_size=192,
        num_heads=3,
        inner_size=768,
        max_length=options.row_length,
        positions="rotary",
        norm="pre",
        pattern=PatternSpec(block_size=options.block_size),
    )
    model = task.build_model(encoder).train()
    optimizer = torch.optim.AdamW(model.parameters())

    def batch(number: int) -> Batch:
        rows = [shuffled(data.train, place, seed=0) for place in range(number * ROWS, (number + 1) * ROWS)]
        examples = [example for row in rows for example in task.encode(row, data.tokenizer, purpose="train")]
        return task.collate(examples, block_size=options.block_size)

    def step(made: Batch) -> None:
        optimizer.zero_grad()
        loss = task.loss(model, made)
        (loss.total / loss.num_targets).backward()
        optimizer.step()

    step(batch(0))  # patterns, mapped shards, first allocations
    input_rates, step_rates = [], []
    for number in range(1, ROUNDS + 1):
        started = time.perf_counter()
        made = batch(number)
        between = time.perf_counter()
        step(made)
        tokens = sum(made.layout.lengths)
        input_rates.append(tokens / (between - started))
        step_rates.append(tokens / (time.perf_counter() - between))
    manifest = PreparedCorpus.open(options.corpus).manifest
    result = {
        "row_length": options.row_length,
        "block_size": options.block_size,
        "rows_per_batch": ROWS,
        "vocab_size": manifest.vocab_size,
        "corpus_tokens": manifest.num_tokens,
        "input_tokens_per_second": {"median": statistics.median(input_rates), "all": input_rates},
        "model_tokens_per_second": {"median": statistics.median(step_rates), "all": step_rates},
        "times_faster": statistics.median(input_rates) / statistics.median(step_rates),
    }
    print(result)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json_text({"about": about(), "what": __doc__, **result}))


if __name__ == "__main__":
    main()
