"""Several processes of one run on this machine, for tests: they meet as torchrun's do, through their environment."""

import os
import socket

import torch
import torch.multiprocessing as mp


def in_processes(count, function, *arguments):
    """Call `function(*arguments)` in `count` new processes; it stands in a module, and raises what is wrong."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    mp.spawn(_told_who_it_is, args=(count, port, function, arguments), nprocs=count)


def _told_who_it_is(rank, count, port, function, arguments):
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
    }
    function(*arguments)
