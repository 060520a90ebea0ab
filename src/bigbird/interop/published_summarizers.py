"""Summarizers that others have trained and published, as they write there: BigBirdPegasus and Pegasus.

A Pegasus becomes a BigBird for documents of 4,096 tokens, all of its weights kept (`bigbird.interop.warm_start`).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bigbird import config as configs
from bigbird.checkpoint import CONFIG_FILE, LoadedModel
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface_files as files
from bigbird.interop.hub_download import GENERATION_FILE
from bigbird.interop.huggingface_summarizer import load_summarizer
from bigbird.interop.warm_start import Goal, prepare
from bigbird.interop.warm_start_summarizer_sources import SUMMARIZERS
from bigbird.model.generation_config import GenerationConfig
from bigbird.model.seq2seq import Seq2Seq
from bigbird.tasks import Summarization
from bigbird.tokenizers import load_tokenizer

log = logging.getLogger(__name__)

_MOST_WRITTEN = 256  # tokens, where no file says: transformers' own default of 20 cuts every summary
_SAME = ("no_repeat_ngram_size", "num_beams", "length_penalty", "early_stopping")
# What changes their texts and ours does not know, with the values that change nothing.
_NOT_SERVED = {
    "do_sample": False,
    "num_beam_groups": 1,
    "repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "forced_bos_token_id": None,
    "suppress_tokens": None,
}
# Their defaults of what a folder may leave out.
_START, _END = {"bigbird_pegasus": 2, "pegasus": 0}, 1


def is_summarizer(place: Path) -> bool:
    """Whether a folder in the Hub's layout holds a model that writes."""
    return files.read_json(place / CONFIG_FILE).get("model_type") in SUMMARIZERS


def load_published_summarizer(name_or_folder: str | Path) -> LoadedModel:
    """A model that writes summaries, out of a folder in the Hub's layout or OWNER/NAME of the Hub, in float32."""
    place = files.find_folder(name_or_folder)
    if not is_summarizer(place):
        raise CheckpointError(
            f"{place} writes no summaries; models of type {', '.join(SUMMARIZERS)} do. To train one from it: bigbird "
            f"train summarization.small --set start={place}"
        )
    settings = files.read_json(place / CONFIG_FILE)
    model = _whole(place, str(settings["model_type"])).float()
    encoder, decoder = model.encoder.config, model.decoder.config
    search = _search(place, settings, decoder.max_length)
    task = Summarization(
        max_length=encoder.max_length,
        decoder=decoder,
        generation=search,
    )
    task.check_tokens(encoder)
    tokenizer = load_tokenizer(place)
    if tokenizer.vocab_size != encoder.vocab_size:
        raise CheckpointError(
            f"{place}: the tokenizer knows {tokenizer.vocab_size} tokens, the model {encoder.vocab_size}; they do not "
            f"belong together"
        )
    return LoadedModel(model.eval(), encoder, task, tokenizer, {"published_as": str(name_or_folder)})


def _whole(place: Path, model_type: str) -> Seq2Seq:
    if model_type == "bigbird_pegasus":
        return load_summarizer(place)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        prepare(place, Goal()).save(Path(folder) / "model")
        return load_summarizer(Path(folder) / "model")


def _search(place: Path, settings: Mapping[str, Any], longest: int) -> GenerationConfig:
    """How its summaries are searched for: generation_config.json's word before that of config.json."""
    beside = place / GENERATION_FILE
    told = {**settings, **(files.read_json(beside) if beside.is_file() else {})}
    told = {name: value for name, value in told.items() if value is not None}
    ignored = [name for name, usual in _NOT_SERVED.items() if told.get(name, usual) != usual]
    if ignored:
        log.warning("%s: %s of its search are not served; it writes without them", place, ", ".join(ignored))
    end = told.get("eos_token_id", _END)
    ends = end if isinstance(end, list) else [end]
    values = {
        "start_token": told.get("decoder_start_token_id", _START[settings["model_type"]]),
        "end_token": ends[0] if len(ends) == 1 else end,
        "max_new_tokens": _beside_start(told, "max_new_tokens", "max_length", _MOST_WRITTEN),
        "min_new_tokens": _beside_start(told, "min_new_tokens", "min_length", 0),
        "forced_end": told.get("forced_eos_token_id") in (end, *ends),
        **{name: told[name] for name in _SAME if name in told},
    }
    try:
        search = configs.from_json(GenerationConfig, values, source=str(place))
        return replace(search, max_new_tokens=min(search.max_new_tokens, longest))
    except ConfigError as error:
        raise CheckpointError(f"{place}: how it writes is not to be understood: {error}") from None


def _beside_start(told: Mapping[str, Any], name: str, with_start: str, usual: int) -> Any:
    """A number of tokens; under its older name the token before the first counts too."""
    if name in told:
        return told[name]
    count = told.get(with_start, usual + 1)
    return max(count - 1, 0) if isinstance(count, int) else count
