import dataclasses

import pytest
import torch

from bigbird.data.sources import FixedRecords
from bigbird.errors import CheckpointError, ConfigError, DataError, TrainingFailed
from bigbird.run_folder import check_shared
from bigbird.tasks import MaskedLM
from bigbird.training.batches import Batches
from bigbird.training.distributed import Ranks, _own_device, joined
from bigbird.training.engine import check_engine
from bigbird.training.settings import TrainingConfig
from bigbird.training.step import Learner
from helpers import loaded_model, motif_records

CONFIG = TrainingConfig(num_steps=4, batch_size=8, micro_batch_size=2, learning_rate=1e-2, seed=3)
SOURCE = FixedRecords(motif_records(20))


def started(steps=2, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    loaded = loaded_model(MaskedLM(max_length=128), dropout=0.2)
    learner = Learner(loaded, config)
    batches = Batches(loaded, config, SOURCE)
    results = [learner.step(step, batches.of_step(step)) for step in range(steps)]
    return learner, batches, results


@pytest.mark.parametrize("count", [1, 2, 4])
def test_processes_share_the_micro_batches_of_a_step(count):
    loaded = loaded_model(MaskedLM(max_length=128))
    whole = Batches(loaded, CONFIG, SOURCE).of_step(5)
    shares = [Batches(loaded, CONFIG, SOURCE, Ranks(rank=rank, count=count)).of_step(5) for rank in range(count)]
    together = [shares[number % count][number // count] for number in range(len(whole))]
    assert sum(map(len, shares)) == len(whole) == 4
    assert all(torch.equal(one.token_ids, other.token_ids) for one, other in zip(whole, together, strict=True))


@pytest.mark.parametrize(
    ("batch_size", "micro_batch_size", "count", "message"),
    [
        (16, 16, 2, r"batch_size 16 is 1 micro-batches of 16, which 2 processes .* Set training.micro_batch_size=8$"),
        (16, 8, 8, r"batch_size 16 is 2 micro-batches of 8, .* Set training.micro_batch_size=2$"),
        (12, 4, 2, r"batch_size 12 is 3 micro-batches of 4, .* Set training.micro_batch_size=3$"),
        (4, 2, 3, r"which 3 processes .* Set training.batch_size=6 training.micro_batch_size=2$"),
    ],
)
def test_a_batch_that_processes_cannot_share_is_refused(batch_size, micro_batch_size, count, message):
    config = dataclasses.replace(CONFIG, batch_size=batch_size, micro_batch_size=micro_batch_size)
    with pytest.raises(ConfigError, match=message):
        check_engine(config, Ranks(count=count))
    cure = dict(part.split("=") for part in message.rstrip("$").split("Set ")[1].replace("training.", "").split())
    check_engine(dataclasses.replace(config, **{name: int(value) for name, value in cure.items()}), Ranks(count=count))


def test_adafactor_is_not_spread():
    config = dataclasses.replace(CONFIG, optimizer="adafactor", sharding="fsdp")
    with pytest.raises(ConfigError, match="adafactor cannot be spread: .* Set training.sharding=none"):
        check_engine(config, Ranks(count=2))
    check_engine(config, Ranks())  # one process has nothing to spread


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_what_is_put_back_goes_on_bit_by_bit(optimizer):
    first, batches, _ = started(optimizer=optimizer)
    weights, state = first.engine.weights(), first.engine.optimizer_tensors()
    expected = first.step(2, batches.of_step(2))
    other, _, _ = started(steps=0, optimizer=optimizer)
    other.engine.put_back(weights=weights, optimizer_tensors=state)
    assert other.step(2, batches.of_step(2)) == expected
    after, after_other = first.engine.weights(), other.engine.weights()
    assert all(torch.equal(after[name], after_other[name]) for name in after)
    assert any(not torch.equal(after[name], weights[name]) for name in after)  # they were copies


def test_adafactor_learns_and_keeps_no_square_of_each_weight():
    learner, _, results = started(steps=4, optimizer="adafactor")
    assert results[-1].loss < results[0].loss
    sizes = {name: tensor.numel() for name, tensor in learner.engine.optimizer_tensors().items()}
    num_weights = sum(parameter.numel() for parameter in learner.loaded.model.parameters())
    assert sum(sizes.values()) < 0.5 * num_weights


def test_another_models_state_is_refused():
    learner, _, _ = started()
    weights, state = learner.engine.weights(), learner.engine.optimizer_tensors()
    with pytest.raises(
        CheckpointError, match=r"not this model's: bias is \(\(3,\), torch.float32\), expected \(\(\d+,\)"
    ):
        learner.engine.put_back(weights={**weights, "bias": torch.zeros(3)}, optimizer_tensors=state)
    with pytest.raises(CheckpointError, match=r"more is \(\(\), torch.float32\), expected nothing of that name"):
        learner.engine.put_back(weights={**weights, "more": torch.tensor(0.0)}, optimizer_tensors=state)
    with pytest.raises(CheckpointError, match=r"it has no weight 'other' \(step\)"):
        learner.engine.put_back(weights=weights, optimizer_tensors={"other/step": torch.tensor(1.0)})


def test_more_processes_than_gpus_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(
        ConfigError, match="3 or more processes were started on a machine with 2 GPUs; .* --nproc-per-n"
    ):
        _own_device()


@pytest.fixture
def one_of_two(monkeypatch):
    """As if torchrun had started this process as one of two, and they were connected."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *_, **__: None)
    monkeypatch.setattr(
        "bigbird.training.distributed.rendezvous", lambda _: iter([(torch.distributed.HashStore(), 1, 2)])
    )
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)


def test_a_process_that_loses_another_says_so(one_of_two):  # noqa: ARG001
    with pytest.raises(TrainingFailed, match="process 1 of the run lost another one, whose own last words"), joined():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:7373")
    with pytest.raises(RuntimeError, match="^anything else$"), joined():
        raise RuntimeError("anything else")


def test_processes_that_see_other_data_are_refused(monkeypatch):
    batches = Batches(loaded_model(MaskedLM(max_length=128)), CONFIG, SOURCE)
    batches.check_alike()
    monkeypatch.setattr(Ranks, "from_first", lambda *_: "another's")
    with pytest.raises(DataError, match="see different training data, their first records differ; give all machines"):
        batches.check_alike()


def test_a_run_folder_that_others_do_not_see_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Ranks, "all_of", lambda *_: False)
    with pytest.raises(ConfigError, match=r"not every process of the run sees .*run.json; with several machines --out"):
        check_shared(tmp_path, Ranks(rank=1, count=2))


def test_a_team_that_divides_rows_works_on_the_same_ones():
    loaded = loaded_model(MaskedLM(max_length=128))
    config = dataclasses.replace(CONFIG, context_parallel=2)
    made = [Batches(loaded, config, SOURCE, Ranks(rank=rank, count=4)).of_step(1) for rank in range(4)]
    assert [len(batches) for batches in made] == [2, 2, 2, 2]
    for one, other in zip(made[0], made[1], strict=True):
        assert torch.equal(one.token_ids, other.token_ids)
    assert not torch.equal(made[0][0].token_ids, made[2][0].token_ids)


def test_rows_that_this_run_cannot_divide_are_refused():
    with pytest.raises(ConfigError, match="must divide the number of processes, got 2 for 1. Start 2 processes"):
        started(steps=0, context_parallel=2)
    config = dataclasses.replace(CONFIG, context_parallel=2)
    with pytest.raises(ConfigError, match="must divide the number of processes, got 2 for 3. Start 4 processes"):
        check_engine(dataclasses.replace(CONFIG, context_parallel=2), Ranks(count=3))
    with pytest.raises(ConfigError, match=r"4 micro-batches of 2, which 3 teams of processes cannot share evenly"):
        check_engine(config, Ranks(count=6))
    with pytest.raises(ConfigError, match="training.context_parallel must be at least 1, got 0"):
        dataclasses.replace(CONFIG, context_parallel=0)
