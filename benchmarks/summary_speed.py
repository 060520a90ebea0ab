"""How long a summary of 4,096 tokens takes, beside transformers' BigBirdPegasus with the same weights.

    python benchmarks/summary_speed.py --out benchmarks/results/summary_speed.json

Base geometry (12 layers each, width 768, 12 heads, Pegasus' vocabulary of 96,103), random weights, one document,
float32, two threads. In turn, round by round: the document is encoded and exactly 128 tokens are written with five
beams.
"bigbird" is `Seq2Seq` with `generate`, "transformers" `BigBirdPegasusForConditionalGeneration.generate` of the same
weights in evaluation mode, whose encoder sees other random blocks (graph transformers-eval, which ours is given too, so
that both write the same tokens: that is checked first). "encode" is the encoder alone. `times_as_long` is the median
(least, most) of the rounds' own ratios.

    peak_bytes   of a process of its own that encodes a document of 2,048 to 16,384 tokens and writes 32 tokens, the
                 model's 1.2 GB among them
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bigbird.attention import DocumentLayout, PatternSpec
from bigbird.bench.about import about
from bigbird.bench.timing import Spread, seconds
from bigbird.data.files import json_text
from bigbird.errors import require
from bigbird.interop.huggingface_summarizer import load_summarizer
from bigbird.model.decoder_config import DecoderConfig
from bigbird.model.encoder import EncoderConfig
from bigbird.model.generation import GenerationConfig, generate
from bigbird.model.seq2seq import Seq2Seq

LENGTH, WRITTEN, BEAMS = 4096, 128, 5
LENGTHS = (2048, 4096, 8192, 16_384)
WIDTH, LAYERS, HEADS, INNER, VOCABULARY = 768, 12, 12, 3072, 96_103


def theirs() -> Any:
    """Transformers' model with random weights."""
    library = require("transformers", extra="hf", purpose="this benchmark")
    library.logging.set_verbosity_error()
    config = library.BigBirdPegasusConfig(
        vocab_size=VOCABULARY,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=INNER,
        decoder_ffn_dim=INNER,
    )
    torch.manual_seed(0)
    return library.BigBirdPegasusForConditionalGeneration(config).eval()


def write(model: Seq2Seq, token_ids: torch.Tensor, num_tokens: int) -> list[int]:
    """The best of the beams."""
    layout = DocumentLayout((len(token_ids),), 64)
    config = GenerationConfig(
        start_token=2, end_token=1, max_new_tokens=num_tokens, min_new_tokens=num_tokens, num_beams=BEAMS
    )
    with torch.inference_mode():
        read = model.encode(token_ids, layout)
        return list(generate(model.begin(read, layout), config)[0][0].token_ids)


def speed(rounds: int) -> dict[str, Any]:
    """Both in turn."""
    other = theirs()
    with tempfile.TemporaryDirectory() as folder:
        other.save_pretrained(folder)
        model = load_summarizer(folder, "transformers-eval")
    token_ids = torch.randint(100, VOCABULARY, (LENGTH,), generator=torch.Generator().manual_seed(1))
    settings = {"num_beams": BEAMS, "max_new_tokens": WRITTEN, "min_new_tokens": WRITTEN, "do_sample": False}

    def generated() -> list[int]:
        with torch.inference_mode():
            found: list[int] = other.generate(token_ids[None], **settings)[0, 1:].tolist()
        return found

    def encoded() -> None:
        with torch.inference_mode():
            other.model.encoder(token_ids[None])

    def read() -> None:
        with torch.inference_mode():
            model.encode(token_ids, DocumentLayout((LENGTH,), 64))

    are_equal = write(model, token_ids, WRITTEN) == generated()
    runs: dict[str, Callable[[], object]] = {
        "bigbird": lambda: write(model, token_ids, WRITTEN),
        "transformers": generated,
        "bigbird, encode": read,
        "transformers, encode": encoded,
    }
    taken = [{name: seconds(run) for name, run in runs.items()} for _ in range(rounds)]
    return {
        "same_tokens": are_equal,
        **{f"seconds_{name}": Spread.of([turn[name] for turn in taken])._asdict() for name in runs},
        "times_as_long": Spread.of([turn["transformers"] / turn["bigbird"] for turn in taken])._asdict(),
        "times_as_long_encode": Spread.of(
            [turn["transformers, encode"] / turn["bigbird, encode"] for turn in taken]
        )._asdict(),
    }


def peak(length: int) -> int:
    """Bytes of a process that writes about a document of that length."""
    here = [sys.executable, __file__, "--out", "-", "--alone", str(length)]
    told = subprocess.run(here, capture_output=True, text=True, check=True).stdout
    return int(json.loads(told))


def alone(length: int) -> None:
    """What such a process does."""
    config = EncoderConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_layers=LAYERS,
        num_heads=HEADS,
        inner_size=INNER,
        max_length=max(LENGTHS),
        positions="sinusoidal",
        norm="pre",
        scale_embeddings=True,
        embedding_norm=False,
        pattern=PatternSpec(block_size=64),
    )
    model = Seq2Seq(config, DecoderConfig(num_layers=LAYERS, num_heads=HEADS, inner_size=INNER)).eval()
    write(model, torch.randint(100, VOCABULARY, (length,)), 32)
    # Not getrusage's: what the parent had counts there too.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(line.split()[1]) * 1024)


def main() -> None:
    """Speed, then memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone is not None:
        alone(given.alone)
        return
    results = speed(given.rounds)
    results["peak_bytes"] = {length: peak(length) for length in LENGTHS}
    print(results)
    given.out.write_text(json_text({"about": about(), "what": __doc__, "rounds": given.rounds, **results}))


if __name__ == "__main__":
    main()
