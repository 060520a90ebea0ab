"""Small models and DNA shared by the tests."""

import random

import torch

from bigbird.attention import PatternSpec
from bigbird.checkpoint import LoadedModel
from bigbird.data.records import Record, Span
from bigbird.model.encoder import EncoderConfig
from bigbird.tasks import Classification, TokenClassification
from bigbird.tokenizers import DnaTokenizer

MOTIF = "TATAAAGGCGCCTATAAA"
SINGLE_BASE = DnaTokenizer.single_base()


def encoder_config(tokenizer=SINGLE_BASE, **changes):
    values = {
        "vocab_size": tokenizer.vocab_size,
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "inner_size": 32,
        "max_length": 512,
        "positions": "rotary",
        "norm": "pre",
        "pattern": PatternSpec(block_size=16),
    }
    return EncoderConfig(**values | changes)


def loaded_model(task, *, tokenizer=SINGLE_BASE, seed=0, **changes):
    config = encoder_config(tokenizer, **changes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = task.build_model(config).eval()
    return LoadedModel(model, config, task, tokenizer, {})


def dna(length, seed):
    return "".join(random.Random(seed).choices("ACGT", k=length))


def motif_records(count, *, length=120, seed=0):
    """Every second record holds MOTIF: label "yes" and a span where it stands."""
    records = []
    for index in range(count):
        sequence = dna(length, (seed, index).__repr__())
        place = random.Random(f"{seed} {index}").randrange(length - len(MOTIF))
        has_motif = index % 2 == 1
        if has_motif:
            sequence = sequence[:place] + MOTIF + sequence[place + len(MOTIF) :]
        records.append(
            Record(
                name=f"record {index}",
                sequence=sequence,
                labels=("yes" if has_motif else "no",),
                spans=(Span(place, place + len(MOTIF), "motif"),) if has_motif else (),
            )
        )
    return records


YES_NO = Classification(labels=("no", "yes"), max_length=256, overlap=16)
MOTIF_TASK = TokenClassification(labels=("motif",), max_length=256, overlap=16)
STRANDED = TokenClassification(labels=("site+", "site-"), max_length=512, overlap=64, strands="both")
