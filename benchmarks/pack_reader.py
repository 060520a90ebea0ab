"""A trained reader in few bytes: weights in eight bits, and no rows for tokens that no text has.

    python benchmarks/pack_reader.py runs/reader/model --out src/bigbird/pretrained/reader

BERT's vocabularies hold places that were never used, [unused0] and so on; they are left out, and the others move up.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from bigbird.checkpoint import LoadedModel, load_model, save_model
from bigbird.tokenizers import TextTokenizer
from bigbird.tokenizers.text import SETTINGS_FILE
from bigbird.tokenizers.vocabulary_files import WORD_FILE

WORDS = "encoder.embeddings.tokens.weight"
UNUSED = re.compile(r"\[unused\d+\]")


def without_unused(loaded: LoadedModel) -> LoadedModel:
    """The same model with rows for the tokens that texts may have."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loaded.tokenizer.save(folder)
        words = (folder / WORD_FILE).read_text(encoding="utf-8").splitlines()
        kept = [number for number, word in enumerate(words) if not UNUSED.fullmatch(word)]
        settings = (folder / SETTINGS_FILE).read_text()
        for path in folder.iterdir():
            path.unlink()
        (folder / WORD_FILE).write_text("".join(f"{words[number]}\n" for number in kept), encoding="utf-8")
        (folder / SETTINGS_FILE).write_text(settings)
        tokenizer = TextTokenizer.from_folder(folder)
    encoder = replace(loaded.encoder, vocab_size=len(kept))
    model = loaded.task.build_model(encoder).eval()
    weights = loaded.model.state_dict()
    model.load_state_dict({**weights, WORDS: weights[WORDS][torch.tensor(kept)]})
    return replace(loaded, model=model, encoder=encoder, tokenizer=tokenizer)


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    save_model(given.out, without_unused(load_model(given.model)), stored_as="int8")
    for path in sorted(given.out.iterdir()):
        print(f"{path.name}\t{path.stat().st_size:,}")


if __name__ == "__main__":
    main()
