"""Whether a net with more residual blocks than a file's begins with what the file answers: one JSON object.

    grown.py TRAINING_FOLDER FOLDER

`difference` is how far the two answer apart, `exchanged` the same where the net numbers the classes the
other way round, `refused` what a net with fewer blocks is told.
"""

import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import numpy as np
import torch

import begin
import data
import evaluate
import export
import net

torch.manual_seed(1)
sizes = {"height": 64, "width": 96, "stem": 16, "channels": (16, 32, 32), "head": 16}
small = net.Shape(**sizes, stem_blocks=1, blocks=(1, 1, 1), refined=0)
large = dataclasses.replace(small, stem_blocks=2, blocks=(3, 2, 1), refined=1)
file = Path(sys.argv[2]) / "small.onnx"
pictures = np.random.default_rng(1).integers(0, 256, (8, small.height, small.width, 3), np.uint8)
export.export(net.Detector(small).eval(), file, ["standing", "lying"], evaluate.Reading(), pictures)
file.with_suffix(".json").write_text(json.dumps({"shape": dataclasses.asdict(small)}))

inputs = export.images_of(pictures)
runtime = export.session(file)
theirs = np.concatenate([runtime.run(None, {"images": one[None].numpy()})[0] for one in inputs])


def begun(classes: list[str]) -> net.Detector:
    grown = net.Detector(large)
    begin.begin(grown, file, classes, [inputs])
    return grown


def apart(ours: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max())


grown = begun(["standing", "lying"])
difference = apart(export.model_of(grown)(pictures))
exchanged = apart(export.model_of(begun(["lying", "standing"]))(pictures)[:, [0, 1, 2, 3, 5, 4]])

# Back again: a part of what such a file knows would be lost.
export.export(grown, file, ["standing", "lying"], evaluate.Reading(), pictures)
file.with_suffix(".json").write_text(json.dumps({"shape": dataclasses.asdict(large)}))
try:
    begin.begin(net.Detector(small), file, ["standing", "lying"], [inputs])
    refused = ""
except data.DataError as error:
    refused = str(error)
print(json.dumps({"difference": difference, "exchanged": exchanged, "refused": refused}))
