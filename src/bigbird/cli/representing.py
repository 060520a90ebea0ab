"""The command that turns sequences into vectors: embed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bigbird.cli.arguments import GenomeFiles, Model, new_file, opened_genome, watched
from bigbird.cli.entry import app, say
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.checkpoint import LoadedModel
    from bigbird.data.records import Record

Pool = Literal["mean", "first", "max", "none"]
Strands = Literal["given", "both"]


@app.command()
def embed(
    model: Model,
    data: Annotated[
        Path,
        typer.Argument(
            help="Records: .fa, .bed (with --genome), .csv, .tsv or .jsonl. For a model that reads text: .txt, .jsonl "
            "or .parquet.",
            readable=False,
        ),
    ],
    *,
    out: Annotated[
        str,
        typer.Option(
            help="File to write: .npy (beside it names in .tsv, settings in .json), .parquet or .h5ad.",
            metavar="<path>",
        ),
    ],
    genome: GenomeFiles = None,
    pool: Annotated[
        Pool, typer.Option(help="mean or max of all letters, first ([CLS]), or none: a vector for each token.")
    ] = "mean",
    layer: Annotated[
        int, typer.Option(help="-1 the last layer, -2 the one before, …; 0 the embeddings, 1 the first layer.")
    ] = -1,
    strands: Annotated[
        Strands, typer.Option(help="given, or both: the mean of a DNA sequence and its reverse complement.")
    ] = "given",
) -> None:
    """Write the vectors a model makes of sequences, one per record or one per token."""
    from bigbird.data.files import check_new_file
    from bigbird.predictor import Predictor
    from bigbird.representations.embedding import EmbeddingConfig, embeddings
    from bigbird.representations.files import check_format, files_beside, write_embeddings

    folder = Path(model)
    inputs = [data, *(genome or []), *(folder.iterdir() if folder.is_dir() else ())]
    file = new_file(out, *inputs)
    assert file is not None
    check_format(file)
    for beside in files_beside(file):
        check_new_file(beside, *inputs, option=f"--out {out}: the file beside it")
    config = EmbeddingConfig(pool=pool, layer=layer, strands=strands)
    loaded = Predictor.load(model).loaded
    records = watched(_records(loaded, data, genome, strands), None, "records")
    about = {
        "bigbird_version": metadata.version("bigbird"),
        "model": model,
        "data": str(data),
        "pool": pool,
        "layer": layer,
        "strands": strands,
    }
    num_rows = write_embeddings(file, embeddings(loaded, records, config), about)
    kind = "tokens" if pool == "none" else "records"
    say(f"{num_rows:,} {kind} of {loaded.encoder.hidden_size} numbers each are in {file}")


def _records(loaded: LoadedModel, data: Path, genome: list[Path] | None, strands: str) -> Iterator[Record]:
    """DNA records, or texts as records for a model that reads text; one after the other."""
    from bigbird.data.corpus_files import find_files
    from bigbird.data.documents import Reading, read_documents
    from bigbird.data.records import Record, stream_records
    from bigbird.tokenizers import TextTokenizer

    if not isinstance(loaded.tokenizer, TextTokenizer):
        return stream_records(data, genome=opened_genome(genome))
    if genome or strands == "both":
        raise InputError("--genome and --strands both are for DNA, and this model reads text")
    documents = (one for file in find_files([data], leave_out=data) for one in read_documents(file, Reading()))
    return (Record(sequence=one.text, name=one.name) for one in documents if one.text.strip())
