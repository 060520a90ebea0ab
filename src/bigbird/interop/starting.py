"""What a run begins from: a model of ours, or one in the Hub's layout, as weights under the names of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from bigbird.checkpoint import CONFIG_FILE, load_model, packaged_models
from bigbird.errors import CheckpointError
from bigbird.interop import huggingface_files as files
from bigbird.interop.decoder_start import decoder_from_encoder
from bigbird.interop.hub_download import hub_name
from bigbird.interop.published_summarizers import is_summarizer, load_published_summarizer
from bigbird.interop.warm_start import Goal, prepare
from bigbird.model.encoder import Encoder, EncoderConfig, encoder_of
from bigbird.model.heads import MaskedLanguageModel
from bigbird.model.published_heads import PretrainingModel
from bigbird.model.seq2seq import Seq2Seq
from bigbird.tasks import MaskedLM, MultiHopQA, SpanQA, Summarization, Task
from bigbird.tokenizers import Tokenizer, load_tokenizer


class Start(NamedTuple):
    """A model to begin from.

    weights  by the names of a new model; what that has besides stays as it was drawn
    writes   the task of a model that writes summaries already, which a run that learns to goes on from
    """

    encoder: EncoderConfig
    tokenizer: Tokenizer
    weights: Mapping[str, Tensor]
    writes: Summarization | None = None

    def fill(self, model: nn.Module) -> None:
        """Copy the weights into a new model with this encoder."""
        weights = self.weights
        if isinstance(model, Seq2Seq) and self.writes is None:
            weights = {**weights, **decoder_from_encoder(weights, model)}
        for name, tensor in model.state_dict().items():
            if _plain(name) in weights:
                tensor.copy_(weights[_plain(name)])


def read_start(name_or_folder: str, task: Task) -> Start:
    """Read what a model for `task` takes over: the encoder, and the head where it is for the same task.

    Of `SpanQA` and `MultiHopQA` one takes over what finds the other's spans. For `Summarization` a model that writes
    summaries is taken over whole; of any other the decoder begins as its encoder (Rothe et al. 2020), and only the
    attention to the document is new.

    name_or_folder  a model folder of ours, a packaged model, a folder in the Hub's layout (BigBird, or what `bigbird
                    convert` takes: BERT, RoBERTa, …), or OWNER/NAME[@REVISION] of the Hub

    A model that is no BigBird yet becomes one for 4,096 tokens in blocks of 64; `bigbird convert` makes others.
    """
    if is_ours(name_or_folder):
        base = load_model(name_or_folder)
        is_same_head = (type(base.task), base.task.labels) == (type(task), task.labels)
        both_find = isinstance(base.task, MultiHopQA | SpanQA) and isinstance(task, MultiHopQA | SpanQA)  # named alike
        weights = _taken_over(base.model, with_head=is_same_head or both_find)
        writes = base.task if isinstance(base.task, Summarization) and isinstance(task, Summarization) else None
        return Start(base.encoder, base.tokenizer, weights, writes)
    place = files.find_folder(name_or_folder)
    if isinstance(task, Summarization) and is_summarizer(place):
        found = load_published_summarizer(place)
        assert isinstance(found.task, Summarization)
        return Start(found.encoder, found.tokenizer, _taken_over(found.model, with_head=True), found.task)
    model = prepare(place, Goal()).load()
    encoder = encoder_of(model).config
    tokenizer = load_tokenizer(place)
    if tokenizer.vocab_size != encoder.vocab_size:
        raise CheckpointError(
            f"{place}: the tokenizer knows {tokenizer.vocab_size} tokens, the model {encoder.vocab_size}; a run can "
            f"only begin from a model that has as many as its tokenizer"
        )
    guesses_tokens = isinstance(model, MaskedLanguageModel | PretrainingModel)
    return Start(encoder, tokenizer, _taken_over(model, with_head=guesses_tokens and isinstance(task, MaskedLM)))


def is_ours(name_or_folder: str) -> bool:
    """Whether it is a model of ours; or nothing at all, which the reader of ours tells best."""
    config = Path(name_or_folder) / CONFIG_FILE
    if config.is_file():
        return "model_type" not in files.read_json(config)
    return name_or_folder in packaged_models() or hub_name(name_or_folder) is None


def _taken_over(model: nn.Module, *, with_head: bool) -> dict[str, Tensor]:
    if isinstance(model, Encoder):
        return {f"encoder.{name}": tensor for name, tensor in model.state_dict().items()}
    weights = {_plain(name): tensor for name, tensor in model.state_dict().items()}
    return {name: tensor for name, tensor in weights.items() if with_head or name.startswith("encoder.")}


def _plain(name: str) -> str:
    """`PretrainingModel` holds a whole masked language model, whose names it begins with its own."""
    return name.removeprefix("language_model.")
