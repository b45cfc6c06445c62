"""What is learned: an animal here or not, its box, its posture.

Objectness learns from every cell, towards the quality that the assignment set (a soft target, so
that a score says how good its box is); box and posture learn from the cells that answer for an
animal, each weighed by that quality. All three are divided by the sum of the qualities: a picture
of thirty animals then weighs thirty times one of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

import net
from assign import Animals, assign, inside, iou, to_corners

BOX_WEIGHT = 5.0
OBJECT_WEIGHT = 1.0
#: Half of what a share of lying animals is off by is postures, whose loss is small beside the others'.
POSTURE_WEIGHT = 1.5


@dataclass(frozen=True)
class Loss:
    """The parts, weighed; the sum is minimised."""

    box: Tensor
    object: Tensor
    posture: Tensor

    @property
    def total(self) -> Tensor:
        return self.box + self.object + self.posture


class Criterion:
    """Computes the loss of one input size."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.centres, self.strides = net.cells(height, width)

    def __call__(self, answers: Tensor, animals: Animals, ignored: Animals) -> Loss:
        """Of raw `answers` `[B, N, 5 + C]`; cells on `ignored` animals learn nothing from them."""
        pictures = answers.shape[0]
        boxes = net.boxes(answers, self.centres, self.strides)
        with torch.no_grad():
            corners = to_corners(boxes)
            found = assign(animals, corners, net.scores(answers), self.height, self.width)
            target = torch.zeros(pictures * answers.shape[1])
            target[found.cell] = found.target
            weight = torch.ones_like(target)
            weight[inside(ignored, self.centres, self.strides / 2.0, pictures)] = 0.0
            weight[found.cell] = 1.0
            qualities = found.target.sum().clamp_min(1.0)

        flat = answers.reshape(-1, answers.shape[-1])
        objectness = F.binary_cross_entropy_with_logits(
            flat[:, net.BOX_VALUES], target, weight, reduction="sum"
        )
        wanted = animals.corners[found.animal]
        box = ((1.0 - ciou(boxes.reshape(-1, 4)[found.cell], wanted)) * found.target).sum()
        logits = flat[found.cell, net.BOX_VALUES + 1 :]
        posture = F.cross_entropy(logits, animals.label[found.animal], reduction="none")
        posture = (posture * found.target).sum()
        return Loss(
            box=BOX_WEIGHT * box / qualities,
            object=OBJECT_WEIGHT * objectness / qualities,
            posture=POSTURE_WEIGHT * posture / qualities,
        )


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
