"""All that a model card has to say of a training, as JSON."""

from __future__ import annotations

import dataclasses
import os
import platform
import shlex
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch

import evaluate
from data import Dataset
from training import Training


def facts(
    training: Training, reading: evaluate.Reading, figures: dict[str, object], exported: dict[str, float]
) -> dict[str, object]:
    progress = training.progress
    return {
        "command": shlex.join(["models/train/train.py", *sys.argv[1:]]),
        "seed": training.options.seed,
        "from": training.fixed["from"],
        "train": described(training.data),
        "validation": described(training.val),
        "pictures_seen": progress.pictures,
        "steps": progress.steps,
        "minutes": round(progress.seconds / 60.0, 2),
        "processor": processor(),
        "bfloat16": training.options.halves,
        "processes": training.group.size,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        "shape": dataclasses.asdict(training.net.shape),
        "export": exported,
        "reading": dataclasses.asdict(reading),
        "figures": figures,
        "history": training.history,
    }


def described(data: Dataset) -> dict[str, object]:
    return {
        "sha256": data.digest,
        "pictures": len(data),
        "scenes": data.scenes(),
        "classes": data.classes,
    }


def processor() -> str:
    """The processor's model, by which times and the order of sums are to be understood."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.processor()}, {os.cpu_count()} cores"
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    units = [unit for unit in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if unit in flags]
    return f"{name or platform.processor()}, {os.cpu_count()} cores, {' '.join(units)}"
