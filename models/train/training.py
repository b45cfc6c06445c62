"""The loop: steps until the budget is used up, an average of the weights, checkpoints, lines.

The learning rate is a function of the part of the budget that is used, never of a count of epochs, and
so is the end of the strong augmentation: whatever the machine, the training ends annealed.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
import time
from collections.abc import Iterator

import numpy as np
import torch

import begin
import evaluate
import export
import feed
import net
from data import DataError, Dataset
from loss import Criterion
from together import Group

#: Parts of the budget: until here the learning rate rises, and from there on augmentation is weaker.
WARM_UP = 0.03
PHASES_FROM = (0.0, 0.65, 0.89)
#: The same where the weights are another model's, which has seen the worst.
PHASES_FROM_BEGUN = (0.0, 0.2, 0.7)
#: The last learning rate, as a part of the highest.
LAST = 0.01
GRADIENT_MAX = 10.0
#: Batches by which a net that begins with another's weights is set up.
BEGIN_BATCHES = 16
#: How much the average of the weights keeps at a step.
KEEP = 0.998
#: Pictures that are measured with between two lines; all of them at the end.
VALIDATION_PICTURES = 300


@dataclasses.dataclass
class Progress:
    """How far the training has come; kept in checkpoints."""

    steps: int = 0
    #: How strongly pictures are augmented now, and how many steps they have been.
    phase: int = 0
    phase_steps: int = 0
    pictures: int = 0
    seconds: float = 0.0

    def part(self, options: argparse.Namespace) -> float:
        """Of the budget, 0 to 1."""
        if options.pictures is not None:
            return min(self.pictures / options.pictures, 1.0)
        return min(self.seconds / (60.0 * options.minutes), 1.0)


def phase_at(part: float, begun: bool) -> int:
    phases = PHASES_FROM_BEGUN if begun else PHASES_FROM
    return sum(begins <= part for begins in phases[1:])


def rate_at(part: float, highest: float) -> float:
    """Up in a line, down in a cosine."""
    if part < WARM_UP:
        return highest * (0.02 + 0.98 * part / WARM_UP)
    along = (part - WARM_UP) / (1.0 - WARM_UP)
    return highest * (LAST + (1.0 - LAST) * 0.5 * (1.0 + math.cos(math.pi * along)))


def shape_of(options: argparse.Namespace, data: Dataset) -> net.Shape:
    return net.Shape(height=options.height, width=options.width, classes=len(data.classes))


def fixed(options: argparse.Namespace, data: Dataset) -> dict[str, object]:
    """What a checkpoint must agree on with the command that resumes it."""
    return {
        "shape": dataclasses.asdict(shape_of(options, data)),
        "data": data.digest,
        "classes": data.classes,
        "placement": export.PLACEMENT,
        "seed": options.seed,
        "from": begin.digest(options.begin),
        "batch": options.batch,
        "processes": options.processes,
    }


def known_halves(options: argparse.Namespace) -> bool:
    """Whether the training that goes on computes in bfloat16."""
    return torch.load(options.out.with_suffix(".pt"), weights_only=True)["halves"]


def check_checkpoint(options: argparse.Namespace, data: Dataset) -> None:
    """Whether the checkpoint beside the model is of this training."""
    checkpoint = options.out.with_suffix(".pt")
    found, wanted = torch.load(checkpoint, weights_only=True)["fixed"], fixed(options, data)
    if found != wanted:
        raise DataError(f"{checkpoint} is of another training: it has {found}, wanted is {wanted}")


def say(text: str) -> None:
    print(text, flush=True)


class Training:
    """The net, its average and the optimiser, in one process of a group."""

    def __init__(self, group: Group, options: argparse.Namespace, data: Dataset, val: Dataset) -> None:
        self.group, self.options, self.data, self.val = group, options, data, val
        # Now, because --out may take the place of the model that it begins with.
        self.fixed = fixed(options, data)
        torch.manual_seed(options.seed)
        detector = net.Detector(shape_of(options, data))
        if options.begin and not options.resume:
            begin.begin(detector, options.begin, data.classes, self.first_pictures(options, data))
        self.net = detector.to(memory_format=torch.channels_last).train()
        self.average = copy.deepcopy(self.net).eval().requires_grad_(False)
        # What multiplies is decayed, what shifts is not.
        parameters = list(self.net.parameters())
        groups = [
            {"params": [p for p in parameters if 1 < p.dim()], "weight_decay": options.decay},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98))
        self.criterion = Criterion(options.height, options.width)
        self.progress = Progress()
        self.checkpoint = options.out.with_suffix(".pt")
        self.history: list[dict[str, object]] = []

    @staticmethod
    def first_pictures(options: argparse.Namespace, data: Dataset) -> Iterator[torch.Tensor]:
        """Pictures as the first ones of a training are, the same in each process."""
        numbers = range(BEGIN_BATCHES)
        for batch in feed.batches(data, options.batch, options.seed, numbers, 0):
            yield feed.input_of(batch.pictures)

    def save(self) -> None:
        part = self.checkpoint.with_suffix(".pt.part")
        state = {
            "fixed": self.fixed,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": dataclasses.asdict(self.progress),
            "halves": self.options.halves,
            "history": self.history,
        }
        torch.save(state, part)
        part.replace(self.checkpoint)

    def restore(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        self.history = state["history"]

    def run(self) -> None:
        """Trains until the budget is used up."""
        part = self.progress.part(self.options)
        batches = self.batches()
        report = Report(self)
        while part < 1.0:
            phase = phase_at(part, self.options.begin is not None)
            if phase != self.progress.phase:
                self.progress.phase, self.progress.phase_steps = phase, 0
                batches = self.batches()
            since = time.monotonic()
            parts, part = self.step(next(batches))
            self.progress.seconds += time.monotonic() - since
            self.progress.phase_steps += 1
            if self.group.leads():
                report.after(parts, part)
        if self.group.leads():
            self.save()

    def step(self, batch: feed.Batch) -> tuple[tuple[float, float, float], float]:
        """One step; the parts of its loss, and of the budget the part that all processes go by."""
        # Weights stay f32; products of many are left to the processor's bfloat16 units.
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.halves):
            answers = self.net(feed.input_of(batch.pictures))
        loss = self.criterion(answers.float(), *batch.animals())
        parts = (loss.box.item(), loss.object.item(), loss.posture.item())
        if not all(map(math.isfinite, parts)):
            raise RuntimeError(
                f"the loss is no number after {self.progress.pictures} pictures: {parts}; try a lower --rate"
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        parameters = list(self.net.parameters())
        self.progress.steps += 1
        self.progress.pictures += len(batch.pictures) * self.group.size
        part = self.group.mean_gradients(parameters, self.progress.part(self.options))
        torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_MAX)
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(part, self.options.rate)
        self.optimiser.step()
        self.follow()
        return parts, part

    @torch.no_grad()
    def follow(self) -> None:
        """Moves the average, which forgets the first steps quickly."""
        keep = min(KEEP, (1.0 + self.progress.steps) / (10.0 + self.progress.steps))
        mine, theirs = self.average.state_dict(), self.net.state_dict()
        floats = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in floats], [theirs[n] for n in floats], 1.0 - keep)

    def batches(self) -> Iterator[feed.Batch]:
        """Those of the phase that were not seen yet."""
        progress, group = self.progress, self.group
        numbers = range(progress.phase_steps * group.size + group.rank, 2**62, group.size)
        return feed.batches(self.data, self.options.batch, self.options.seed, numbers, progress.phase)

    def answers(self, pictures_max: int | None = None) -> evaluate.Answers:
        return evaluate.answers(export.model_of(self.average), self.val, pictures_max)


class Report:
    """Says now and then how it goes; measures and saves more seldom."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.validated = training.progress.seconds
        self.restart()

    def restart(self) -> None:
        self.since, self.sums, self.steps = time.monotonic(), np.zeros(3), 0

    def after(self, parts: tuple[float, float, float], part: float) -> None:
        training, options, progress = self.training, self.training.options, self.training.progress
        self.sums, self.steps = self.sums + parts, self.steps + 1
        passed = time.monotonic() - self.since
        if options.line_every <= passed or 1.0 <= part:
            box, found, posture = self.sums / self.steps
            pictures = self.steps * options.batch * training.group.size
            say(
                f"{100 * part:5.1f} %  {progress.pictures} pictures  {pictures / passed:.1f} pictures/s  "
                f"loss {box + found + posture:.4f} = box {box:.4f} + object {found:.4f} + posture {posture:.4f}  "
                f"rate {rate_at(part, options.rate):.2e}"
            )
            self.restart()
        if 60.0 * options.validate_every <= progress.seconds - self.validated and part < 1.0:
            self.validated = progress.seconds
            figures = evaluate.evaluate(training.answers(VALIDATION_PICTURES), evaluate.Reading())
            training.history.append(
                {"pictures": progress.pictures, "ap50": figures["ap50"]} | evaluate.best(figures)
            )
            training.save()
            say(f"validation after {progress.pictures} pictures: {evaluate.described(figures)}")
            self.restart()
