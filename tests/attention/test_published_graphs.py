"""The graphs published checkpoints grew up with, against two witnesses: the original code and transformers."""

import hashlib

import numpy as np
import pytest
import torch

from bigbird.attention import PatternSpec

# SHA-256 over the tables (int64, little-endian, in this order of lengths, heads, layers) that the functions of
# google-research/bigbird 5e7d375, core/attention.py, gave on NumPy 2.4.6, with the global and window blocks of its
# bigbird_block_sparse_attention added.
ORIGINAL_DIGEST = "6c211cee846fefbc3e4f2f10f22e87332ba4f1e9fe1d6dd72dce072740039670"


def test_checkpoint_graph_equals_the_original_code():
    digest = hashlib.sha256()
    spec = PatternSpec(graph="checkpoint")
    for length in (1024, 2048, 3072, 4096):
        for num_heads in (12, 16):
            for layer in range(24):
                pattern = spec.build(num_blocks=length // 64, num_heads=num_heads, layer=layer)
                digest.update(pattern.counts().numpy().astype("<i8").tobytes())
    assert digest.hexdigest() == ORIGINAL_DIGEST


def transformers_table(length, *, num_heads, layer, block_size=64, training=True):
    """The counts transformers' own functions give, its global and window blocks added."""
    big_bird = pytest.importorskip("transformers.models.big_bird.modeling_big_bird")
    config = big_bird.BigBirdConfig(
        hidden_size=num_heads * 2, num_attention_heads=num_heads, block_size=block_size, max_position_embeddings=4096
    )
    module = big_bird.BigBirdBlockSparseAttention(config, seed=layer).train(training)
    state = np.random.get_state()  # noqa: NPY002  the library seeds and reads the global generator
    np.random.seed(layer)  # noqa: NPY002
    if length in (1024, 3072, 4096):
        rows = length // block_size - 2
        table = [
            module._bigbird_block_rand_mask(4096, 4096, block_size, block_size, 3, last_idx=1024)[:rows]
            for _ in range(num_heads)
        ]
    else:
        plan = module._get_rand_attn_plan(length, block_size, 3)
        table = module._bigbird_block_rand_mask_with_head(length, length, block_size, block_size, num_heads, *plan)
    np.random.set_state(state)  # noqa: NPY002
    return with_window_and_globals(np.stack(table), length // block_size)


def with_window_and_globals(table, num_blocks):
    """table: [heads, num_blocks - 2, slots], random blocks of the rows between the two global ones."""
    counts = np.zeros((len(table), num_blocks, num_blocks), np.int64)
    counts[:, [0, -1]] = 1
    for row in range(1, num_blocks - 1):
        for block in {0, row - 1, row, row + 1, num_blocks - 1}:
            counts[:, row, block] += 1
        for head in range(len(table)):
            np.add.at(counts[head, row], table[head, row - 1], 1)
    return torch.from_numpy(counts)


@pytest.mark.parametrize("length", [1024, 3072, 4096])
@pytest.mark.parametrize("num_heads", [12, 16])
def test_checkpoint_graph_equals_transformers_in_training_where_that_knows_the_length(length, num_heads):
    for layer in range(24):
        ours = PatternSpec(graph="checkpoint").build(num_blocks=length // 64, num_heads=num_heads, layer=layer)
        assert torch.equal(ours.counts(), transformers_table(length, num_heads=num_heads, layer=layer)), layer


@pytest.mark.parametrize("block_size", [16, 64])
@pytest.mark.parametrize("num_blocks", [12, 13, 16, 17, 24, 32, 48, 64, 65, 128])
def test_transformers_train_equals_transformers_at_every_length(num_blocks, block_size):
    spec = PatternSpec(graph="transformers-train", block_size=block_size)
    for layer in (0, 5):
        ours = spec.build(num_blocks=num_blocks, num_heads=4, layer=layer)
        theirs = transformers_table(num_blocks * block_size, num_heads=4, layer=layer, block_size=block_size)
        assert torch.equal(ours.counts(), theirs)


@pytest.mark.parametrize("num_blocks", [12, 16, 33, 64])
def test_transformers_eval_counts_block_0_four_times(num_blocks):
    ours = PatternSpec(graph="transformers-eval").build(num_blocks=num_blocks, num_heads=2, layer=1)
    theirs = transformers_table(num_blocks * 64, num_heads=2, layer=1, training=False)
    assert torch.equal(ours.counts(), theirs)
    assert (ours.counts()[:, 1:-1, 0] == 4).all()


def test_transformers_graphs_are_full_as_long_as_that_library_is():
    for graph in ("transformers-train", "transformers-eval"):
        assert PatternSpec(graph=graph).build(num_blocks=11, num_heads=1).counts().min() == 1
        assert PatternSpec(graph=graph).build(num_blocks=12, num_heads=1).counts().min() == 0


def test_a_shorter_document_reads_the_first_rows_of_the_one_checkpoint_table():
    spec = PatternSpec(graph="checkpoint")
    whole = spec.build(num_blocks=64, num_heads=3, layer=2).counts()
    for num_blocks in (9, 12, 15, 27, 50):
        counts = spec.build(num_blocks=num_blocks, num_heads=3, layer=2).counts()
        last = num_blocks - 1
        expected = whole[:, :num_blocks, :num_blocks].clone()
        expected[:, 1 : last - 1, last] += 1  # the last block is global now; the row before it had it as neighbour
        expected[:, last] = 1
        assert torch.equal(counts, expected)


def test_a_document_behind_4096_tokens_keeps_the_table_and_its_rule():
    spec = PatternSpec(graph="checkpoint")
    table, longer = (spec.build(num_blocks=count, num_heads=3, layer=2).counts() for count in (64, 80))
    assert torch.equal(table[:, 1:62, :62], longer[:, 1:62, :62])
    random_part = longer[:, 64:79].clone()
    for row in range(64, 79):
        random_part[:, row - 64, [0, row - 1, row, row + 1, 79]] = 0
    assert (random_part[:, :-1].sum(-1) == 3).all()
    assert random_part[:, :, 16:].sum() == 0, "random blocks lie in the first 1,024 tokens"


def test_no_global_generator_is_read_or_seeded():
    state = np.random.get_state()  # noqa: NPY002
    torch_state = torch.get_rng_state()
    for graph in ("paper", "checkpoint", "transformers-train", "transformers-eval"):
        PatternSpec(graph=graph, block_size=32, seed=991).build(num_blocks=40, num_heads=3, layer=1)
    after = np.random.get_state()  # noqa: NPY002
    assert state[2] == after[2]
    assert (state[1] == after[1]).all()
    assert torch.equal(torch_state, torch.get_rng_state())
