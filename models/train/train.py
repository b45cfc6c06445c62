#!/usr/bin/env python3
"""Trains the detector, from nothing or from another model, within a budget of time, and exports it.

    models/train/train.py --data DIR --val DIR --out goats.onnx --minutes 70 --processes 2

Beside the model it writes a checkpoint (.pt) every few minutes, from which --resume goes on with
the time that was left, and in the end the facts of the training (.json).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

# Large pages for large tensors, a twentieth of the time. PyTorch asks once, when it is loaded.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import torch

import evaluate
import export
import net
import precision
import together
from begin import folded_net
from data import DataError, load
from facts import facts
from training import Training, check_checkpoint, known_halves, say, shape_of


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of pictures to train with")
    add("--val", type=Path, required=True, help="folder of pictures of other scenes to measure with")
    add("--out", type=Path, required=True, help="the ONNX file")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--minutes", type=float, default=70.0, help="time to train for, without measuring (default 70)"
    )
    budget.add_argument(
        "--pictures", type=int,
        help="pictures to train with, in place of a time: then a seed gives the same model again on the same machine",
    )
    add("--from", type=Path, dest="begin", metavar="FILE",
        help="begin with the weights of a model that this command wrote, with its .json beside it: to teach it other pictures")
    add("--seed", type=int, default=1)
    add("--processes", type=int, default=1, help="processes to train in, one core each (default 1)")
    add("--batch", type=int, default=16, help="pictures a step and process (default 16)")
    add("--rate", type=float, default=2e-3, help="highest learning rate (default 0.002)")
    add("--decay", type=float, default=0.05, help="weight decay (default 0.05)")
    add("--height", type=int, default=320, help="the input's height, a multiple of 32 (default 320)")
    add("--width", type=int, default=416, help="the input's width, a multiple of 32 (default 416)")
    add("--validate-every", type=float, default=5.0, metavar="MINUTES",
        help="between two measurements and checkpoints (default 5)")
    add("--line-every", type=float, default=30.0, metavar="SECONDS", help="between two lines (default 30)")
    add("--resume", action="store_true", help="go on from the checkpoint beside --out")
    options = parser.parse_args()
    for side in (options.height, options.width):
        if side < 32 or side % 32:
            parser.error(f"a side of the input is a multiple of 32, {side} is not")
    if not 0.0 < options.minutes or (options.pictures is not None and options.pictures < 1):
        parser.error("a budget is more than nothing")
    if options.batch < 2 or options.processes < 1:
        parser.error("a step takes 2 pictures or more in 1 process or more")
    if options.resume and not options.out.with_suffix(".pt").is_file():
        parser.error(f"no checkpoint {options.out.with_suffix('.pt')}: begin without --resume")
    return options


def work(group: together.Group, options: argparse.Namespace) -> None:
    """What each process does; the first one measures, writes and speaks."""
    torch.set_num_threads(1)
    data = load(options.data, options.height, options.width)
    val = load(options.val, options.height, options.width)
    training = Training(group, options, data, val)
    if options.resume:
        training.restore()
    if group.leads():
        say(
            f"training with {len(data)} pictures of {data.scenes()} scenes, measuring with {len(val)} of "
            f"{val.scenes()}; {net.weights(training.net)} weights, computed in "
            f"{'bfloat16' if options.halves else 'single precision'}; seed {options.seed}"
        )
    training.run()
    if group.leads():
        finish(training)


def finish(training: Training) -> None:
    options = training.options
    answers = training.answers()
    reading = evaluate.choose(answers)
    exported = export.export(
        training.average, options.out, training.data.classes, reading, training.val.pictures[:4]
    )
    figures = evaluate.evaluate(answers, reading)
    say(f"validation of all: {evaluate.described(figures, reading)}")
    say(
        f"{options.out}: {exported['bytes']} bytes, {exported['one_thread_ms']} ms a picture on one thread, "
        f"within {exported['box_difference_px']:.1e} px and {exported['score_difference']:.1e} of PyTorch; "
        f"read at confidence {reading.confidence}, overlap {reading.iou_max}"
    )
    about = options.out.with_suffix(".json")
    about.write_text(json.dumps(facts(training, reading, figures, exported), indent=1) + "\n")
    say(f"{about}: the facts of this training")


def main() -> int:
    options = arguments()
    # Before anything is computed: a process that is forked beside a pool of threads hangs.
    torch.set_num_threads(1)
    try:
        # Read here first, so that the processes find it done and mistakes are told once.
        data = load(options.data, options.height, options.width)
        val = load(options.val, options.height, options.width)
        if data.classes != val.classes:
            raise DataError(f"{options.data} has the classes {data.classes}, {options.val} has {val.classes}")
        both = data.picture_digests & val.picture_digests
        if both:
            raise DataError(
                f"{len(both)} pictures of {options.val} are in {options.data} too: measure with scenes of another seed"
            )
        if options.resume:
            check_checkpoint(options, data)
        elif options.begin:
            folded_net(options.begin, shape_of(options, data))
        del data, val
        # Once, so that all processes do the same, and a training that goes on does as it did.
        options.halves = known_halves(options) if options.resume else precision.prefers_bfloat16()
        options.out.parent.mkdir(parents=True, exist_ok=True)
        together.run(options.processes, work, (options,))
    except DataError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
