"""Commands about models and this installation: convert, info, bench."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from bigbird.cli.arguments import Settings, new_file
from bigbird.cli.entry import app, say

Measurement = Literal["attention", "layer", "encoder", "step"]


@app.command()
def convert(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder in the Hub's layout (config.json, model.safetensors), or a model of the Hub, OWNER/NAME or "
            "OWNER/NAME@REVISION, which is downloaded. Types: bert, roberta, xlm-roberta, camembert, big_bird, "
            "pegasus, bigbird_pegasus. Or the prefix of a TensorFlow checkpoint, FOLDER/model.ckpt-0."
        ),
    ],
    target: Annotated[
        Path, typer.Argument(help="A new folder; or a new FILE.onnx, for any batch and length.", readable=False)
    ],
    *,
    max_length: Annotated[
        int | None,
        typer.Option(help="Tokens that a document may have. Default: 4096, of a BigBird as many as it has."),
    ] = None,
    block_size: Annotated[int | None, typer.Option(help="Tokens per block. Default: 64, of a BigBird its own.")] = None,
    random_blocks: Annotated[
        int | None,
        typer.Option(help="Random key blocks per query block. Default: 3, of a BigBird its own."),
    ] = None,
    from_bin: Annotated[
        bool,
        typer.Option(
            "--from-bin", help="Read an old pytorch_model.bin, a pickle, in a process that can do nothing else."
        ),
    ] = False,
    num_heads: Annotated[
        int | None,
        typer.Option(help="Attention heads of a TensorFlow checkpoint, which does not tell them. Default: 12."),
    ] = None,
) -> None:
    """Make a BigBird for long documents out of a published model, its weights kept.

    Says what is kept, what is left out and how to load the result, which transformers reads too.
    """
    from bigbird.interop.converting import Request
    from bigbird.interop.converting import convert as carry_out
    from bigbird.interop.warm_start import Goal

    goal = Goal(max_length=max_length, block_size=block_size, random_blocks=random_blocks)
    carry_out(Request(source=source, target=target, goal=goal, from_bin=from_bin, num_heads=num_heads), say)


@app.command()
def info(
    model: Annotated[str | None, typer.Argument(help="A model folder or the name of a packaged model.")] = None,
) -> None:
    """Say what this installation can do, or what a model is."""
    from bigbird.info import about_installation, about_model

    for line in about_model(model) if model is not None else about_installation():
        print(line)  # noqa: T201


@app.command()
def bench(
    what: Annotated[
        Measurement,
        typer.Argument(help="Attention alone, a base-size encoder layer, the whole encoder, or a training step."),
    ],
    *,
    out: Annotated[
        str | None, typer.Option(help="Write the figures here (JSON), and a picture beside it.", metavar="<path>")
    ] = None,
    settings: Settings = None,
    show: Annotated[bool, typer.Option("--show", help="Print the settings and stop.")] = False,
) -> None:
    """Measure speed and memory beside PyTorch's dense attention, FlexAttention and Hugging Face's BigBird.

    Everybody is checked first; nothing is timed while ours is wrong.
    """
    from bigbird import config as configs
    from bigbird.bench import attention, model, report
    from bigbird.machine import keep_freed_memory

    default = attention.AttentionBench() if what == "attention" else model.ModelBench()
    config = configs.overridden(default, settings or [])
    if show:
        print(json.dumps(configs.to_json(config), indent=2))  # noqa: T201
        return
    file = new_file(out)
    if file is not None:
        report.check_place(file)
    if what == "step":  # as `bigbird train` does; it holds for everybody who is timed
        keep_freed_memory()
    measured = (
        attention.run(config, say=say)
        if isinstance(config, attention.AttentionBench)
        else model.run(cast("model.Part", what), config, say=say)
    )
    if file is not None:
        report.write(file, what, configs.to_json(config), measured, say=say)
