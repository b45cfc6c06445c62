#!/usr/bin/env python3
"""Measures a model file, as a training does at its end, with ONNX Runtime.

    models/train/measure.py --model models/goats.onnx --val DIR [--json FILE]

For labelled pictures of one's own pens as much as for rendered ones: the folder has images/,
labels/ and classes.txt as `animov simulate pictures` writes them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import evaluate
import export
from data import DataError, load


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="an ONNX file that models/train wrote")
    parser.add_argument("--val", type=Path, required=True, help="folder of labelled pictures")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    runtime = export.session(options.model)
    height, width = runtime.get_inputs()[0].shape[2:]
    classes = export.classes_of(runtime.get_modelmeta().custom_metadata_map["names"])

    def model(pictures: np.ndarray) -> np.ndarray:
        images = export.images_of(pictures).numpy()
        return np.concatenate([runtime.run(None, {"images": image[None]})[0] for image in images])

    try:
        export.check_placement(runtime.get_modelmeta().custom_metadata_map, options.model)
        val = load(options.val, height, width)
        if val.classes != classes:
            raise DataError(
                f"{options.val}/classes.txt names {val.classes}, {options.model} names {classes}: number the "
                "labels as the model does"
            )
    except DataError as error:
        print(f"measure: {error}", file=sys.stderr)
        return 1
    reading = export.reading_of(runtime)
    figures = evaluate.evaluate(evaluate.answers(model, val), reading)
    print(f"{len(val)} pictures of {val.scenes()} scenes: {evaluate.described(figures, reading)}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
