"""Whether a net that begins with a file's weights answers as the file does: one JSON object.

    begun.py TRAINING_FOLDER FOLDER

`difference` is how far the two answer apart, `exchanged` the same where the net numbers the classes the
other way round, `refused` what a net of another shape is told.
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
shape = net.Shape(
    height=64, width=96, stem=16, stem_blocks=1, channels=(16, 32, 32), blocks=(1, 1, 1), head=16
)
file = Path(sys.argv[2]) / "small.onnx"
pictures = np.random.default_rng(1).integers(0, 256, (8, shape.height, shape.width, 3), np.uint8)
export.export(net.Detector(shape).eval(), file, ["standing", "lying"], evaluate.Reading(), pictures)
file.with_suffix(".json").write_text(json.dumps({"shape": dataclasses.asdict(shape)}))

inputs = export.images_of(pictures)
runtime = export.session(file)
theirs = np.concatenate([runtime.run(None, {"images": one[None].numpy()})[0] for one in inputs])


def answers(classes: list[str]) -> np.ndarray:
    begun = net.Detector(shape)
    begin.begin(begun, file, classes, [inputs])
    return export.model_of(begun)(pictures)


def apart(ours: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max())


difference = apart(answers(["standing", "lying"]))
exchanged = apart(answers(["lying", "standing"])[:, [0, 1, 2, 3, 5, 4]])
try:
    begin.begin(net.Detector(dataclasses.replace(shape, head=32)), file, ["standing", "lying"], [inputs])
    refused = ""
except data.DataError as error:
    refused = str(error)
print(json.dumps({"difference": difference, "exchanged": exchanged, "refused": refused}))
