"""Memory that is foretold: counted rightly, told before the run, and with cures that cure."""

import dataclasses
import io
import re

import numpy as np
import pytest
import torch
from rich.console import Console

from bigbird.data.packing import TokenPiece, TokenRow
from bigbird.data.sources import FixedRecords
from bigbird.errors import ConfigError
from bigbird.tasks import MaskedLM
from bigbird.training import memory_counting, room
from bigbird.training.distributed import Ranks, alone
from bigbird.training.freed_memory import TOLERATED
from bigbird.training.live_tensors import LiveTensors
from bigbird.training.memory_counting import Line, count
from bigbird.training.memory_model import MemoryModel, Need, resident_bytes
from bigbird.training.step import Learner
from helpers import loaded_model, motif_records
from training_runs import CONFIG, SOURCE

TASK = MaskedLM(max_length=256)
GIB = 2**30


def model_of(config=CONFIG, *, source=SOURCE, num_validation=4, **changes):
    loaded = loaded_model(TASK, **changes)
    return MemoryModel(loaded, config, source, num_validation=num_validation, ranks=alone())


def test_living_tensors_are_counted_once_and_forgotten_when_they_die():
    with LiveTensors() as live:
        x = torch.zeros(1000)
        views = [x.view(10, 100), x[:5], x.add_(1)]
        assert (live.now, live.peak) == (4000, 4000)
        y = x.double()
        assert live.now == 12_000
        del y
        assert (live.now, live.peak) == (4000, 12_000)
        del x, views
        assert (live.now, live.peak) == (0, 12_000)


def test_what_is_kept_for_gradients_counts_until_it_is_used():
    x = torch.ones(1000, requires_grad=True)
    with LiveTensors() as live:
        loss = x.exp().exp().sum()  # both results are kept: they are their own derivatives
        assert live.now == 2 * 4000 + 4
        loss.backward()
        assert live.now == 4 + 4000  # the loss and the gradient
    assert live.peak >= 3 * 4000


def test_a_line_goes_through_its_points():
    line = Line.through([(10, 100.0), (20, 150.0)])
    assert [line(tokens) for tokens in (0, 10, 20, 40)] == [50.0, 100.0, 150.0, 250.0]
    assert Line.through([(10, 100.0)])(1000) == 100.0
    assert Line(-5.0, 0.0)(3) == 0.0


@pytest.mark.parametrize("changes", [{}, {"precision": "bfloat16"}, {"checkpoint_activations": True}])
@pytest.mark.parametrize("num_layers", [1, 5])
def test_the_count_of_few_records_and_layers_foretells_a_whole_micro_batch(changes, num_layers):
    config = dataclasses.replace(CONFIG, batch_size=40, micro_batch_size=20, **changes)
    loaded = loaded_model(TASK, num_layers=num_layers, hidden_size=32, inner_size=128)
    source = FixedRecords(motif_records(40, length=200))
    model = MemoryModel(loaded, config, source, num_validation=0, ranks=alone())
    learner = Learner(loaded, config)
    batches = model.batches.of_step(0)
    learner.step(0, batches[:1])  # gradients are there from now on
    with LiveTensors() as live:
        learner._accumulate(0, batches[:1])
    assert model.need().activations == pytest.approx(live.peak, rel=0.03)


def test_counting_leaves_the_run_as_it_was():
    loaded = loaded_model(TASK)
    before = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    generator = torch.get_rng_state()
    count(loaded, CONFIG, SOURCE, num_tokens=1024)
    assert all(torch.equal(before[name], tensor) for name, tensor in loaded.model.state_dict().items())
    assert torch.equal(generator, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in loaded.model.parameters())
    assert loaded.model.training is False


def test_weights_gradients_and_optimizer_are_counted_in_bytes():
    num_weights = sum(parameter.numel() for parameter in loaded_model(TASK).model.parameters())
    assert model_of().need().state == 16 * num_weights
    assert model_of().need().saved == 12 * num_weights
    assert model_of(dataclasses.replace(CONFIG, optimizer="adafactor")).need().state == 8 * num_weights


def test_spread_weights_are_counted_by_the_share_and_whole_where_a_process_has_them_all():
    config = dataclasses.replace(CONFIG, batch_size=2, micro_batch_size=1)
    loaded, spread = loaded_model(TASK), dataclasses.replace(config, sharding="fsdp")
    num_weights = sum(parameter.numel() for parameter in loaded.model.parameters())
    one, share = (
        MemoryModel(loaded, each, SOURCE, num_validation=10_000, ranks=Ranks(count=2)).need()
        for each in (config, spread)
    )
    assert (one.state, share.state) == (16 * num_weights, 8 * num_weights)
    assert one.saved == share.saved == 12 * num_weights  # process 0 keeps a whole copy
    assert share.activations - one.activations == pytest.approx(2 * num_weights)  # all weights, to score


def test_processes_that_divide_a_row_need_memory_for_their_part_alone():
    source = FixedRecords(motif_records(4, length=240))
    config = dataclasses.replace(CONFIG, batch_size=1, micro_batch_size=1)
    loaded = loaded_model(TASK, num_layers=8)
    whole, part = (
        MemoryModel(
            loaded,
            dataclasses.replace(config, context_parallel=num_parts),
            source,
            num_validation=0,
            ranks=Ranks(count=num_parts),
        )
        for num_parts in (1, 4)
    )
    assert part.need().activations < 0.4 * whole.need().activations
    assert dict(part.cures(2**40)).keys() >= {"--set training.checkpoint_activations=true"}


def test_a_long_record_is_foretold_from_its_beginning(monkeypatch):
    monkeypatch.setattr(memory_counting, "_PROBED_TOKENS", 128)
    monkeypatch.setattr(memory_counting, "_MOST_PROBED", 256)
    config = dataclasses.replace(CONFIG, batch_size=2, micro_batch_size=1)
    loaded = loaded_model(MaskedLM(max_length=2048), max_length=2048, num_layers=4)
    computed = []
    forward = type(loaded.model).forward

    def noted(self, token_ids, *rest, **named):
        computed.append(len(token_ids))
        return forward(self, token_ids, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(type(loaded.model), "forward", noted)
        source = FixedRecords(motif_records(4, length=2000))
        model = MemoryModel(loaded, config, source, num_validation=1, ranks=alone())
    assert max(computed) == 512
    learner = Learner(loaded, config)
    batches = model.batches.of_step(0)
    learner.step(0, batches[:1])
    with LiveTensors() as live:
        learner._accumulate(0, batches[:1])
    assert model.need().activations == pytest.approx(live.peak, rel=0.05)


class Rows:
    """A source of one row."""

    def __init__(self, row):
        self._row = row

    def __len__(self):
        return 1

    def record(self, _index, *, epoch):  # noqa: ARG002
        return self._row


def test_shorter_windows_are_a_cure_only_where_they_leave_fewer_tokens():
    short = model_of(source=FixedRecords(motif_records(8, length=60)))
    assert short._shorter() == ("--set task.max_length=128", 1.0)
    row = TokenRow((TokenPiece(np.arange(5, 200, dtype=np.int32) % 5 + 5, 0, 0, 7, "one"),))
    loaded = loaded_model(TASK)
    config = dataclasses.replace(CONFIG, batch_size=1, micro_batch_size=1)
    rows = MemoryModel(loaded, config, Rows(row), num_validation=0, ranks=alone())
    assert rows._shorter() == ("--set data.row_length=104", 0.5)


def test_an_evaluation_needs_memory_for_as_many_tokens_as_it_takes_at_once():
    few, many = (
        model_of(dataclasses.replace(CONFIG, batch_size=1, micro_batch_size=1), num_validation=number).need()
        for number in (1, 10_000)
    )
    assert many.activations > 2 * few.activations


def test_pieces_that_pile_up_are_foretold_where_steps_differ_in_length_and_only_there():
    records = [record for number in range(20) for record in motif_records(1, length=60 + 9 * number)]
    one, varied = (model_of(source=source).need() for source in (SOURCE, FixedRecords(records)))
    for need, share in ((one, 0.3), (varied, (1 + TOLERATED) * 1.3 - 1)):
        assert need.gaps == pytest.approx(share * need.activations + need.state / 4)


def test_activations_computed_again_leave_more_gaps_also_where_they_are_a_cure():
    need = model_of(dataclasses.replace(CONFIG, checkpoint_activations=True)).need()
    assert need.gaps == pytest.approx(1.5 * need.activations + 1.2 * need.state / 4)
    model = model_of()
    cheaper = model._count(dataclasses.replace(CONFIG, checkpoint_activations=True))
    assert model.need(counted=cheaper).gaps == pytest.approx(need.gaps)


def test_the_longest_of_the_first_steps_is_foretold():
    records = [record for number in range(20) for record in motif_records(1, length=60 + 9 * number)]
    model = model_of(source=FixedRecords(records))
    places = [batch.layout.total_length for step in range(8) for batch in model.batches.of_step(step)]
    assert model.need().activations == pytest.approx(
        model._counted.learning(max(places), num_layers=model._loaded.encoder.num_layers)
    )


def test_what_this_process_holds_can_be_told():
    before = resident_bytes()
    kept = torch.ones(2**24)
    assert resident_bytes() - before == pytest.approx(2**26, rel=0.2)
    del kept


def said(model, available):
    return list(room.told(model, available))


def test_the_need_is_told_in_parts():
    (line,) = said(model_of(), 2**40)
    assert re.fullmatch(r"this run needs about \d\.\d+ GiB of memory \(\d\.\d+ program.*\)", line)
    assert said(model_of(), None) == [line]


def test_a_cure_is_the_least_change_that_fits():
    model = model_of(dataclasses.replace(CONFIG, batch_size=64, micro_batch_size=64), num_layers=8)
    sizes = {size: model.need(share=size / 64).total for size in (64, 32, 16, 8, 4, 2, 1)}
    assert sizes[16] > sizes[8]
    cures = dict(model.cures(sizes[16]))
    assert "--set training.micro_batch_size=16" in cures
    assert "--set training.checkpoint_activations=true" in dict(model.cures(sizes[32]))
    assert "--set task.max_length=128" in cures or sizes[32] > sizes[16]
    assert all(need.total <= sizes[16] for need in cures.values())


class Fixed:
    """A model of memory that needs what it is told."""

    def __init__(self, *cures, certain=8.0, gaps=2.0):
        self._need = Need(process=0, state=certain * GIB, saved=0, activations=0, gaps=gaps * GIB)
        self._cures = cures

    def need(self):
        return self._need

    def cures(self, _available):
        return iter(self._cures)


def test_a_run_that_may_not_fit_is_warned_of_and_one_that_cannot_is_refused():
    half = Need(process=0, state=5 * GIB, saved=0, activations=0, gaps=0)
    model = Fixed(("--set training.micro_batch_size=2", half))
    assert said(model, 10 * GIB) == [
        "this run needs about 10.0 GiB of memory (8.0 weights, gradients and optimizer, 2.0 gaps between them)"
    ]
    _, warning = said(model, 7 * GIB)
    assert warning == (
        "warning: you have 7.0 GiB, so it may be killed or slow to a crawl. Use --set training.micro_batch_size=2 "
        "(about 5.0 GiB)."
    )
    with pytest.raises(ConfigError) as refused:
        said(model, 6 * GIB)
    assert str(refused.value) == (
        "this run needs at least 8.0 GiB of memory, 6.0 GiB can be had. Use --set training.micro_batch_size=2 (about "
        "5.0 GiB)."
    )
    _, warning = list(room.told(model, 18 * GIB, num_processes=2))
    assert warning.startswith("warning: for each you have 9.0 GiB, so it may be killed")
    with pytest.raises(ConfigError, match=r"^each of the 2 processes here needs at least 8.0 GiB of memory, 6.0 GiB"):
        list(room.told(model, 12 * GIB, num_processes=2))
    with pytest.raises(ConfigError, match=r"Use a smaller model, or a machine with more memory\.$"):
        said(Fixed(), 6 * GIB)


def test_a_console_that_prints_the_need_does_not_break_its_line():
    console = Console(file=io.StringIO(), width=40)
    for line in said(Fixed(), None):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    assert console.file.getvalue().count("\n") == 1
