"""What a model sees in pictures, by the training's own code: one JSON array a picture.

    seen.py TRAINING_FOLDER MODEL CONFIDENCE COPIES PICTURE...

Each picture is also written as PNG into the folder COPIES, so that another reader of it has the same
bytes: two decoders of JPEG may not.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import cv2
import numpy as np

import data
import evaluate
import export

model, confidence, copies, files = sys.argv[2], float(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:]
copies.mkdir()
runtime = export.session(Path(model))
height, width = runtime.get_inputs()[0].shape[2:]
for file in map(Path, files):
    picture = cv2.imread(str(file))
    cv2.imwrite(str(copies / f"{file.stem}.png"), picture)
    fitted = data.stretched(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), height, width)
    (output,) = runtime.run(None, {"images": export.images_of(fitted[None]).numpy()})
    boxes = evaluate.found(output[0], export.reading_of(runtime).iou_max, confidence)
    seen = []
    for corners, score, label in zip(boxes.corners, boxes.score, boxes.label, strict=True):
        ends = corners.reshape(2, 2) / (width, height)
        (x0, y0), (x1, y1) = np.clip(ends, 0.0, 1.0).tolist()
        name = ("standing", "lying")[label]
        seen.append({"class": name, "confidence": float(score), "x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0})
    print(json.dumps(seen))
