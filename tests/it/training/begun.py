"""Whether a net that begins with a file's weights answers as the file does: one JSON object.

    begun.py TRAINING_FOLDER FOLDER

`difference` is how far the two answer apart, `exchanged` the same where the net numbers the classes the
other way round, `older` the same where the file is of a net that counts by objectness, `spread` how far apart the
file's scores are, `refused` what a net of another shape is told.
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
inputs = export.images_of(pictures)


def exported(file: Path, shape: net.Shape, told: dict[str, object]) -> np.ndarray:
    """Writes a net of `shape`, its facts as `told`; what the file answers."""
    detector = net.Detector(shape).eval()
    with torch.no_grad():
        # As of a net that has learned: no two answers of a cell are alike.
        for name, weights in detector.named_parameters():
            if any(part in name for part in ("placed", "chosen", "postured")):
                weights.copy_(0.5 * torch.randn(weights.shape))
    export.export(detector, file, CLASSES, evaluate.Reading(), pictures)
    file.with_suffix(".json").write_text(json.dumps({"shape": told}))
    runtime = export.session(file)
    return np.concatenate([runtime.run(None, {"images": one[None].numpy()})[0] for one in inputs])


def begun(file: Path, classes: list[str]) -> np.ndarray:
    detector = net.Detector(shape)
    begin.begin(detector, file, classes, [inputs])
    return export.model_of(detector)(pictures)


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max())


CLASSES = ["standing", "lying"]
theirs = exported(file, shape, dataclasses.asdict(shape))
difference = apart(begun(file, CLASSES), theirs)
exchanged = apart(begun(file, CLASSES[::-1])[:, [0, 1, 2, 3, 5, 4]], theirs)
# Such nets' facts did not tell of the branch.
old = file.with_name("old.onnx")
facts = {name: value for name, value in dataclasses.asdict(shape).items() if name != "one_to_one"}
theirs_older = exported(old, dataclasses.replace(shape, one_to_one=False), facts)
older = apart(begun(old, CLASSES), theirs_older)
try:
    begin.begin(net.Detector(dataclasses.replace(shape, head=32)), file, CLASSES, [inputs])
    refused = ""
except data.DataError as error:
    refused = str(error)
print(json.dumps({
    "difference": difference, "exchanged": exchanged, "older": older, "spread": float(np.ptp(theirs[:, 4:])),
    "refused": refused,
}))
