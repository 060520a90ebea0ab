"""Summaries of texts of any length, each sentence with what it leans on."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import torch

from bigbird.checkpoint import CONFIG_FILE, LoadedModel, load_model, packaged_models
from bigbird.documents.document_text import DocumentText, document_text
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop.published_summarizers import load_published_summarizer
from bigbird.interop.starting import is_ours
from bigbird.summarizing.extracts import EXTRACTS, extracted
from bigbird.summarizing.lengths import NUM_SENTENCES, Length, check_length
from bigbird.summarizing.summary import Summary
from bigbird.summarizing.writing import SupportBy, written
from bigbird.tasks import Summarization

DEFAULT = "lexrank"


class Summarizer:
    """Summarizes documents.

        summarizer = Summarizer.load("my-summarizer")         or "lexrank", "lead", which need no model
        summary = summarizer.summarize("The fee is due in May. …", length="short")
        summary.sentences[0].sources[0]
        Source(start=0, end=22, weight=0.9, page=None)

    A summary depends on its document, the length and the query alone, never on other documents or on earlier calls.
    """

    def __init__(self, source: LoadedModel | str, *, support: SupportBy | None = None) -> None:
        """Use a model that writes, or a method that chooses sentences.

        support  how the sources of a written sentence are found; None: by overlap
        """
        if support not in (None, *get_args(SupportBy)):
            raise ConfigError(f"support must be one of {', '.join(get_args(SupportBy))}, got {support!r}")
        if isinstance(source, str):
            if source not in EXTRACTS:
                raise ConfigError(f"there is no method {source!r} to choose sentences; there are {', '.join(EXTRACTS)}")
            if support is not None:
                raise ConfigError(
                    f"{source} copies sentences, so that each is its own source; leave out support {support!r}, or "
                    f"give a model that writes"
                )
        elif not isinstance(source.task, Summarization):
            raise ConfigError(
                f"a summarizer needs a model that writes summaries (task summarization), got one for "
                f"{type(source.task).__name__}. Train one with bigbird train summarization.small, or choose sentences "
                f"with {' or '.join(EXTRACTS)}"
            )
        self._source = source
        self._support: SupportBy = support or "overlap"

    @classmethod
    def load(
        cls, model: str | Path = DEFAULT, *, support: SupportBy | None = None, device: torch.device | str | None = None
    ) -> Summarizer:
        """Load a model folder, a summarizer of the Hub (a folder in its layout, OWNER/NAME[@REVISION]), or a method.

        device  None takes the GPU if there is one, else the CPU
        """
        if str(model) in EXTRACTS:
            return cls(str(model), support=support)
        if is_ours(str(model)) and not (Path(model) / CONFIG_FILE).is_file() and str(model) not in packaged_models():
            raise CheckpointError(
                f"there is no model {model}. Give a model folder, OWNER/NAME of the Hub, or what needs no model: "
                f"{' or '.join(EXTRACTS)}"
            )
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if is_ours(str(model)):
            loaded = load_model(model, device=chosen)
        else:
            loaded = load_published_summarizer(model)
            loaded.model.to(chosen)
        if not isinstance(loaded.task, Summarization):
            raise CheckpointError(f"{model} writes no summaries: its task is {type(loaded.task).__name__}")
        return cls(loaded, support=support)

    def summarize(self, text: str | DocumentText, length: Length = "medium", *, query: str = "") -> Summary:
        """The summary of one document; raises DataError when it is empty.

        text    as read by `documents.read_document`, with its pages; or plain
        length  "short", "medium" or "long", see `summarizing.lengths`
        query   what the summary is to answer, for models that have learned to; "": it is of the document as such
        """
        check_length(length)
        document = document_text("the text", text) if isinstance(text, str) else text
        if isinstance(self._source, LoadedModel):
            return written(self._source, document, length, query=query, support=self._support)
        if query:
            raise ConfigError(f"{self._source} answers no query; leave it out, or give a model that writes")
        return extracted(document, self._source, NUM_SENTENCES[length])
