"""What `bigbird prepare` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigbird.data.documents import Reading
from bigbird.data.genome_documents import GenomeWalk
from bigbird.data.sources import check_seed
from bigbird.errors import ConfigError

DEFAULT_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What a corpus is made of and how.

    sources        files and folders
    tokenizer      the folder of one, or one to make: see `corpus_tokenizer.NewTokenizer`
    text_field     of JSON lines and Parquet, see `documents.Reading`
    name_field     likewise
    held_out       share of the documents that is not trained on, drawn by name; without it 0.05, or 0 when hold_out
                   names some
    hold_out       documents by name, and contigs or regions of genomes, that are not trained on
    regions        of genomes: only these are read
    walks          along each contig of a genome
    seed           of what is drawn
    shard_letters  characters or bases of a shard
    """

    sources: tuple[Path, ...]
    tokenizer: str
    text_field: str = "text"
    name_field: str = ""
    held_out: float | None = None
    hold_out: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    walks: int = 1
    seed: int = 0
    shard_letters: int = 32_000_000

    def __post_init__(self) -> None:
        check_seed(self.seed)
        self.reading  # noqa: B018  checks the settings of the walk along a genome
        if self.held_out is not None and not 0 <= self.held_out < 1:
            raise ConfigError(f"--held-out must be a share from 0 to below 1, got {self.held_out}")
        if self.walks > 1 and self.share:
            raise ConfigError(
                "with several walks the documents of a genome share bases, so a share of them cannot be held out; name "
                "contigs or regions with --hold-out"
            )
        if self.shard_letters < 1:
            raise ConfigError(f"shard_letters must be at least 1, got {self.shard_letters}")

    @property
    def share(self) -> float:
        """Share of documents held out."""
        return self.held_out if self.held_out is not None else 0.0 if self.hold_out else DEFAULT_SHARE

    @property
    def reading(self) -> Reading:
        """How documents are taken out of files."""
        walk = GenomeWalk(walks=self.walks, regions=self.regions, hold_out=self.hold_out, seed=self.seed)
        return Reading(text_field=self.text_field, name_field=self.name_field, walk=walk)

    def asked(self) -> dict[str, Any]:
        """What the corpus' bytes depend on, beside its sources and its tokenizer."""
        return {
            "text_field": self.text_field,
            "name_field": self.name_field,
            "held_out": self.share,
            "hold_out": list(self.hold_out),
            "regions": list(self.regions),
            "walks": self.walks,
            "seed": self.seed,
            "shard_letters": self.shard_letters,
        }
