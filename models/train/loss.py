"""What is learned: an animal here or not, which cell is to count it, its box, its posture.

Objectness learns from every cell, towards the quality that the assignment set (a soft target, so
that a score says how good its box is); box and posture learn from the cells that answer for an
animal, each weighed by that quality. These three are divided by the sum of the qualities: a picture
of thirty animals then weighs thirty times one of one. Which cell counts is learned from every cell too,
but towards yes and no: an animal is there or is not, however well its box fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

import net
from assign import Animals, assign, inside, iou, near, one_to_one, to_corners

BOX_WEIGHT = 5.0
OBJECT_WEIGHT = 1.0
ONE_WEIGHT = 1.0
#: Half of what a share of lying animals is off by is postures, whose loss is small beside the others'.
POSTURE_WEIGHT = 1.5


@dataclass(frozen=True)
class Loss:
    """The parts, weighed; the sum is minimised."""

    box: Tensor
    object: Tensor
    one: Tensor
    posture: Tensor

    @property
    def total(self) -> Tensor:
        return self.box + self.object + self.one + self.posture

    def told(self) -> dict[str, float]:
        """The parts by name, as numbers."""
        return {part.name: getattr(self, part.name).item() for part in fields(self)}


class Criterion:
    """Computes the loss of one input size."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.centres, self.strides = net.cells(height, width)

    def __call__(self, answers: Tensor, animals: Animals, ignored: Animals) -> Loss:
        """Of raw `answers` `[B, N, 6 + C]`; cells on `ignored` animals learn nothing from them."""
        boxes = net.boxes(answers, self.centres, self.strides)
        flat = answers.reshape(-1, answers.shape[-1])
        with torch.no_grad():
            cells = near(animals, to_corners(boxes), self.height, self.width)
            counted = one_to_one(cells, answers[..., net.ONE].sigmoid())
            found = assign(animals, cells, net.scores(answers), counted)
            learning = ~inside(ignored, self.centres, self.strides / 2.0, len(answers))
            target, weight = self.wanted(learning, found.cell, found.target)
            qualities = found.target.sum().clamp_min(1.0)
            counted = counted[0 <= counted]
            wanted_one, weight_one = self.wanted(learning, counted, torch.ones(len(counted)))

        def unlike(value: int, target: Tensor, weight: Tensor) -> Tensor:
            return F.binary_cross_entropy_with_logits(flat[:, value], target, weight, reduction="sum")

        wanted = animals.corners[found.animal]
        box = ((1.0 - ciou(boxes.reshape(-1, 4)[found.cell], wanted)) * found.target).sum()
        logits = flat[found.cell, net.CLASSES :]
        posture = F.cross_entropy(logits, animals.label[found.animal], reduction="none")
        posture = (posture * found.target).sum()
        return Loss(
            box=BOX_WEIGHT * box / qualities,
            object=OBJECT_WEIGHT * unlike(net.OBJECT, target, weight) / qualities,
            one=ONE_WEIGHT * unlike(net.ONE, wanted_one, weight_one) / max(len(counted), 1),
            posture=POSTURE_WEIGHT * posture / qualities,
        )

    @staticmethod
    def wanted(learning: Tensor, cells: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The targets of all cells, 0 but for those of `cells`, and whether each learns, as `learning` says."""
        wanted, weight = torch.zeros(len(learning)), learning.float()
        wanted[cells] = target
        weight[cells] = 1.0
        return wanted, weight


def ciou(boxes: Tensor, corners: Tensor) -> Tensor:
    """Complete IoU (Zheng et al. 2020): overlap, less the centres' distance and the sides' ratio."""
    a, b = to_corners(boxes), corners
    overlap = iou(a, b)
    span = torch.maximum(a[:, 2:4], b[:, 2:4]) - torch.minimum(a[:, 0:2], b[:, 0:2])
    apart = (a[:, 0:2] + a[:, 2:4] - b[:, 0:2] - b[:, 2:4]) / 2.0
    distance = apart.square().sum(dim=1) / span.square().sum(dim=1).clamp_min(1e-9)
    sides = (b[:, 2:4] - b[:, 0:2]).clamp_min(1e-3)
    angle = torch.atan(sides[:, 0] / sides[:, 1]) - torch.atan(boxes[:, 2] / boxes[:, 3])
    ratio = (4.0 / math.pi**2) * angle.square()
    with torch.no_grad():
        trade = ratio / (1.0 - overlap + ratio).clamp_min(1e-9)
    return overlap - distance - trade * ratio
