"""Rows of training have few lengths, and what they are filled up with changes nothing."""

import dataclasses

import pytest
import torch

from bigbird.attention import DocumentLayout, PatternSpec
from bigbird.data.sources import FixedRecords
from bigbird.tasks import MaskedLM
from bigbird.training.batches import Batches, with_few_lengths
from bigbird.training.distributed import ALONE
from bigbird.training.row_lengths import row_lengths
from helpers import loaded_model, motif_records
from training_runs import CONFIG

TASK = MaskedLM(max_length=256)
SPEC = PatternSpec(block_size=2)
CONFIG = dataclasses.replace(CONFIG, num_steps=30)


def batches_of(source, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return Batches(loaded_model(TASK, pattern=SPEC), config, source, ALONE)


def records_of_many_lengths(count):
    return [record for number in range(count) for record in motif_records(1, length=90 + 7 * number % 13, seed=number)]


def unfilled(batch):
    layout = dataclasses.replace(batch.layout, block_multiple=1)
    return batch._replace(token_ids=batch.token_ids[: layout.total_length], layout=layout)


def test_rows_of_many_lengths_become_few_and_hardly_longer():
    batches = batches_of(FixedRecords(records_of_many_lengths(40)))
    made = [batch for step in range(30) for batch in batches.of_step(step)]
    places = {batch.layout.total_length for batch in made}
    without = {unfilled(batch).layout.total_length for batch in made}
    assert len(places) <= 0.5 * len(without)
    assert all(batch.layout.total_length <= (1 + 1 / 32) * unfilled(batch).layout.total_length for batch in made)
    assert all(len(batch.token_ids) == batch.layout.total_length for batch in made)


@pytest.mark.parametrize("num_blocks", [1, 31, 63, 64, 65, 127, 1000, 1023])
def test_a_row_grows_by_a_32nd_at_most(num_blocks):
    batches = batches_of(FixedRecords(motif_records(1)))
    (batch,) = batches.of_step(0)
    layout = DocumentLayout((32 * num_blocks - 5,), block_size=32)
    batch = with_few_lengths(
        batch._replace(token_ids=torch.ones(layout.total_length, dtype=torch.int64), layout=layout)
    )
    filled = batch.layout.total_length // 32
    assert num_blocks <= filled <= num_blocks + max(0, num_blocks // 32 - 1)
    assert len(batch.token_ids) == 32 * filled
    assert batch.token_ids[32 * num_blocks :].sum() == 0


def test_what_a_row_is_filled_up_with_changes_no_token_and_no_loss():
    batches = batches_of(FixedRecords(records_of_many_lengths(40)))
    filled = next(b for step in range(30) for b in batches.of_step(step) if unfilled(b).layout != b.layout)
    assert filled.layout.num_empty_blocks
    plain, model = unfilled(filled), batches.loaded.model.eval()
    with torch.inference_mode():
        rows = [batch.layout.unpack(model(batch.token_ids, batch.layout)) for batch in (filled, plain)]
    assert torch.equal(*rows)
    losses, gradients = [], []
    for batch in (filled, plain):
        model.zero_grad()
        loss = TASK.loss(model, batch)
        loss.total.backward()
        losses.append(loss.total.detach())
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    assert torch.equal(*losses)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_token_types_are_filled_up_too():
    (batch,) = batches_of(FixedRecords(records_of_many_lengths(40))).of_step(1)
    plain = unfilled(batch)
    filled = with_few_lengths(plain._replace(token_types=torch.ones_like(plain.token_ids)))
    assert len(filled.token_types) == len(filled.token_ids) == filled.layout.total_length
    assert int(filled.token_types.sum()) == len(plain.token_ids)


def test_the_longest_row_of_some_steps_and_whether_rows_differ_are_known_before_the_run():
    batches = batches_of(FixedRecords(records_of_many_lengths(40)), seed=1)
    places = [batch.layout.total_length for step in range(8) for batch in batches.of_step(step)]
    assert row_lengths(batches) == (max(places), True)
    assert max(places) > batches.of_step(0)[0].layout.total_length
    alike = batches_of(FixedRecords(motif_records(8, length=100)))
    assert row_lengths(alike) == (alike.of_step(0)[0].layout.total_length, False)
    assert row_lengths(batches_of(batches.source, num_steps=1)).is_varied is False


def test_long_rows_are_looked_at_in_two_steps_alone(monkeypatch):
    monkeypatch.setattr("bigbird.training.row_lengths._MOST_TOKENS", 10)
    batches = batches_of(FixedRecords(records_of_many_lengths(40)))
    places = [batch.layout.total_length for step in range(2) for batch in batches.of_step(step)]
    assert row_lengths(batches).longest == max(places)
