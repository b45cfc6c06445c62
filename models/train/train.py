#!/usr/bin/env python3
"""Trains the detector from nothing within a budget of time, and exports it.

    models/train/train.py --data DIR --val DIR --out goats.onnx --minutes 70

The learning rate follows the budget, not a number of epochs: whatever the machine, the training ends
annealed when its time is over. `--pictures` gives a budget of pictures in its place, with which the
same seed on the same machine gives the same model.

A checkpoint is written every few minutes; `--resume` goes on from it with the time that was left.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
import os
import platform
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

import evaluate
import export
import feed
import net
from data import DataError, Dataset, load
from loss import Criterion

#: Parts of the budget: rising learning rate, and, at the end, mild augmentation.
WARM_UP = 0.03
MILD_FROM = 0.85
#: The last learning rate, as a part of the highest.
LAST = 0.01
GRADIENT_MAX = 10.0
#: Pictures that are looked at between two lines; all of them at the end.
VALIDATION_PICTURES = 300


@dataclasses.dataclass
class Progress:
    """How far the training has come; kept in checkpoints."""

    steps: int = 0
    pictures: int = 0
    seconds: float = 0.0
    #: Batches taken of each kind of augmentation.
    strong: int = 0
    mild: int = 0

    def part(self, options: argparse.Namespace) -> float:
        if options.pictures is not None:
            return min(self.pictures / options.pictures, 1.0)
        return min(self.seconds / (60.0 * options.minutes), 1.0)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures to train with")
    parser.add_argument("--val", type=Path, required=True, help="folder of pictures of other scenes to measure with")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file; facts (.json) and checkpoint (.pt) are written beside it")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, default=70.0, help="time to train for, without validations (default 70)")
    budget.add_argument("--pictures", type=int, help="pictures to train with in place of a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16, help="pictures a step (default 16)")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate (default 0.002)")
    parser.add_argument("--decay", type=float, default=0.05, help="weight decay (default 0.05)")
    parser.add_argument("--height", type=int, default=256, help="the input's height, a multiple of 32")
    parser.add_argument("--width", type=int, default=416, help="the input's width, a multiple of 32")
    parser.add_argument("--validate-every", type=float, default=5.0, metavar="MINUTES", help="between two validations and checkpoints (default 5)")
    parser.add_argument("--line-every", type=float, default=30.0, metavar="SECONDS", help="between two lines (default 30)")
    parser.add_argument("--threads", type=int, default=1, help="threads of a step (default 1: a net this small gains little from more, and loses much where they must wait for another program)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside --out")
    options = parser.parse_args(argv)
    for side in (options.height, options.width):
        if side < 32 or side % 32:
            parser.error(f"a side of the input is a multiple of 32, {side} is not")
    if options.minutes <= 0 or (options.pictures is not None and options.pictures < 1) or options.batch < 2:
        parser.error("a budget is more than nothing, and a batch at least 2 pictures")
    return options


def say(text: str) -> None:
    print(text, flush=True)


def rate_at(part: float, highest: float) -> float:
    if part < WARM_UP:
        return highest * (0.02 + 0.98 * part / WARM_UP)
    along = (part - WARM_UP) / (1.0 - WARM_UP)
    return highest * (LAST + (1.0 - LAST) * 0.5 * (1.0 + math.cos(math.pi * along)))


class Training:
    """The net, its running average, and the optimiser."""

    def __init__(self, options: argparse.Namespace, data: Dataset, val: Dataset) -> None:
        self.options, self.data, self.val = options, data, val
        torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        shape = net.Shape(height=options.height, width=options.width, classes=len(data.classes))
        self.net = net.Detector(shape).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.net).eval().requires_grad_(False)
        # Only what multiplies is decayed, not what shifts.
        decayed = [p for p in self.net.parameters() if 1 < p.dim()]
        others = [p for p in self.net.parameters() if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": options.decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98))
        self.criterion = Criterion(options.height, options.width)
        self.progress = Progress()
        self.checkpoint = options.out.with_suffix(".pt")
        self.history: list[dict[str, object]] = []

    def fixed(self) -> dict[str, object]:
        """What a checkpoint must agree on with the command that resumes it."""
        return {
            "shape": dataclasses.asdict(self.net.shape), "data": self.data.digest,
            "seed": self.options.seed, "batch": self.options.batch,
        }

    def save(self) -> None:
        part = self.checkpoint.with_suffix(".pt.part")
        state = {
            "fixed": self.fixed(), "net": self.net.state_dict(), "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(), "progress": dataclasses.asdict(self.progress),
            "history": self.history,
        }
        torch.save(state, part)
        part.replace(self.checkpoint)

    def restore(self) -> None:
        if not self.checkpoint.is_file():
            raise DataError(f"no checkpoint {self.checkpoint}: begin without --resume")
        state = torch.load(self.checkpoint, weights_only=True)
        if state["fixed"] != self.fixed():
            raise DataError(
                f"{self.checkpoint} is of another training: it has {state['fixed']}, wanted {self.fixed()}"
            )
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        self.history = state["history"]

    def step(self, batch: feed.Batch) -> tuple[float, float, float]:
        rate = rate_at(self.progress.part(self.options), self.options.rate)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # Weights stay f32; sums of many products are the processor's own matrix units' in bfloat16.
        with torch.autocast("cpu", torch.bfloat16):
            answers = self.net(feed.input_of(batch.pictures))
        loss = self.criterion(answers.float(), *batch.animals())
        self.optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), GRADIENT_MAX)
        self.optimiser.step()
        self.progress.steps += 1
        self.progress.pictures += len(batch.pictures)
        self.follow()
        return float(loss.box.detach()), float(loss.object.detach()), float(loss.posture.detach())

    @torch.no_grad()
    def follow(self) -> None:
        """Moves the average, which forgets the first steps quickly."""
        keep = min(0.998, (1.0 + self.progress.steps) / (10.0 + self.progress.steps))
        mine, theirs = self.average.state_dict(), self.net.state_dict()
        floats = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in floats], [theirs[n] for n in floats], 1.0 - keep)

    def validate(self, pictures_max: int | None) -> dict[str, object]:
        _, model = export.model_of(self.average)
        return evaluate.evaluate(model, self.val, pictures_max)

    def run(self) -> None:
        """Trains until the budget is used up."""
        options, progress = self.options, self.progress
        mild = MILD_FROM <= progress.part(options)
        batches = self.batches(mild)
        shown, validated = time.monotonic(), progress.seconds
        sums, steps, pictures = np.zeros(3), 0, 0
        self.net.train()
        while progress.part(options) < 1.0:
            begin = time.monotonic()
            if not mild and MILD_FROM <= progress.part(options):
                mild = True
                del batches
                batches = self.batches(mild)
            parts = self.step(next(batches))
            if mild:
                progress.mild += 1
            else:
                progress.strong += 1
            if not all(map(math.isfinite, parts)):
                raise RuntimeError(
                    f"the loss is no number after {progress.pictures} pictures: {parts}; try a lower --rate"
                )
            progress.seconds += time.monotonic() - begin
            sums, steps, pictures = sums + parts, steps + 1, pictures + options.batch
            now = time.monotonic()
            if options.line_every <= now - shown or 1.0 <= progress.part(options):
                box, found, posture = sums / steps
                say(
                    f"{100 * progress.part(options):5.1f} %  {progress.pictures} pictures  "
                    f"{pictures / (now - shown):.1f} pictures/s  loss {sums.sum() / steps:.4f} = "
                    f"box {box:.4f} + object {found:.4f} + posture {posture:.4f}  "
                    f"rate {self.optimiser.param_groups[0]['lr']:.2e}"
                )
                shown, sums, steps, pictures = now, np.zeros(3), 0, 0
            if 60.0 * options.validate_every <= progress.seconds - validated:
                validated = progress.seconds
                figures = self.validate(VALIDATION_PICTURES)
                self.history.append({"pictures": progress.pictures} | summary(figures))
                self.save()
                say(f"validation after {progress.pictures} pictures: {described(figures)}")
                shown = time.monotonic()
        self.save()

    def batches(self, mild: bool):
        first = self.progress.mild if mild else self.progress.strong
        return feed.batches(self.data, self.options.batch, self.options.seed, first, mild)


def summary(figures: dict[str, object]) -> dict[str, object]:
    return {"ap50": figures["ap50"]} | evaluate.best(figures)


def described(figures: dict[str, object]) -> str:
    row = evaluate.best(figures)
    ap = ", ".join(f"{name} {value:.3f}" for name, value in figures["ap50"].items())
    by_threshold = " ".join(f"{r['confidence']:.2f}:{r['count_mae']:.2f}" for r in figures["thresholds"])
    return (
        f"AP50 {ap}; count MAE by confidence {by_threshold}; at {row['confidence']:.2f} exact "
        f"{row['count_exact']:.3f}, class-agnostic MAE {row['count_mae_agnostic']:.3f}, recall {row['recall']:.3f}, "
        f"precision {row['precision']:.3f}, posture right {row['posture_right']:.3f}, doubles "
        f"{row['doubles_per_100']:.2f} a hundred animals"
    )


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def facts(training: Training, figures: dict[str, object], exported: dict[str, float]) -> dict[str, object]:
    """All that the model card has to say of the training."""
    options, progress = training.options, training.progress
    described_data = lambda d: {"sha256": d.digest, "pictures": len(d), "scenes": d.scenes(), "classes": d.classes}
    return {
        "command": shlex.join(["models/train/train.py", *sys.argv[1:]]),
        "seed": options.seed,
        "train": described_data(training.data),
        "validation": described_data(training.val),
        "pictures_seen": progress.pictures,
        "steps": progress.steps,
        "minutes": round(progress.seconds / 60.0, 2),
        "processor": processor(),
        "cores": os.cpu_count(),
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        "shape": dataclasses.asdict(training.net.shape),
        "export": exported,
        "best_confidence": evaluate.best(figures)["confidence"],
        "figures": figures,
        "history": training.history,
    }


def main() -> int:
    options = arguments()
    try:
        data = load(options.data, options.height, options.width)
        val = load(options.val, options.height, options.width)
        if data.classes != val.classes:
            raise DataError(f"{options.data} has the classes {data.classes}, {options.val} has {val.classes}")
        both = data.picture_digests & val.picture_digests
        if both:
            raise DataError(
                f"{len(both)} pictures of {options.val} are in {options.data} too: measure with scenes of another seed"
            )
        options.out.parent.mkdir(parents=True, exist_ok=True)
        training = Training(options, data, val)
        if options.resume:
            training.restore()
    except DataError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    say(
        f"training with {len(data)} pictures of {data.scenes()} scenes, measuring with {len(val)} of "
        f"{val.scenes()}; {net.weights(training.net)} weights; seed {options.seed}"
    )
    training.run()
    exported = export.export(training.average, options.out, data.classes)
    figures = training.validate(None)
    say(f"validation of all: {described(figures)}")
    row = evaluate.best(figures)
    say(
        f"{options.out}: {exported['bytes']} bytes, {exported['one_thread_ms']} ms a picture on one thread, "
        f"within {exported['box_difference_px']:.4f} px and {exported['score_difference']:.6f} of PyTorch; "
        f"counts are best at confidence {row['confidence']:.2f}"
    )
    about = options.out.with_suffix(".json")
    about.write_text(json.dumps(facts(training, figures, exported), indent=1) + "\n")
    say(f"{about}: the facts of this training")
    return 0


if __name__ == "__main__":
    sys.exit(main())
