"""Several processes that train one net, each on pictures of its own.

A net this small gives several threads too little to share: they wait for each other at every
operation, and wait long where another program has one of their cores. Processes meet once a step. Each
computes a gradient on its own pictures, all take the mean, and so all make the same step from the
same weights.
"""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, distributed, multiprocessing

#: The first process measures the net while the others wait; longer than this is a failure.
WAIT = datetime.timedelta(minutes=20)


class Group:
    """This process among the others."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def leads(self) -> bool:
        return self.rank == 0

    def mean_gradients(self, parameters: list[Tensor], told: float) -> float:
        """Makes each gradient the mean of all processes'; answers what the first one `told`."""
        if self.size == 1:
            return told
        gradients = [parameter.grad for parameter in parameters]
        mine = told if self.leads() else 0.0
        flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor([mine * self.size])])
        distributed.all_reduce(flat)
        flat /= self.size
        begin = 0
        for gradient in gradients:
            gradient.copy_(flat[begin : begin + gradient.numel()].view_as(gradient))
            begin += gradient.numel()
        return float(flat[-1])


def _member(rank: int, size: int, folder: str, work: Callable[..., None], arguments: tuple) -> None:
    store = f"file://{Path(folder) / 'store'}"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=size, timeout=WAIT)
    try:
        work(Group(rank, size), *arguments)
    finally:
        distributed.destroy_process_group()


def run(size: int, work: Callable[..., None], arguments: tuple) -> None:
    """Calls `work(group, *arguments)` in `size` processes; ends when all have, or one fails."""
    if size == 1:
        work(Group(0, 1), *arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_member, (size, folder, work, arguments), nprocs=size)
