"""Whether a net with more residual blocks than a file's begins with what the file answers: one JSON object.

    grown.py TRAINING_FOLDER FOLDER

`difference` is how far the two answer apart, `refused` what a net with fewer blocks is told.
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

grown, inputs = net.Detector(large), export.images_of(pictures)
begin.begin(grown, file, [inputs])
runtime = export.session(file)
theirs = np.concatenate([runtime.run(None, {"images": one[None].numpy()})[0] for one in inputs])
ours = export.model_of(grown)(pictures)

# Back again: a part of what such a file knows would be lost.
export.export(grown, file, ["standing", "lying"], evaluate.Reading(), pictures)
file.with_suffix(".json").write_text(json.dumps({"shape": dataclasses.asdict(large)}))
try:
    begin.begin(net.Detector(small), file, [inputs])
    refused = ""
except data.DataError as error:
    refused = str(error)
print(json.dumps({"difference": float(np.abs(ours - theirs).max()), "refused": refused}))
