"""Who owns, needs and sends what: the plans of all ranks fit together and send no more than is needed."""

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.attention import BlockPattern, DocumentLayout, PatternSpec, context_exchange, context_plan
from bigbird.attention.context_plan import owned_blocks
from bigbird.errors import ShapeError
from context_cases import CASES, case, error


def plans_of(pattern, num_ranks):
    return [context_plan(pattern, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]


def global_pairs(plan, pattern):
    """The pairs a rank computes, as the whole pattern's (head, query block, key block, count)."""
    own = [(head, block) for head in range(pattern.num_heads) for block in plan.query_blocks]
    helped = [None] * (plan.local.num_query_blocks - len(own))  # the plan does not say whose: the senders know
    rows = plan.local.rows.tolist()
    for row, key, count in zip(rows, plan.local.key_blocks.tolist(), plan.local.key_counts.tolist(), strict=True):
        yield (own + helped)[row], int(plan.key_tiles[key]), count


def random_pattern(seed, num_blocks, heads):
    generator = torch.Generator().manual_seed(seed)
    table = torch.randint(0, 5, (heads, num_blocks, num_blocks), generator=generator)
    table = table * (table < 3)
    table[:, num_blocks // 3] = 1  # one long row
    return BlockPattern.from_counts(table, block_size=4)


@st.composite
def patterns(draw):
    heads = draw(st.integers(1, 3))
    if draw(st.booleans()):
        return random_pattern(draw(st.integers(0, 99)), draw(st.integers(1, 30)), heads)
    spec = PatternSpec(
        block_size=4,
        window_blocks=draw(st.integers(0, 4)),
        global_blocks=draw(st.integers(0, 3)),
        random_blocks=draw(st.integers(0, 3)),
        graph=draw(st.sampled_from(["paper", "checkpoint", "transformers-eval"])),
    )
    lengths = draw(st.lists(st.integers(1, 120), min_size=1, max_size=4))
    return DocumentLayout(tuple(lengths), 4).pattern(spec, num_heads=heads, layer=draw(st.integers(0, 2)))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(pattern=patterns(), num_ranks=st.integers(1, 7))
def test_every_pair_is_computed_by_exactly_one_rank(pattern, num_ranks):
    plans = plans_of(pattern, num_ranks)
    assert sum(len(plan.local.key_blocks) for plan in plans) == int((pattern.counts() > 0).sum())
    assert sum(int(plan.local.key_counts.sum()) for plan in plans) == int(pattern.counts().sum())
    assert [block for plan in plans for block in plan.query_blocks] == list(range(pattern.num_query_blocks))
    counts = pattern.counts()
    for plan in plans:
        for row, key, count in global_pairs(plan, pattern):
            assert row is None or counts[row[0], row[1], key] == count


@settings(max_examples=40, deadline=None, derandomize=True)
@given(pattern=patterns(), num_ranks=st.integers(1, 7))
def test_what_one_rank_sends_the_other_expects(pattern, num_ranks):
    plans = plans_of(pattern, num_ranks)
    for kind in ("keys", "queries"):
        sent = torch.tensor([getattr(plan, kind).sent_counts for plan in plans])
        received = torch.tensor([getattr(plan, kind).received_counts for plan in plans])
        assert torch.equal(sent, received.T)
        assert not sent.diagonal().any()


class Threads:
    """As many ranks as threads of this process; in place of a process group and its collective."""

    def __init__(self, count):
        self.count, self.barrier, self.messages = count, threading.Barrier(count), {}

    def run(self, function):
        found = [None] * self.count

        def one(rank):
            local.rank = rank
            try:
                found[rank] = function(rank)
            except BaseException:
                self.barrier.abort()
                raise

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def swap(self, arrived, message, in_sizes, out_sizes, group):
        assert group is self
        self.messages[local.rank] = message.split(out_sizes)
        self.barrier.wait()
        pieces = [self.messages[source][local.rank] for source in range(self.count)]
        assert [len(piece) for piece in pieces] == in_sizes
        arrived.copy_(torch.cat(pieces))
        self.barrier.wait()


local = threading.local()


@pytest.fixture(autouse=True)
def threads_instead_of_processes(monkeypatch):
    def swap(arrived, message, in_sizes, out_sizes, group):
        group.swap(arrived, message, in_sizes, out_sizes, group)

    monkeypatch.setattr(context_exchange.dist, "all_to_all_single", swap)
    monkeypatch.setattr(context_exchange, "group_size", lambda group: group.count)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(pattern=patterns(), count=st.integers(1, 6), missing=st.integers(0, 3), masked=st.sampled_from([0.0, 0.3]))
def test_any_pattern_on_any_number_of_ranks_equals_one_process(pattern, count, missing, masked):
    made = case(pattern, pattern.num_query_blocks * 4 - missing, batch=2, masked=masked)
    group = Threads(count)
    errors = group.run(lambda rank: error(made, rank, count, group))
    assert all(found is not None and found < 1e-12 for found in errors), errors


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("count", [1, 3])
def test_an_odd_number_of_ranks(name, count):
    made, group = CASES[name](), Threads(count)
    errors = group.run(lambda rank: error(made, rank, count, group))
    assert all(found is not None and found < 1e-12 for found in errors), errors


def tiles_received(plan):
    return sum(plan.keys.received_counts) + sum(plan.queries.received_counts)


@pytest.mark.parametrize("num_ranks", [2, 4, 8])
def test_a_published_graph_fetches_the_same_amount_at_any_length(num_ranks):
    spec = PatternSpec(graph="checkpoint")
    most = []
    for length in (16_384, 32_768, 65_536):
        pattern = spec.build(num_blocks=length // 64, num_heads=12)
        most.append(max(tiles_received(plan) for plan in plans_of(pattern, num_ranks)))
    # Per head: two blocks beside the shard, the last global block, blocks 0 to 15 of the random reach, two global rows.
    assert most[0] <= 12 * (2 + 1 + 16 + 2)
    assert max(most) - min(most) <= 12


def test_random_blocks_of_the_whole_document_are_fetched_head_by_head():
    """With the paper's graph a rank needs about 1 - exp(-3 / ranks) of the others' tiles, and no more."""
    pattern = PatternSpec(graph="paper").build(num_blocks=512, num_heads=12)
    for num_ranks, share in ((2, 0.777), (4, 0.528), (8, 0.313)):
        others = 12 * 512 * (num_ranks - 1) / num_ranks
        for plan in plans_of(pattern, num_ranks):
            assert sum(plan.keys.received_counts) / others == pytest.approx(share, abs=0.03)


def test_global_rows_are_helped_with_and_not_fetched_for():
    pattern = PatternSpec(block_size=16).build(num_blocks=128, num_heads=2)
    first, *middle, last = plans_of(pattern, 4)
    assert first.queries.sent_counts == (0, 2, 2, 2) and last.queries.sent_counts == (2, 2, 2, 0)
    for plan in middle:
        assert plan.queries.received_counts == (2, 0, 0, 2)
        assert plan.local.num_query_blocks == 2 * 32 + 4


def test_documents_that_end_where_shards_do_need_no_exchange():
    pattern = DocumentLayout((512, 512), 16).pattern(PatternSpec(block_size=16), num_heads=2, layer=0)
    for plan in plans_of(pattern, 2):
        assert tiles_received(plan) == 0


def test_a_plan_moves_with_its_lists():
    plan = context_plan(PatternSpec(block_size=4).build(num_blocks=20, num_heads=2), rank=0, num_ranks=2)
    assert plan.to("cpu") is plan
    moved = plan.to("meta")
    lists = (moved.key_tiles, moved.own_keys, moved.local.key_blocks, *moved.keys[::2], *moved.queries[::2])
    assert {x.device.type for x in lists} == {"meta"}
    assert moved.device.type == "meta"


@pytest.mark.parametrize(("rank", "num_ranks"), [(-1, 2), (2, 2), (0, 0)])
def test_a_rank_that_is_none_is_refused(rank, num_ranks):
    with pytest.raises(ShapeError, match=f"rank must be from 0 to num_ranks - 1, got rank {rank} of {num_ranks}"):
        owned_blocks(8, rank=rank, num_ranks=num_ranks)


def test_a_length_that_does_not_fit_the_pattern_is_refused():
    pattern = PatternSpec(block_size=4).build(num_blocks=20, num_heads=2)
    with pytest.raises(ShapeError, match="key_length 90 fills 23 blocks of 4, but the pattern is for 20"):
        context_plan(pattern, rank=0, num_ranks=2, key_length=90)


def test_a_causal_pattern_is_refused():
    pattern = PatternSpec(block_size=4).build(num_blocks=20, num_heads=2).causal()
    with pytest.raises(
        ShapeError, match=r"a causal pattern cannot be divided .* one device with block_sparse_attention"
    ):
        context_plan(pattern, rank=0, num_ranks=2)
