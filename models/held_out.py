#!/usr/bin/env python3
"""Measures a model on days of pens that no training has seen, and prints what its card says.

    models/held_out.py --animov target/release/animov --out DIR [--model FILE] [--pens 10] [--every 2m]

Each pen's day is filmed (`animov simulate video`), looked at and compared with its truth (`animov
accuracy`). DIR keeps the films, and of each model the whole reports; here the reports are only put
together. The seeds begin at 8000001; the training's are below 1000000.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FIRST_SEED = 8_000_001
#: Animals of the pens, one after the other.
ANIMALS = (6, 12, 4, 20, 9, 1, 15, 8, 26, 30)
HOUR_MS = 3_600_000


def run(*command: str | Path) -> str:
    """What it prints; what it complains of is shown as it comes."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"held_out: {' '.join(str(part) for part in command)} ended with code {done.returncode}")
    return done.stdout


def digest(animov: Path, model: list[str]) -> str:
    """The hash of the model, as reports name it."""
    lines = dict(line.split(maxsplit=1) for line in run(animov, "check", "model", *model).splitlines())
    return lines["hash"].split()[0]


def filmed(animov: Path, out: Path, seed: int, animals: int, every: str) -> Path:
    """The folder with the film of one pen's day."""
    folder = out / f"films-{every}" / f"pen-{seed}"
    if not folder.is_dir():
        part = folder.with_suffix(".part")
        run(animov, "simulate", "video", "--out", part, "--seed", str(seed), "--animals", str(animals),
            "--for", "24h", "--every", every, "--start", "2026-03-02T00:00:00Z", "--no-labels")
        # Under its name only once it is whole.
        part.rename(folder)
    return folder


def measured(animov: Path, film: Path, report: Path, model: list[str]) -> Path:
    """The report of one pen's day."""
    if not all((report / name).is_file() for name in ("report.json", "frames.csv")):
        run(animov, "accuracy", "--video", film / "pen1.mp4", "--labels", film / "pen1.truth.ndjson",
            "--out", report, *(("--model", *model) if model else ()))
    return report


def hours(report: Path) -> list[tuple[float, float, float, float]]:
    """Of each hour with animals: true and detected share of lying ones, true and detected mean of them.

    Where none of them was detected, none was seen to lie.
    """
    sums: dict[int, list[float]] = defaultdict(lambda: [0.0] * 5)
    with (report / "frames.csv").open() as file:
        for row in csv.DictReader(file):
            of = sums[int(row["captured_at"]) // HOUR_MS]
            for at, name in enumerate(("true lying", "true standing", "detected lying", "detected standing")):
                of[at] += float(row[name])
            of[4] += 1
    return [
        (a / (a + b), c / max(c + d, 1), a / n, c / n) for a, b, c, d, n in sums.values() if a + b
    ]


def pearson(pairs: list[tuple[float, float]]) -> float:
    n = len(pairs)
    x, y = (sum(side) / n for side in zip(*pairs))
    dot = sum((a - x) * (b - y) for a, b in pairs)
    square = math.sqrt(sum((a - x) ** 2 for a, _ in pairs) * sum((b - y) ** 2 for _, b in pairs))
    return dot / square if square else math.nan


class Sums:
    """Of frames of several pens, weighted by frames."""

    def __init__(self) -> None:
        self.frames = self.animals = self.mae = self.bias = 0.0

    def add(self, condition: dict) -> None:
        frames = condition["frames"]
        self.frames += frames
        self.animals += frames * condition["truth_mean"]
        self.mae += frames * (condition["mae"] or 0.0)
        self.bias += frames * (condition["bias"] or 0.0)

    def row(self, name: str) -> str:
        if not self.animals:
            return f"| {name} | {self.frames:.0f} | 0 | – | – |"
        return (
            f"| {name} | {self.frames:.0f} | {self.animals / self.frames:.2f} | "
            f"{100 * self.mae / self.animals:.1f} % | {100 * self.bias / self.animals:+.1f} % |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--animov", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", help="an ONNX file (default: the program's own)")
    parser.add_argument("--pens", type=int, default=len(ANIMALS))
    parser.add_argument("--every", default="2m")
    parser.add_argument("--at-once", type=int, default=2)
    options = parser.parse_args()
    model = [options.model] if options.model else []
    reports_in = options.out / f"{digest(options.animov, model)}-{options.every}"

    def measure(pen: tuple[int, int]) -> Path:
        film = filmed(options.animov, options.out, *pen, options.every)
        return measured(options.animov, film, reports_in / film.name, model)

    pens = [(FIRST_SEED + at, ANIMALS[at % len(ANIMALS)]) for at in range(options.pens)]
    with ThreadPoolExecutor(options.at_once) as pool:
        reports = list(pool.map(measure, pens))
    print("| pen | animals | count MAE by day | by night | precision | recall | posture right | "
          "lying share, day's error | hour's error, mean | r, hour |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    together: dict[tuple[str, str], Sums] = defaultdict(Sums)
    errors, within = [], 0
    for (seed, animals), path in zip(pens, reports):
        report = json.loads((path / "report.json").read_text())
        light = {}
        for condition in report["conditions"]:
            together[condition["condition"], condition["value"]].add(condition)
            if condition["condition"] == "light":
                light[condition["value"]] = 100 * condition["mae"] / condition["truth_mean"]
        of_hours = hours(path)
        off = [100 * abs(found - true) for true, found, _, _ in of_hours]
        errors += off
        within += sum(one <= 2.0 for one in off)
        boxes, share = report["boxes"], report["lying_share"]
        print(
            f"| {seed} | {animals} | {light['day']:.1f} % | {light['night']:.1f} % | {boxes['precision']:.3f} | "
            f"{boxes['recall']:.3f} | {100 * boxes['postures']['right']:.1f} % | {100 * share['error']:+.1f} pp | "
            f"{sum(off) / len(off):.1f} pp | {pearson([(a, b) for _, _, a, b in of_hours]):.3f} |"
        )
    print(f"\nHours within 2 points: {within} of {len(errors)}; mean error {sum(errors) / len(errors):.2f} points.\n")
    print("| condition | pictures | animals | count MAE | bias |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for (condition, value), sums in sorted(together.items()):
        print(sums.row(f"{condition}: {value}"))


if __name__ == "__main__":
    main()
