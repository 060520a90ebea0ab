"""The training loop."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from bigbird.checkpoint import LoadedModel, finish_saving, load_model, save_model
from bigbird.data.records import Record
from bigbird.data.sources import RecordSource
from bigbird.errors import RunStopped, TrainingFailed
from bigbird.tasks import Batch, Estimate
from bigbird.tasks.base import device_of
from bigbird.tasks.metrics import headline
from bigbird.training.batches import Batches
from bigbird.training.distributed import ALONE, Ranks
from bigbird.training.evaluation import check_watched, evaluate, is_better
from bigbird.training.freed_memory import FreedMemory
from bigbird.training.loss_watch import is_usable, what_was_read
from bigbird.training.reporting import METRICS_FILE, Reporter
from bigbird.training.run_record import MODEL_FOLDER
from bigbird.training.settings import TrainingConfig
from bigbird.training.state import Progress
from bigbird.training.state_keeper import Resumed, StateKeeper
from bigbird.training.state_store import StateStore
from bigbird.training.step import Learner, StepResult
from bigbird.training.stopping import Interrupted, StopRequests

STATE_FOLDER = "state"


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
        store = StateStore(folder / STATE_FOLDER, keep=config.keep_states)
        self.keeper = StateKeeper(store, self.learner.engine, ranks, metrics=folder / METRICS_FILE)
        self._first_scores: dict[str, Estimate] | None = None
        self._resumed: Resumed | None = None

    def begin(self) -> None:
        """Score the model as it is, so that mistakes only this brings to light are found before anything is written."""
        self._first_scores = self._scores()
        self.keeper.begin()

    def resume(self, step: int | None = None) -> None:
        """Go on from the newest sound state, or from that of `step`."""
        self._resumed = self.keeper.resume(step)
        self.progress = self._resumed.progress

    def run(self, reporter: Reporter) -> LoadedModel:
        """Train to the end and return the best model. Raises `RunStopped` when a signal asks for it."""
        self.ranks.on_first(lambda: finish_saving(self.folder / MODEL_FOLDER))
        with StopRequests() as stop, self.keeper:
            self._begin(reporter, stop)
            freed = FreedMemory()
            for batches in () if self._is_over() else self.batches.from_step(self.progress.step):
                self._step(batches, reporter)
                freed.after_step()
                self._evaluate_if_due(reporter, stop)
                is_stopping = self.ranks.any_of(stop.is_requested or self.keeper.has_failed)
                if is_stopping or self._is_over() or self.progress.step % self.config.save_every == 0:
                    self.keeper.save(self.progress)
                if self._is_over():
                    break
                if is_stopping:
                    self._leave(stop, reporter)
        if self._is_out_of_patience():
            progress, watch = self.progress, self.config.watch
            reporter.say(f"stopped after step {progress.step}: no better {watch} since {progress.best_step}")
        return load_model(self.folder / MODEL_FOLDER, device=device_of(self.loaded.model))

    def _begin(self, reporter: Reporter, stop: StopRequests) -> None:
        """What comes before the next step: words on the state a run goes on from, an evaluation that is still due."""
        progress = self.progress
        if self._resumed is not None:
            for trouble in self._resumed.told:
                reporter.say(trouble)
            reporter.say(f"goes on from the state of step {progress.step}")
            self._replace_lost_model(reporter)
        if progress.step >= self.config.num_steps and self._is_over():
            reporter.say(f"nothing is left to do: step {progress.step} of {self.config.num_steps} is done")
        if progress.evaluation_due:
            self._evaluate_if_due(reporter, stop)
            if progress.step == 0 or self._is_over():
                self.keeper.save(progress)
                self.keeper.wait()  # from here on the run can be resumed: no step is done before
            if self.ranks.any_of(stop.is_requested) and not self._is_over():
                self._leave(stop, reporter)

    def _replace_lost_model(self, reporter: Reporter) -> None:
        """A run that goes on without the best model it had would have none to show in the end."""
        model, progress = self.folder / MODEL_FOLDER, self.progress
        if progress.best is not None and not self.ranks.on_first(model.exists):
            reporter.say(
                f"{model}, the best model so far, is gone; that of step {progress.step} is scored and takes its place"
            )
            progress.best, progress.stale, progress.evaluation_due = None, 0, True

    def _leave(self, stop: StopRequests, reporter: Reporter) -> None:
        """End the run as a signal has asked; its state is being saved."""
        number = stop.signal_number or signal.SIGTERM  # another process of the run got the signal
        name, step = signal.Signals(number).name, self.progress.step
        reporter.say(f"{name}: stopping after step {step}, its state is being saved")
        self.keeper.wait()
        raise RunStopped(
            f"stopped by {name} after step {step}, whose state is in {self.folder / STATE_FOLDER}; go on with --resume",
            signal_number=number,
        )

    def _is_over(self) -> bool:
        progress = self.progress
        is_done = progress.step >= self.config.num_steps or self._is_out_of_patience()
        return is_done and not progress.evaluation_due

    def _is_out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.progress.stale

    def _step(self, batches: Sequence[Batch], reporter: Reporter) -> None:
        config, progress = self.config, self.progress
        started = time.perf_counter()
        result = self.learner.step(progress.step, batches)
        seconds = time.perf_counter() - started
        progress.step += 1
        progress.num_tokens += result.num_tokens
        progress.evaluation_due = progress.step == config.num_steps or progress.step % config.evaluate_every == 0
        values = {
            "loss": result.loss,
            **({} if result.bits_per_letter is None else {"bits_per_letter": result.bits_per_letter}),
            "gradient_norm": result.gradient_norm,
            "learning_rate": self.learner.optimizer.param_groups[0]["lr"],
            "tokens_per_second": result.num_tokens / seconds,
            "seconds": seconds,
        }
        reporter.step(progress.step, values)
        if is_usable(result.loss, result.gradient_norm):
            progress.skipped = 0
        else:
            self._skip(result, reporter)

    def _skip(self, result: StepResult, reporter: Reporter) -> None:
        config, progress = self.config, self.progress
        progress.skipped += 1
        read = what_was_read(
            self.batches.source, step=progress.step - 1, batch_size=config.batch_size, seed=config.seed
        )
        values = f"loss {result.loss}, gradient norm {result.gradient_norm}"
        reporter.say(f"step {progress.step} skipped: {values}; it read the {read}")
        if progress.skipped >= config.max_skipped:
            self.keeper.save(progress)
            self.keeper.wait()
            raise TrainingFailed(
                f"{progress.skipped} steps in a row gave no finite loss and gradient; the weights are those of step "
                f"{progress.step - progress.skipped}, and {self.folder / STATE_FOLDER} keeps them. The last one read "
                f"the {read}. Look at the data, or begin a new run with a lower training.learning_rate."
            )

    def _evaluate_if_due(self, reporter: Reporter, stop: StopRequests) -> None:
        """Evaluate, unless a signal comes: then the evaluation stays due, and the run that goes on begins with it."""
        if not self.progress.evaluation_due:
            return
        scores, self._first_scores = self._first_scores, None
        try:
            # Several processes evaluate together; one alone that left would keep the others waiting.
            with stop.interrupting() if self.ranks.count == 1 else nullcontext():
                scores = scores or self._scores()
        except Interrupted:
            return
        self._judge(scores, reporter)
        self.progress.evaluation_due = False

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
        measured = {name: score.value for name, score in headline(scores).items() if math.isfinite(score.value)}
        notes = {**self.loaded.notes, "step": self.progress.step, "validation": measured}
        loaded, weights = replace(self.loaded, notes=notes), self.learner.engine.weights()
        self.ranks.on_first(lambda: save_model(self.folder / MODEL_FOLDER, loaded, weights=weights))
