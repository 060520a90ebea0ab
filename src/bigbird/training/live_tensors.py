"""How many bytes of tensors are alive, by watching every operation."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of tensors that were made inside this context and are still alive; on any device.

        with LiveTensors() as live: loss.backward()
        live.peak

    Gradients and what is saved for them are tensors too. What an operation uses within itself is not seen: the
    kernels' work space, which does not grow with the batch.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now, self.peak = 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Carry an operation out and note what it made."""
        given = {id_of(x) for x in tree_iter((args, kwargs or {})) if isinstance(x, Tensor)}
        result = func(*args, **(kwargs or {}))
        for made in tree_iter(result):
            if isinstance(made, Tensor) and id_of(made) not in given:
                self._note(made.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()  # noqa: SLF001  what tells two storages apart
        if key in self._known:
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def id_of(tensor: Tensor) -> int:
    """What tells a tensor's memory from others'."""
    identity: int = tensor.untyped_storage()._cdata  # noqa: SLF001
    return identity
