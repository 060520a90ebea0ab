"""Commands that use models: evaluate, predict, scan."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast
from urllib.parse import quote

import typer

from bigbird.cli.arguments import GenomeFiles, Model, Settings, new_file, opened_genome, watched
from bigbird.cli.bins import answers_in_bins, holds_peaks, on_chromatin_set, predict_bins, records_of_peaks
from bigbird.cli.entry import app, say
from bigbird.cli.multi_hop import answers_with_support, predict_support
from bigbird.cli.scores import check_table, is_table, tell_scores
from bigbird.cli.tables import write_table
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.data.genome import Genome
    from bigbird.data.intervals import Feature, Interval
    from bigbird.data.multi_hop_questions import MultiHopQuestion
    from bigbird.data.packing import TokenRow
    from bigbird.data.records import Record
    from bigbird.data.sources import Item
    from bigbird.genomics.scan import ScanConfig
    from bigbird.predictor import Predictor
    from bigbird.tasks import QuestionTask


@app.command()
def evaluate(
    model: Model,
    data: Annotated[
        Path,
        typer.Argument(
            help="Labelled records: .csv, .tsv or .jsonl, or DeepSEA's .mat, .h5 and .csv. For a model that answers "
            "questions these: .jsonl, .json; for one that sums texts up documents with summaries: .jsonl, .parquet. Or "
            "the folder of a corpus or a window set. For a model of chromatin profiles also peaks: .bed, .narrowPeak "
            "(with --genome).",
            readable=False,
        ),
    ],
    *,
    genome: GenomeFiles = None,
    region: Annotated[
        list[str] | None,
        typer.Option(help="Of peaks: contig or contig:start-end; may be given several times. All contigs if not."),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(help="Part of a window set: validation or test. Default: validation, or test without one."),
    ] = None,
    row_length: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens per row of a corpus. Default: as many as the model's task reads at once."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="Also write the figures to this JSON file; or to a table with a line per label, when it ends in .tsv.",
            metavar="<path>",
        ),
    ] = None,
) -> None:
    """Score a model on labelled records, with 95 % intervals.

    A masked language model may be given a corpus made by `bigbird prepare`: then the documents it holds out count. On a
    window set made by `bigbird windows` the set's baselines are told beside the model.
    """
    from bigbird.genomics.window_sets import is_window_set
    from bigbird.predictor import Predictor

    file = new_file(out, data)
    if is_window_set(data):
        check_set_options(data, region, row_length)
        on_window_set(model, data, part, genome, file)
        return
    check_no_part(data, part, model)
    predictor = Predictor.load(model)
    records: Sequence[Any]
    check_table(file, predictor.loaded.task)
    if data.is_dir():
        if genome:
            raise InputError("--genome is for records that name places; a corpus has its letters already")
        if region:
            raise InputError(f"--region is for a file of peaks (.bed, .narrowPeak), and {data} is a folder")
        predictor, records = held_out_for_model(predictor, data, row_length, model)
    elif row_length is not None:
        raise InputError(f"--row-length is for a corpus made by bigbird prepare, and {data} is no folder")
    else:
        records = scored_records(predictor, model, data, genome, region)
    answers = list(watched(predictor.predict(records), len(records), "records"))
    scores = predictor.loaded.task.score(answers, records)
    tell_scores(scores, predictor.loaded.task.labels, file, model=model, data=data)


@app.command()
def predict(
    model: Model,
    data: Annotated[
        Path,
        typer.Argument(
            help="Records: .fa, .bed (with --genome), .csv, .tsv or .jsonl. For a model that answers with supporting "
            "sentences questions in HotpotQA's format.",
            readable=False,
        ),
    ],
    *,
    genome: GenomeFiles = None,
    out: Annotated[
        str | None, typer.Option(help="Write the table here instead of to the screen.", metavar="<path>")
    ] = None,
) -> None:
    """Predict labels of sequences, or answers to questions; writes a table separated by tabs.

    A model of chromatin profiles writes a line per bin, which reads the surroundings that the genome has.
    """
    from bigbird.data.files import written_whole
    from bigbird.predictor import Predictor

    file = new_file(out, data)
    predictor = Predictor.load(model)
    if answers_with_support(predictor):
        questions = cast("Sequence[MultiHopQuestion]", scored_records(predictor, model, data, genome, None))
        predict_support(predictor, questions, file)
        return
    records = records_for(predictor, model, data, genome)
    if answers_in_bins(predictor):
        predict_bins(predictor, records, genome, file)
        return
    answers = watched(predictor.predict(records), len(records), "records")
    if file is None:
        write_table(sys.stdout, predictor.loaded, records, answers)
        return
    with written_whole(file) as path, path.open("w") as table:
        write_table(table, predictor.loaded, records, answers)
    say(f"{len(records)} predictions are in {file}")


@app.command()
def scan(
    model: Model,
    *,
    genome: GenomeFiles = None,
    region: Annotated[
        list[str] | None,
        typer.Option(help="contig or contig:start-end; may be given several times. All contigs if not."),
    ] = None,
    annotation: Annotated[
        Path | None, typer.Option(help="GTF or GFF3 to compare the calls with.", readable=False)
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Score from which a stretch is called.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="A label to write, with a bedGraph of its own; may be given several times. Default: all, in one.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for calls.bed, scores.bedgraph, pictures and report.html.", readable=False)
    ] = Path("scan"),
    settings: Settings = None,
) -> None:
    """Run a model along a genome and call what it finds, for a genome browser and for people."""
    from dataclasses import replace

    from bigbird import config as configs
    from bigbird.data.files import check_new_folder
    from bigbird.data.intervals import Interval, in_genome_order, parse_region, read_annotation
    from bigbird.genomics.scan import check_scan, usual_scan
    from bigbird.predictor import Predictor

    check_new_folder(out)
    opened = opened_genome(genome)
    if opened is None:
        raise InputError("scan needs the genome to run along, with --genome FASTA")
    predictor = Predictor.load(model)
    config = usual_scan(predictor.loaded)
    config = configs.overridden(
        config, [*(settings or []), *([f"threshold={threshold}"] if threshold is not None else [])]
    )
    config = replace(config, labels=tuple(label)) if label else config
    contigs = opened.contigs
    regions = in_genome_order((parse_region(text, contigs) for text in region or []), contigs)
    regions = regions or [Interval(contig, 0, length) for contig, length in contigs.items()]
    features = read_annotation(annotation, contigs) if annotation else []
    check_scan(predictor, config)
    _scan_into(
        out,
        predictor,
        opened,
        regions,
        config,
        model=model,
        genome_files=genome or [],
        features=features,
        only=label or [],
    )


def _scan_into(
    out: Path,
    predictor: Predictor,
    genome: Genome,
    regions: Sequence[Interval],
    config: ScanConfig,
    *,
    model: str,
    genome_files: Sequence[Path],
    features: Sequence[Feature],
    only: Sequence[str],
) -> None:
    """Scan, or go on with what a killed scan into the same folder has left, and write everything."""
    from bigbird.checkpoint import find_model
    from bigbird.cli.scan_progress import share_done, shown
    from bigbird.genomics.browser_tracks import write_bedgraph
    from bigbird.genomics.report import in_words, write_scan
    from bigbird.genomics.scan_store import ScanStore, scan_identity
    from bigbird.genomics.whole_scan import bases_done, scan_regions

    identity = scan_identity(find_model(model), config, genome_files, genome.contigs)
    with ScanStore.opened(out, identity) as store:
        total, begun = sum(region.length for region in regions), bases_done(store, regions, config)
        if begun:
            say(f"going on with the unfinished scan in {out}: {share_done(begun, total)} are done")
        with shown(total, begun) as report:
            tracks = scan_regions(predictor, genome, regions, config, store=store, report=report)
        result = write_scan(out, tracks, config, features, model=model)
        for label in only:
            write_bedgraph(out / f"scores.{quote(label, safe='+')}.bedgraph", [track.only([label]) for track in tracks])
        store.remove()
    for note in result.notes:
        say(note)
    if result.agreement is not None:
        say(in_words(result.agreement))
    say(f"{len(result.found)} calls are in {out / 'calls.bed'}; open {out / 'report.html'}")


def scored_records(
    predictor: Predictor, model: str, data: Path, genome: list[Path] | None, region: list[str] | None
) -> Sequence[Item]:
    """Labelled records: of a table, of a model that answers questions these, or of bins those of peaks in regions."""
    from bigbird.data.summary_data import noted_fields
    from bigbird.data.summary_files import open_summaries
    from bigbird.tasks import QuestionTask, Summarization

    is_of_peaks = answers_in_bins(predictor) and holds_peaks(data)
    if region and not is_of_peaks:
        raise InputError("--region is for a model of chromatin profiles and a file of peaks (.bed, .narrowPeak)")
    task = predictor.loaded.task
    if isinstance(task, QuestionTask | Summarization) and genome:
        does = "sums texts up" if isinstance(task, Summarization) else "answers questions about texts"
        raise InputError(f"--genome is for records of DNA, and {model} {does}")
    if isinstance(task, Summarization):
        return open_summaries(data, noted_fields(predictor.loaded.notes))
    if isinstance(task, QuestionTask):
        return questions_for(task, data)
    if is_of_peaks:
        return records_of_peaks(predictor, data, genome, region)
    return records_for(predictor, model, data, genome)


def questions_for(task: QuestionTask, data: Path) -> Sequence[Item]:
    """The questions of a file, in the form that the task's recipe reads."""
    from bigbird.data.long_short_data import open_natural_questions
    from bigbird.data.multi_hop_files import read_multi_hop
    from bigbird.data.question_files import read_questions
    from bigbird.data.wikihop_files import read_wikihop
    from bigbird.tasks import ChoiceQA, LongShortQA, MultiHopQA

    if isinstance(task, MultiHopQA):
        return read_multi_hop(data)
    if isinstance(task, LongShortQA):
        return open_natural_questions(data)
    return list(read_wikihop(data)) if isinstance(task, ChoiceQA) else read_questions(data)


def check_no_part(data: Path, part: str | None, model: str) -> None:
    """Raise when data that is no window set is taken for one, or a table of a set for the set."""
    from bigbird.genomics.window_sets import is_window_set

    if part is not None:
        raise InputError(f"--part is for a window set made by bigbird windows, and {data} is none")
    if is_window_set(data.parent):
        raise InputError(
            f"{data} is a part of a window set, on which no figure is told without its baselines; give the folder: "
            f"bigbird evaluate {model} {data.parent} --part {data.name.partition('.')[0]}"
        )


def check_set_options(data: Path, region: Sequence[str] | None, row_length: int | None) -> None:
    """Raise when a window set is given with options of other data."""
    if region:
        raise InputError(
            f"--region is for a file of peaks (.bed, .narrowPeak), and {data} is a window set: its parts are chosen "
            f"with --part"
        )
    if row_length is not None:
        raise InputError(f"--row-length is for a corpus made by bigbird prepare, and {data} is a window set")


def on_window_set(model: str, folder: Path, part: str | None, genome: list[Path] | None, file: Path | None) -> None:
    """Score a model on a part of a window set and print it beside the set's baselines."""
    from bigbird.data.files import json_text, written_whole
    from bigbird.genomics.chromatin_sets import WHAT as CHROMATIN
    from bigbird.genomics.set_evaluation import evaluate_on_set
    from bigbird.genomics.window_sets import Part, open_window_set
    from bigbird.predictor import Predictor

    stored = open_window_set(folder)
    chosen = part or ("validation" if "validation" in stored.about["parts"] else "test")
    if stored.about["what"] == CHROMATIN:
        on_chromatin_set(Predictor.load(model), stored, cast("Part", chosen), genome, file, model=model)
        return
    if file is not None and is_table(file):
        raise InputError(
            f"--out {file} asks for a table with a line per label, and there is none for a set of "
            f"{stored.about['what']}; name a .json file"
        )
    found = evaluate_on_set(
        Predictor.load(model),
        stored,
        cast("Part", chosen),
        opened_genome(genome),
        model=model,
        watch=partial(watched, what="windows"),
    )
    for line in found.lines:
        print(line)  # noqa: T201
    if file is not None:
        with written_whole(file) as path:
            path.write_text(json_text({"model": model, "data": str(folder), "part": chosen, **found.as_json}))


def held_out_for_model(
    predictor: Predictor, corpus: Path, row_length: int | None, model: str
) -> tuple[Predictor, Sequence[TokenRow]]:
    """The held-out rows of a corpus, and the predictor that reads rows of that length."""
    from dataclasses import replace

    from bigbird.data.held_out import held_out_for
    from bigbird.predictor import Predictor
    from bigbird.tasks import MaskedLM

    loaded = predictor.loaded
    if not isinstance(loaded.task, MaskedLM):
        raise InputError(f"{model} is no masked language model, so a corpus cannot tell how good it is; give a table")
    block_size = loaded.encoder.pattern.block_size
    length = row_length or loaded.task.max_length // block_size * block_size
    if length > loaded.encoder.max_length:
        raise InputError(f"--row-length {length} is more than the {loaded.encoder.max_length} tokens {model} reads")
    if length % block_size:
        raise InputError(
            f"--row-length must be a multiple of the {block_size} tokens of a block of {model}, got {length}"
        )
    rows = held_out_for(corpus, loaded.tokenizer, row_length=length, block_size=block_size, source=f"model {model}")
    return Predictor(replace(loaded, task=replace(loaded.task, max_length=length))), rows


def records_for(predictor: Predictor, model: str, data: Path, genome: list[Path] | None) -> Sequence[Record]:
    """DNA records, for a model that reads DNA."""
    from bigbird.data.deepsea_files import is_deepsea
    from bigbird.data.records import read_records
    from bigbird.genomics.deepsea import DeepSeaData, whole_bins
    from bigbird.tasks import QuestionTask, SpanQA, Summarization
    from bigbird.tokenizers import TextTokenizer

    if isinstance(predictor.loaded.task, Summarization):
        raise InputError(
            f"{model} sums texts up, and records are none. Use it with: bigbird summarize FILE --model {model}; or "
            f"score it on documents with summaries: bigbird evaluate {model} DOCUMENTS.jsonl"
        )
    if isinstance(predictor.loaded.task, SpanQA):
        raise InputError(
            f"{model} answers questions, and records have none. Ask it: bigbird ask; or score it on a file of "
            f"questions: bigbird evaluate {model} QUESTIONS.jsonl"
        )
    if isinstance(predictor.loaded.task, QuestionTask):
        raise InputError(
            f"{model} answers questions, and records have none. Score it on a file of questions: bigbird evaluate "
            f"{model} QUESTIONS"
        )
    if isinstance(predictor.loaded.tokenizer, TextTokenizer):
        raise InputError(
            f"{model} reads text, and records are DNA. To score it: bigbird prepare TEXTS --out corpus --tokenizer "
            f"{model}, then bigbird evaluate {model} corpus"
        )
    if is_deepsea(data):
        records = DeepSeaData().records(data, predictor.loaded.task.labels)
        if not answers_in_bins(predictor):
            return records
        return DeepSeaData(window_bp=whole_bins(len(records[0].sequence))).records(data, records.labels)
    return read_records(data, genome=opened_genome(genome))
