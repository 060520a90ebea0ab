"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bigbird.checkpoint import LoadedModel, load_model, save_model
from bigbird.data.records import Record
from bigbird.data.sources import RecordSource
from bigbird.errors import TrainingFailed
from bigbird.tasks import Batch, Estimate
from bigbird.tasks.base import device_of
from bigbird.training.batches import Batches
from bigbird.training.distributed import ALONE, Ranks
from bigbird.training.engine_state import Tensors
from bigbird.training.evaluation import check_watched, evaluate, is_better
from bigbird.training.reporting import Reporter
from bigbird.training.settings import TrainingConfig
from bigbird.training.state import Progress, load_state, save_state
from bigbird.training.step import Learner, StepResult

MODEL_FOLDER, STATE_FOLDER = "model", "state"
MAX_SKIPPED_IN_A_ROW = 3


class Trainer:
    """Trains `loaded.model` in place and keeps the best model in `folder`/model.

    Everything random depends on (seed, step) alone, so a resumed run goes on exactly as if it had not stopped, and
    PyTorch's global generator is left as it was.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        config: TrainingConfig,
        *,
        source: RecordSource,
        validation: Sequence[Record],
        folder: Path,
        ranks: Ranks = ALONE,
    ) -> None:
        self.loaded, self.config, self.ranks = loaded, config, ranks
        self.validation, self.folder = validation, folder
        self.batches = Batches(loaded, config, source, ranks)
        self.learner = Learner(loaded, config, ranks)
        self.progress = Progress()
        self._first_scores: dict[str, Estimate] | None = None

    def begin(self) -> None:
        """Score the model as it is, so that mistakes only this brings to light are found before anything is written."""
        self._first_scores = self._scores()

    def resume(self) -> None:
        """Go on from the newest saved state."""
        tensors: dict[str, Tensors] = {}  # filled in process 0; they reach the others one by one

        def read() -> Progress:
            progress, tensors["weights"], tensors["optimizer_tensors"] = load_state(self.folder / STATE_FOLDER)
            return progress

        self.progress = self.ranks.on_first(read)
        self.learner.engine.put_back(
            weights=tensors.get("weights", {}), optimizer_tensors=tensors.get("optimizer_tensors", {})
        )

    def run(self, reporter: Reporter) -> LoadedModel:
        """Train to the end and return the best model."""
        config, progress = self.config, self.progress
        if progress.best is None:
            self._judge(self._first_scores or self._scores(), reporter)
            self._save()  # from here on the run can be resumed
        elif progress.step >= config.num_steps:
            reporter.say(f"nothing is left to do: step {progress.step} of {config.num_steps} is done")
        for batches in () if self._is_over() else self.batches.from_step(progress.step):
            self._step(batches, reporter)
            if progress.step == config.num_steps or progress.step % config.evaluate_every == 0:
                self._judge(self._scores(), reporter)
            if self._is_over() or progress.step % config.save_every == 0:
                self._save()
            if self._is_over():
                break
        if self._is_out_of_patience():
            reporter.say(f"stopped after step {progress.step}: no better {config.watch} since {progress.best_step}")
        return load_model(self.folder / MODEL_FOLDER, device=device_of(self.loaded.model))

    def _is_over(self) -> bool:
        return self.progress.step >= self.config.num_steps or self._is_out_of_patience()

    def _is_out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.progress.stale

    def _save(self) -> None:
        folder, engine = self.folder / STATE_FOLDER, self.learner.engine
        weights, optimizer_tensors = engine.weights(), engine.optimizer_tensors()
        self.ranks.on_first(lambda: save_state(folder, self.progress, weights, optimizer_tensors))

    def _step(self, batches: Sequence[Batch], reporter: Reporter) -> None:
        started = time.perf_counter()
        result = self.learner.step(self.progress.step, batches)
        seconds = time.perf_counter() - started
        self.progress.step += 1
        self.progress.num_tokens += result.num_tokens
        values = {
            "loss": result.loss,
            **({} if result.bits_per_letter is None else {"bits_per_letter": result.bits_per_letter}),
            "gradient_norm": result.gradient_norm,
            "learning_rate": self.learner.optimizer.param_groups[0]["lr"],
            "tokens_per_second": result.num_tokens / seconds,
            "seconds": seconds,
        }
        reporter.step(self.progress.step, values)
        if math.isfinite(result.gradient_norm):
            self.progress.skipped = 0
        else:
            self._skip(result, reporter)

    def _skip(self, result: StepResult, reporter: Reporter) -> None:
        self.progress.skipped += 1
        reporter.say(f"step {self.progress.step} skipped: loss {result.loss}, gradient norm {result.gradient_norm}")
        if self.progress.skipped >= MAX_SKIPPED_IN_A_ROW:
            self._save()
            raise TrainingFailed(
                f"{self.progress.skipped} steps in a row gave no finite gradient; the weights are those of step "
                f"{self.progress.step - self.progress.skipped}, and {self.folder / STATE_FOLDER} keeps them. Look at "
                f"the data, or begin a new run with a lower training.learning_rate."
            )

    def _scores(self) -> dict[str, Estimate]:
        with self.learner.engine.whole():
            scores = evaluate(self.loaded, self.validation, self.ranks)
        if self.progress.step == 0:
            check_watched(self.config.watch, scores)
        return scores

    def _judge(self, scores: dict[str, Estimate], reporter: Reporter) -> None:
        """Report the scores, and keep the model if it is the best so far."""
        progress, watch = self.progress, self.config.watch
        reporter.evaluation(progress.step, scores)
        value = scores[watch].value
        if progress.best is None or is_better(value, progress.best, metric=watch):
            progress.best, progress.best_step, progress.stale = value, progress.step, 0
            self._keep(scores)
        else:
            progress.stale += 1

    def _keep(self, scores: dict[str, Estimate]) -> None:
        measured = {name: score.value for name, score in scores.items() if math.isfinite(score.value)}
        notes = {**self.loaded.notes, "step": self.progress.step, "validation": measured}
        loaded, weights = replace(self.loaded, notes=notes), self.learner.engine.weights()
        self.ranks.on_first(lambda: save_model(self.folder / MODEL_FOLDER, loaded, weights=weights))
