"""Batches of augmented pictures, made in one process beside the training.

The process has a bounded queue: it works ahead by a few batches and then waits. Everything random in
it comes from one seed and the number of the batch, so a training that goes on after a break sees what
it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import default_rng
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from assign import Animals
from augment import MILD, PLAIN, STRONG, Augmenter
from data import VISIBLE_MIN, Dataset, Labels

#: How strongly pictures are augmented, in one phase of the training after the other.
PHASES = (STRONG, MILD, PLAIN)
#: Batches that are ready at most.
AHEAD = 6
#: A batch that takes longer never comes.
WAIT_SECONDS = 120.0


@dataclass(frozen=True)
class Batch:
    #: Bytes, `[B, height, width, 3]`.
    pictures: Tensor
    #: Rows of picture, class, corners, visible.
    labels: Tensor

    def animals(self) -> tuple[Animals, Animals]:
        """Those to be found, and those of which too little can be seen."""
        rows = self.labels
        every = Animals(rows[:, 0].long(), rows[:, 1].long(), rows[:, 2:6].contiguous())
        seen = VISIBLE_MIN <= rows[:, 6]
        return every.only(seen), every.only(~seen)


class Augmented(IterableDataset):
    """The batches of the `numbers` given, of one phase."""

    def __init__(self, data: Dataset, size: int, seed: int, numbers: range, phase: int) -> None:
        self.data, self.size, self.seed, self.numbers, self.phase = data, size, seed, numbers, phase

    def __iter__(self) -> Iterator[Batch]:
        height, width = self.data.pictures.shape[1:3]
        augmenter = Augmenter(height, width, default_rng(self.seed))
        strength = PHASES[self.phase]
        for number in self.numbers:
            augmenter.random = default_rng((self.seed, number, self.phase))
            made = []
            for slot in range(self.size):
                sources = [self.source(number * self.size + slot)]
                if augmenter.chance(strength.mosaic):
                    others = augmenter.random.integers(0, len(self.data), 3)
                    sources += [self.at(int(other)) for other in others]
                made.append(augmenter(sources, strength))
            yield collate(made)

    def source(self, number: int) -> tuple[np.ndarray, Labels]:
        """Every picture once an epoch, in an order of the epoch's own."""
        epoch, at = divmod(number, len(self.data))
        return self.at(int(self.order(epoch)[at]))

    def order(self, epoch: int) -> np.ndarray:
        if getattr(self, "_epoch", None) != epoch:
            self._epoch = epoch
            self._order = default_rng((self.seed, epoch)).permutation(len(self.data))
        return self._order

    def at(self, index: int) -> tuple[np.ndarray, Labels]:
        return self.data.pictures[index], self.data.labels[index]


def collate(made: list[tuple[np.ndarray, Labels]]) -> Batch:
    rows = [np.insert(labels, 0, at, axis=1) for at, (_, labels) in enumerate(made)]
    pictures = torch.from_numpy(np.stack([picture for picture, _ in made]))
    return Batch(pictures, torch.from_numpy(np.concatenate(rows).astype(np.float32)))


def batches(data: Dataset, size: int, seed: int, numbers: range, phase: int) -> Iterator[Batch]:
    dataset = Augmented(data, size, seed, numbers, phase)
    # Forked, for else the whole data would be copied to the process.
    loader = DataLoader(
        dataset, batch_size=None, num_workers=1, prefetch_factor=AHEAD, timeout=WAIT_SECONDS,
        multiprocessing_context="fork",
    )
    return iter(loader)


def input_of(pictures: Tensor) -> Tensor:
    """Bytes `[B, H, W, 3]` to the net's input `[B, 3, H, W]` of 0 to 1, channels last in memory."""
    return pictures.permute(0, 3, 1, 2).float().div_(255.0)
