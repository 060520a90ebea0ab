"""A model folder to predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from bigbird.checkpoint import LoadedModel, load_model
from bigbird.data.sources import Item
from bigbird.tasks import Estimate, Prediction
from bigbird.tasks.prediction import predictions


class Predictor:
    """Uses a trained model.

        predictor = Predictor.load("promoter")
        for prediction in predictor.predict(read_records(Path("windows.fa"))):
            ...

    A record's prediction depends on that record alone, never on its neighbours or on earlier calls.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded

    @classmethod
    def load(cls, model: str | Path, *, device: torch.device | str | None = None) -> Predictor:
        """Load a model folder or a packaged model; `device` None takes the GPU if there is one, else the CPU."""
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(load_model(model, device=device))

    def predict(self, records: Iterable[Item]) -> Iterator[Prediction]:
        """One prediction per record (or row of a corpus), in order; any number of them, read a few at a time."""
        loaded = self.loaded
        return predictions(
            records,
            model=loaded.model,
            task=loaded.task,
            tokenizer=loaded.tokenizer,
            block_size=loaded.encoder.pattern.block_size,
        )

    def score(self, records: Sequence[Item]) -> dict[str, Estimate]:
        """How good the predictions for labelled records are."""
        return self.loaded.task.score(list(self.predict(records)), records)
