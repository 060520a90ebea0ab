"""Prepared corpora of a few documents."""

import random

from bigbird.data.preparing import PrepareConfig, prepare

WORDS = "the elephant sat ran home and sang under trees whose leaves nobody had counted".split()  # noqa: SIM905


def sentences(count, seed):
    draw = random.Random(seed)
    return " ".join(" ".join(draw.choices(WORDS, k=7)).capitalize() + "." for _ in range(count))


def text_corpus(folder, *, num_documents=12, tokenizer="text-bpe:300", held_out=("held.txt", "kept.txt")):
    """Texts of some 150 tokens, two of them held out; the corpus is in `folder`/corpus."""
    sources = folder / "texts"
    sources.mkdir()
    names = [f"{number}.txt" for number in range(num_documents)] + list(held_out)
    for seed, name in enumerate(names):
        (sources / name).write_text(sentences(6 + seed % 3, seed))
    config = PrepareConfig(
        sources=(sources,), tokenizer=str(tokenizer), hold_out=tuple(f"texts/{name}" for name in held_out)
    )
    prepare(config, folder / "corpus")
    return folder / "corpus"


def dna_corpus(folder, *, tokenizer="single-base"):
    """Contigs of 600 bases, one of them held out; the corpus is in `folder`/corpus."""
    fasta = folder / "genome.fa"
    contigs = {f"chr{seed}": "".join(random.Random(seed).choices("ACGT", k=600)) for seed in range(1, 6)}
    fasta.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    prepare(PrepareConfig(sources=(fasta,), tokenizer=tokenizer, hold_out=("chr5",)), folder / "corpus")
    return folder / "corpus"
