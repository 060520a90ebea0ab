"""Training with each row divided over several processes equals training with one."""

import pytest
import torch
from torch import nn

from bigbird.attention import ContextShard, DocumentLayout
from bigbird.errors import ConfigError
from bigbird.model.heads import first_tokens
from bigbird.tasks import Batch, MaskedLM
from bigbird.training.context import ContextRanks, check_divisible, check_task, context_ranks
from context_processes import outcomes
from helpers import YES_NO, encoder_config, loaded_model, motif_records


@pytest.mark.parametrize("count", [2, 4])
def test_loss_and_gradients_of_a_model_are_those_of_one_process(count):
    checks = {name: errors for name, errors in outcomes(count).items() if name.startswith("model, ")}
    assert len(checks) == 6
    for name, errors in checks.items():
        assert all(error < 1e-12 for error in errors), name


@pytest.mark.parametrize("count", [2, 4])
def test_losses_over_several_steps_are_those_of_one_process(count):
    assert all(difference < 1e-5 for difference in outcomes(count)["losses differ"])
    losses = outcomes(count)["losses"][0]
    assert losses[-1] < 0.9 * losses[0], "nothing was learned, so equal losses would say little"


def test_processes_form_teams_that_share_rows():
    assert outcomes(4)["teams"] == [[0, 2, 0, 2, 1], [0, 2, 1, 2, 1], [1, 2, 0, 2, 5], [1, 2, 1, 2, 5]]
    assert outcomes(2)["teams"] == [[0, 1, 0, 2, 1], [0, 1, 1, 2, 1]]


def batch_of(lengths):
    layout = DocumentLayout(lengths, 4)
    tokens = torch.arange(layout.num_tokens)
    return Batch(layout.pack(tokens + 100), layout, tokens.float(), (tokens % 3).float())


@pytest.mark.parametrize("lengths", [(3, 5, 4), (1,), (40, 7), (17, 1, 1, 30)])
@pytest.mark.parametrize("num_parts", [1, 2, 3, 5])
def test_the_parts_of_a_batch_are_the_batch(lengths, num_parts):
    whole = batch_of(lengths)
    parts = [ContextRanks(part=part, num_parts=num_parts).shard(whole) for part in range(num_parts)]
    for name in ("token_ids", "targets", "weights"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    for name in ("positions", "is_real"):
        together = torch.cat([getattr(part.layout, name)() for part in parts])
        assert torch.equal(together, getattr(whole.layout, name)())
    assert sum(part.layout.num_tokens for part in parts) == whole.layout.num_tokens
    for part in parts:  # a target stands where its token does
        assert part.layout.total_length == len(part.token_ids)
        assert torch.equal(part.token_ids[part.layout.places()] - 100, part.targets.long())
        assert torch.equal(part.layout.unpack(part.token_ids) - 100, part.targets.long())


def test_a_batch_with_targets_for_documents_is_refused():
    loaded = loaded_model(YES_NO)
    examples = [x for r in motif_records(2) for x in loaded.task.encode(r, loaded.tokenizer, purpose="train")]
    batch = loaded.task.collate(examples, block_size=16)
    with pytest.raises(ConfigError, match=r"a target for every token .* has 4 targets for 244 tokens. Set training"):
        ContextRanks(part=0, num_parts=2).shard(batch)


def test_tasks_whose_rows_cannot_be_divided_are_refused_before_anything_is_built():
    with pytest.raises(ConfigError, match=r"a target for every token .* Set training.context_parallel=1"):
        check_task(YES_NO, 2)
    with pytest.raises(ConfigError, match=r"does not serve task.next_segment: .* Set task.next_segment=false"):
        check_task(MaskedLM(next_segment=True), 2)
    check_task(YES_NO, 1)
    check_task(MaskedLM(), 2)


def test_pairs_are_refused_and_token_types_are_divided():
    batch = Batch(torch.arange(64), DocumentLayout((64,), 16), torch.zeros(64), torch.zeros(64), torch.arange(64))
    part = ContextRanks(part=1, num_parts=2).shard(batch)
    assert (part.token_types == part.token_ids).all()
    with pytest.raises(ConfigError, match=r"does not serve task.next_segment: .* Set task.next_segment=false"):
        ContextRanks(part=1, num_parts=2).shard(batch._replace(order=torch.tensor([0])))


def test_a_number_of_processes_that_rows_cannot_share_is_refused():
    with pytest.raises(ConfigError, match=r"must divide the number of processes, got 4 for 6. Start 8 processes, or"):
        context_ranks(rank=0, count=6, num_parts=4)


def test_dropout_is_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
    with pytest.raises(ConfigError, match=r"needs a model without dropout: .* 1 has dropout 0.1; build it with"):
        check_divisible(model)
    check_divisible(nn.Sequential(nn.Dropout(0.0)))


def test_one_part_changes_nothing_and_needs_no_processes():
    context, batch = context_ranks(rank=2, count=3, num_parts=1), batch_of((5,))
    assert (context.team, context.num_teams, context.num_parts) == (2, 3, 1)
    assert context.shard(batch) is batch


def shard_of(config_changes):
    loaded = loaded_model(YES_NO, **config_changes)
    layout = DocumentLayout((50,), loaded.encoder.pattern.block_size)
    return loaded.model.encoder, ContextShard(layout, 0, 2)


def test_an_encoder_refuses_dropout_on_a_part_of_a_row_while_it_trains():
    encoder, shard = shard_of({"dropout": 0.2})
    with pytest.raises(ConfigError, match=r"dropout must be 0 where a row is divided over ranks: .* has dropout 0.2;"):
        encoder.train()(torch.zeros(shard.total_length, dtype=torch.int64), layout=shard)


def test_a_head_that_reads_whole_documents_refuses_a_part_of_a_row():
    model = loaded_model(YES_NO).model
    shard = ContextShard(DocumentLayout((10,), 16), 0, 1)
    with pytest.raises(ConfigError, match="a head that reads a document's first token cannot work on a rank's part"):
        first_tokens(torch.zeros(16, model.encoder.config.hidden_size), shard)


def test_an_encoder_that_reads_neighbouring_tokens_refuses_a_part_of_a_row():
    from bigbird.model.encoder import Encoder

    encoder = Encoder(encoder_config(vocab_size=8**16, bases_per_token=16)).eval()
    shard = ContextShard(DocumentLayout((50,), 16), 0, 2)
    with pytest.raises(ConfigError, match=r"bases_per_token \(16\) reads the neighbours of its tokens, which may lie"):
        encoder(torch.zeros(shard.total_length, dtype=torch.int64), layout=shard)
    with pytest.raises(ConfigError, match="reads the neighbours of its tokens"):
        check_divisible(encoder)


@pytest.mark.filterwarnings("ignore")  # of the compiler's own
def test_torch_compile_goes_around_attention_over_a_part_of_a_row():
    """It cannot follow tensors to other processes, and left alone breaks off inside."""
    model = loaded_model(MaskedLM(max_length=128), dropout=0.0).model.train()
    shard = ContextShard(DocumentLayout((60, 50), 16), 0, 1)
    token_ids = torch.arange(shard.total_length) % 7
    expected = model(token_ids, shard)
    for layer in model.encoder.layers:
        layer.forward = torch.compile(layer.forward, dynamic=True, backend="eager")
    found = model(token_ids, shard)
    assert torch.equal(found, expected)
    (found.sum() / len(found)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
