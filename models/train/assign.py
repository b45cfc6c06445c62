"""Which cells are to answer for which animal: task-aligned assignment (TOOD, Feng et al. 2021).

A cell answers for an animal if it already does so well: the product of the score and a power of the
box's overlap decides. The best few cells of each animal are taken, so what a cell learns and what
suppression will keep of it agree.

Only cells near an animal's centre are looked at, five by five on each grid. The cost is then that of
the animals and not of all cells times all animals, which matters where a training step itself takes
no more than a fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from net import STRIDES

#: Cells that answer for one animal, at most.
CELLS_MAX = 10
#: The score's and the overlap's powers.
SCORE_POWER = 0.5
OVERLAP_POWER = 6.0
#: Cells looked at to each side of the one that holds the centre.
REACH = 2


@dataclass(frozen=True)
class Animals:
    """The animals of a batch, one after the other."""

    #: The picture that each is in, `[G]`.
    picture: Tensor
    #: Its class, `[G]`.
    label: Tensor
    #: Its box's corners in input pixels, `[G, 4]`.
    corners: Tensor

    def only(self, which: Tensor) -> Animals:
        return Animals(self.picture[which], self.label[which], self.corners[which])

    def __len__(self) -> int:
        return len(self.picture)


@dataclass(frozen=True)
class Assignment:
    """Cells that answer for an animal, `[P]` each."""

    #: picture * cells + cell.
    cell: Tensor
    animal: Tensor
    #: The score that the cell should have: the better the box, the nearer to 1.
    target: Tensor


def assign(
    animals: Animals, corners: Tensor, scores: Tensor, height: int, width: int
) -> Assignment:
    """Assigns `animals` by what was answered: `corners` `[B, N, 4]` and `scores` `[B, N, C]`."""
    count = corners.shape[1]
    cell, valid = candidates(animals.corners, height, width)
    flat = cell + animals.picture[:, None] * count
    overlap = iou(corners.reshape(-1, 4)[flat], animals.corners[:, None, :]).clamp_min(0.0)
    score = scores.reshape(-1, scores.shape[-1])[flat, animals.label[:, None]]
    alignment = score.pow(SCORE_POWER) * overlap.pow(OVERLAP_POWER) * valid
    # A box may not overlap at all yet; then the nearest cells learn, as they stand first.
    nearness = torch.linspace(1e-9, 1e-10, cell.shape[1])
    best, at = (alignment + nearness * valid).topk(min(CELLS_MAX, cell.shape[1]), dim=1)
    taken = best > 0.0
    chosen = flat.gather(1, at)
    overlap = overlap.gather(1, at)
    owner = torch.arange(len(animals))[:, None].expand_as(chosen)

    chosen, overlap_here, owner = chosen[taken], overlap[taken], owner[taken]
    # A cell that several animals chose is the one's that its box overlaps most.
    most = torch.full((corners.shape[0] * count,), -1.0)
    most.scatter_reduce_(0, chosen, overlap_here, reduce="amax")
    kept = overlap_here == most[chosen]
    chosen, owner, overlap_here = chosen[kept], owner[kept], overlap_here[kept]
    alignment_here = alignment.gather(1, at)[taken][kept]

    # An animal's best cell should be as sure as its box is good.
    def best_of(values: Tensor) -> Tensor:
        return torch.zeros(len(animals)).scatter_reduce_(0, owner, values, reduce="amax")[owner]

    relative = alignment_here / best_of(alignment_here).clamp_min(1e-9)
    return Assignment(chosen, owner, relative * best_of(overlap_here))


def candidates(corners: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The cells around each animal's centre `[G, K]`, nearest first on each grid, and which count."""
    centre = (corners[:, 0:2] + corners[:, 2:4]) / 2.0
    half = (corners[:, 2:4] - corners[:, 0:2]) / 2.0
    side = torch.arange(-REACH, REACH + 1)
    dy, dx = torch.meshgrid(side, side, indexing="ij")
    steps = torch.stack((dx.reshape(-1), dy.reshape(-1)), dim=-1)
    steps = steps[steps.square().sum(dim=-1).argsort(stable=True)]
    cell, valid, begin = [], [], 0
    for stride in STRIDES:
        rows, columns = height // stride, width // stride
        at = (centre / stride).floor().long()[:, None, :] + steps
        within = (0 <= at).all(dim=-1) & (at[..., 0] < columns) & (at[..., 1] < rows)
        away = ((at + 0.5) * stride - centre[:, None, :]).abs()
        # Inside the box; the smallest animals have some cells of the finest grid at least.
        reach = half if stride != STRIDES[0] else half.clamp_min(0.75 * stride)
        valid.append(within & (away < reach[:, None, :]).all(dim=-1))
        x, y = at[..., 0].clamp(0, columns - 1), at[..., 1].clamp(0, rows - 1)
        cell.append(begin + y * columns + x)
        begin += rows * columns
    return torch.cat(cell, dim=1), torch.cat(valid, dim=1)


def inside(animals: Animals, centres: Tensor, margin: Tensor, pictures: int) -> Tensor:
    """Which cells lie in a box of `animals`, or within `margin` of one: `[pictures * N]`."""
    count = len(centres)
    low = animals.corners[:, None, 0:2] - margin[None, :, None]
    high = animals.corners[:, None, 2:4] + margin[None, :, None]
    hit = ((low < centres) & (centres < high)).all(dim=-1)
    found = torch.zeros(pictures, count, dtype=torch.bool)
    for picture in animals.picture.unique().tolist():
        found[picture] = hit[animals.picture == picture].any(dim=0)
    return found.reshape(-1)


def to_corners(boxes: Tensor) -> Tensor:
    """Centre and size to left, top, right, bottom."""
    half = boxes[..., 2:4] / 2.0
    return torch.cat((boxes[..., 0:2] - half, boxes[..., 0:2] + half), dim=-1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes given by corners, elementwise."""
    shared = (torch.minimum(a[..., 2:4], b[..., 2:4]) - torch.maximum(a[..., 0:2], b[..., 0:2]))
    shared = shared.clamp_min(0.0).prod(dim=-1)
    area_a = (a[..., 2:4] - a[..., 0:2]).prod(dim=-1)
    area_b = (b[..., 2:4] - b[..., 0:2]).prod(dim=-1)
    return shared / (area_a + area_b - shared).clamp_min(1e-9)
