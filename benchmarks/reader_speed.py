"""How long an answer over a document of thirty pages takes, beside transformers' BigBird and a BERT of the same size.

    python benchmarks/reader_speed.py MODEL --bert FOLDER --questions questions --out reader_speed.json

The document is the contract of CUAD whose number of words is nearest to 30 pages of 500. In turn, each from text to
answer, batch 1, float32 (transformers' BigBird fails under bfloat16 autocast), no gradients:

    reader         bigbird.Reader.ask: tokens, windows of 4,096 tokens, all spans of all windows compared
    as it ships    the same with the windows the model was made for
    transformers   BigBirdForQuestionAnswering with the reader's encoder, windows of 4,096, best start and end alone
    bert           BertForQuestionAnswering from FOLDER (what the reader began from), windows of 512, 128 shared, eight
                   at a time, best start and end alone

Their patterns differ (the reader's question is global), so their answers do. `times_as_long` is the median (least,
most) of the rounds' own ratios to the reader.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from bigbird import Reader
from bigbird.bench.about import about
from bigbird.bench.timing import Spread, seconds
from bigbird.checkpoint import find_model
from bigbird.data.files import json_text
from bigbird.data.question_lines import read_questions
from bigbird.errors import require
from bigbird.interop import huggingface
from bigbird.model.encoder import Encoder

WORDS = 30 * 500
LENGTH, SHARED = 4096, 256
QUESTION = "When does this agreement end?"


def document(questions: Path) -> str:
    """The contract nearest to thirty pages."""
    contracts = [text for text, _ in groupby(one.document for one in read_questions(questions / "cuad.jsonl"))]
    return min(contracts, key=lambda text: abs(len(text.split()) - WORDS))


def theirs(model: Any, tokenizer: Any, text: str, *, length: int, shared: int, at_once: int) -> Callable[[], None]:
    """One answer with a model of transformers."""

    def answer() -> None:
        windows = tokenizer(
            QUESTION,
            text,
            truncation="only_second",
            max_length=length,
            stride=shared,
            return_overflowing_tokens=True,
            padding=True,
            return_tensors="pt",
        )
        with torch.no_grad():
            for first in range(0, len(windows["input_ids"]), at_once):
                part = slice(first, first + at_once)
                found = model(
                    input_ids=windows["input_ids"][part],
                    attention_mask=windows["attention_mask"][part],
                    token_type_ids=windows["token_type_ids"][part],
                )
                found.start_logits.argmax(-1), found.end_logits.argmax(-1)

    return answer


def contenders(reader: Reader, folder: Path, bert: Path, text: str) -> dict[str, Callable[[], None]]:
    """Each from text to answer."""
    library = require("transformers", extra="hf", purpose="this benchmark")
    library.logging.set_verbosity_error()
    own = reader.loaded.model.encoder
    assert isinstance(own, Encoder)
    encoder = Encoder(replace(own.config, pattern=replace(own.config.pattern, global_at="ends")))  # what theirs has
    encoder.load_state_dict(own.state_dict())
    far = Reader(replace(reader.loaded, task=replace(reader.loaded.task, max_length=LENGTH, overlap=SHARED)))
    words, few_words = (library.BertTokenizerFast.from_pretrained(place) for place in (bert, folder))
    with tempfile.TemporaryDirectory() as place:
        huggingface.save(encoder, Path(place) / "hub")
        big_bird = library.BigBirdForQuestionAnswering.from_pretrained(Path(place) / "hub").eval()
    small = library.BertForQuestionAnswering.from_pretrained(bert, attn_implementation="sdpa").eval()
    return {
        "reader": lambda: far.ask(text, QUESTION) and None,
        "as it ships": lambda: reader.ask(text, QUESTION) and None,
        "transformers": theirs(big_bird, few_words, text, length=LENGTH, shared=SHARED, at_once=1),
        "bert": theirs(small, words, text, length=512, shared=128, at_once=8),
    }


def main() -> None:
    """Rounds of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--bert", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    reader, text = Reader.load(given.model, device="cpu"), document(given.questions)
    runs = contenders(reader, find_model(given.model), given.bert, text)
    tokens = len(reader.loaded.tokenizer.encode_batch([text])[0].ids)
    results: dict[str, Any] = {
        "words": len(text.split()),
        "tokens": tokens,
        "ships_with": reader.loaded.task.max_length,
    }
    for run in runs.values():
        run()
    taken = [{name: seconds(run) for name, run in runs.items()} for _ in range(given.rounds)]
    results |= {f"seconds_{name}": Spread.of([turn[name] for turn in taken])._asdict() for name in runs}
    results |= {
        f"times_as_long_{name}": Spread.of([turn[name] / turn["reader"] for turn in taken])._asdict()
        for name in runs
        if name != "reader"
    }
    print(results)
    given.out.write_text(json_text({"about": about(), "what": __doc__, "rounds": given.rounds, **results}))


if __name__ == "__main__":
    main()
