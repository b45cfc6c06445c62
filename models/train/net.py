"""The detector: a small convolutional net that answers, for each cell of three grids, one box.

What it is built for decides its form:

- It is trained on a few processor cores. There a 3x3 convolution of 64 channels in bfloat16 costs
  hardly more than reading its input, while normalisation, activation and few channels at a high
  resolution cost dearly. So the stem goes to a quarter of the picture's size in one step.
- A third of the animals are narrower than 20 pixels, their legs two or three. Whether they stand is seen at a
  quarter of the size or not at all, so two residual blocks look there before it is halved again.
- A 1x1 convolution is the same thing as a matrix product, whose gradient PyTorch computes many
  times faster there (`Pointwise`).
- A goat stands or lies, never both. So a cell answers how sure it is of an animal, and of its
  posture given one: two classes cannot both be sure of one animal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: The grids' cells, in input pixels. The contract that animov reads wants these three.
STRIDES = (8, 16, 32)

#: Values of a cell before the classes: centre, size, objectness.
BOX_VALUES = 4

#: A side of a box is at most exp(this) strides: far beyond the input, and finite.
LOG_SIDE_MAX = 4.0


@dataclass(frozen=True)
class Shape:
    """What fixes a net's weights' shapes; kept in checkpoints."""

    height: int = 320
    width: int = 416
    classes: int = 2
    stem: int = 32
    #: Residual blocks behind the stem, at a quarter of the size.
    stem_blocks: int = 2
    #: Channels of the three grids, in backbone and neck.
    channels: tuple[int, int, int] = (64, 128, 128)
    #: Residual blocks of the backbone at each grid.
    blocks: tuple[int, int, int] = (2, 2, 1)
    #: Channels of each branch of a head.
    head: int = 64


class Pointwise(nn.Module):
    """A 1x1 convolution, computed as a matrix product while training."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.conv2d(x, self.weight[:, :, None, None], self.bias)
        # Channels last in memory, so neither permutation copies.
        return F.linear(x.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


class Convolution(nn.Module):
    """Convolution, normalisation, activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        if kernel == 1:
            self.convolution: nn.Module = Pointwise(inputs, outputs, bias=False)
        else:
            padding = (kernel - stride + 1) // 2 if stride > 1 else kernel // 2
            self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.normalisation = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)
        self.activation = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.normalisation(self.convolution(x)))


class Residual(nn.Module):
    """What a convolution adds to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = Convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Stage(nn.Sequential):
    """To half the resolution, then some residual blocks."""

    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        residuals = [Residual(outputs) for _ in range(blocks)]
        super().__init__(Convolution(inputs, outputs, stride=2), *residuals)


class Head(nn.Module):
    """What the cells of one grid answer: box, objectness, and a logit for each class.

    Where an animal ends and how it lies are told by different things, so each has a branch of its own.
    """

    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.place = Convolution(inputs, hidden)
        self.placed = Pointwise(hidden, BOX_VALUES + 1, bias=True)
        self.posture = Convolution(inputs, hidden)
        self.postured = Pointwise(hidden, classes, bias=True)
        with torch.no_grad():
            self.placed.weight.mul_(0.1)
            self.postured.weight.mul_(0.1)
            # An animal in one of a hundred cells, to begin with; else the first steps would be
            # spent on saying no.
            self.placed.bias[BOX_VALUES] = -math.log(99.0)
            # Two cells wide.
            self.placed.bias[2:BOX_VALUES] = math.log(2.0)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.placed(self.place(x)), self.postured(self.posture(x))), dim=1)


class Detector(nn.Module):
    """Backbone to strides 8, 16, 32; back from the coarse to the fine; a head on each."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        fine, middle, coarse = shape.channels
        self.stem = nn.Sequential(
            Convolution(3, shape.stem, kernel=6, stride=4),
            *(Residual(shape.stem) for _ in range(shape.stem_blocks)),
        )
        self.fine = Stage(shape.stem, fine, shape.blocks[0])
        self.middle = Stage(fine, middle, shape.blocks[1])
        self.coarse = Stage(middle, coarse, shape.blocks[2])
        # Down the pyramid: what is known of the whole reaches the fine grid.
        self.coarse_to_middle = Convolution(coarse, middle, kernel=1)
        self.middle_to_fine = Convolution(middle, fine, kernel=1)
        self.middle_joined = Convolution(middle, middle)
        self.fine_joined = Convolution(fine, fine)
        self.heads = nn.ModuleList(
            Head(channels, shape.head, shape.classes) for channels in shape.channels
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures `[B, 3, H, W]` of 0 to 1 to raw answers `[B, N, 5 + classes]`."""
        fine = self.fine(self.stem(pictures))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.middle_joined(middle + doubled(self.coarse_to_middle(coarse)))
        fine = self.fine_joined(fine + doubled(self.middle_to_fine(middle)))
        grids = zip(self.heads, (fine, middle, coarse), strict=True)
        answers = [head(grid).permute(0, 2, 3, 1).flatten(1, 2) for head, grid in grids]
        return torch.cat(answers, dim=1).float()


def doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def cells(height: int, width: int) -> tuple[Tensor, Tensor]:
    """The cells' centres `[N, 2]` (x, y) and strides `[N]` in input pixels, in the answers' order."""
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = height // stride, width // stride
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centres.append((torch.stack((x, y), dim=-1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((rows * columns,), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def boxes(answers: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """The boxes `[..., 4]` (cx, cy, w, h, input pixels) of raw answers `[..., 5 + classes]`."""
    middle = centres + answers[..., 0:2] * strides[..., None]
    sides = answers[..., 2:4].clamp(-LOG_SIDE_MAX, LOG_SIDE_MAX).exp() * strides[..., None]
    return torch.cat((middle, sides), dim=-1)


def scores(answers: Tensor) -> Tensor:
    """How sure a cell is of an animal of each class: `[..., classes]`, together at most 1."""
    objectness = answers[..., BOX_VALUES : BOX_VALUES + 1].sigmoid()
    return objectness * answers[..., BOX_VALUES + 1 :].softmax(dim=-1)


def told(answers: Tensor) -> Tensor:
    """What the exported model tells: how sure a cell is of an animal, as the score of the likelier
    posture. How sure it is of the posture does not make the animal less sure; else animals whose
    posture is doubtful, half of the hidden ones, would not be counted at all."""
    objectness = answers[..., BOX_VALUES : BOX_VALUES + 1].sigmoid()
    # Sharp, but without the jump that some runtimes have no operator for.
    return objectness * (64.0 * answers[..., BOX_VALUES + 1 :]).softmax(dim=-1)


def weights(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())
