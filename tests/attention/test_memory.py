"""Memory grows with the length, not with its square."""

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bigbird.attention import BlockPattern, PatternSpec, block_sparse_attention


class AllocationMeter(TorchDispatchMode):
    """Notes the largest tensor any operation made and the most bytes alive at once."""

    def __init__(self):
        super().__init__()
        self.largest = self.alive = self.peak = 0
        self._known = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor)
        return result

    def _note(self, tensor):
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        self.largest = max(self.largest, tensor.numel() if storage.nbytes() >= tensor.nbytes else 0)
        if key in self._known or not size:
            return
        self._known.add(key)
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key, size):
        self._known.discard(key)
        self.alive -= size


def metered_layer(length, backend="gathered"):
    pattern = PatternSpec(block_size=64).build(num_blocks=length // 64, num_heads=1)
    q, k, v = (torch.randn(1, 1, length, 16, requires_grad=True) for _ in range(3))
    with AllocationMeter() as meter:
        block_sparse_attention(q, k, v, pattern=pattern, backend=backend).sum().backward()
    return meter


def test_peak_memory_of_forward_and_backward_grows_linearly():
    peaks = {length: metered_layer(length).peak for length in (4096, 8192, 16384, 32768)}
    for length in (4096, 8192, 16384):
        assert peaks[2 * length] <= 2.1 * peaks[length], peaks


def test_nothing_of_length_by_length_is_ever_allocated():
    length = 16384
    assert metered_layer(length).largest <= length**2 // 64


def test_the_meter_sees_a_square_when_there_is_one():
    assert metered_layer(2048, backend="reference").largest >= 2048**2


@pytest.mark.parametrize("length", [4096])
def test_a_full_row_costs_no_more_memory_than_its_length(length):
    one_long_row = torch.zeros(1, length // 64, length // 64, dtype=torch.int64)
    one_long_row[:, 0] = 1
    pattern = BlockPattern.from_counts(one_long_row, block_size=64)
    q, k, v = (torch.randn(1, 1, length, 16) for _ in range(3))
    with AllocationMeter() as meter:
        block_sparse_attention(q, k, v, pattern=pattern)
    assert meter.largest <= length * 64
