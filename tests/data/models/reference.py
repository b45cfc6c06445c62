"""What an independent implementation finds with the Ultralytics contract, letterboxed in the centre.

    python3 -m venv v && v/bin/pip install numpy onnxruntime opencv-python-headless
    v/bin/python reference.py > street_60s.v8_centre.json

Wants the ffmpeg command, and `videos/street_60s.mp4` and `models/yolox_nano_coco_v8.onnx` of the
development assets in `../shared`, beside the workspace. The form is that of the assets' own
`street_60s.yolox_nano.json`, which was made with the picture in the top left corner: a network does
not find the same objects in a picture that is moved by 52 pixels, so it cannot stand in for this.
"""

import json
import pathlib
import subprocess

import cv2
import numpy as np
import onnxruntime

SHARED = pathlib.Path(__file__).resolve().parents[4] / "shared"
W, H, SIDE = 768, 576, 416


def pictures():
    command = ["ffmpeg", "-v", "error", "-i", SHARED / "videos/street_60s.mp4"]
    command += ["-vf", "select='not(mod(n,25))',scale=flags=bilinear", "-vsync", "0"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, H, W, 3)


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def detect(session, picture):
    ratio = SIDE / W
    small = cv2.resize(picture, (SIDE, round(H * ratio)), interpolation=cv2.INTER_LINEAR)
    top = (SIDE - small.shape[0]) // 2
    canvas = np.full((SIDE, SIDE, 3), 114, np.uint8)
    canvas[top : top + small.shape[0]] = small
    tensor = np.ascontiguousarray((canvas.astype(np.float32) / 255).transpose(2, 0, 1)[None])
    output = session.run(None, {"images": tensor})[0][0]
    scores = output[4:]
    classes, confidences = scores.argmax(0), scores.max(0)
    kept = []
    for k in np.argsort(-confidences, kind="stable"):
        if confidences[k] <= 0.3:
            break
        x, y, w, h = output[:4, k]
        corners = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
        if all(c != classes[k] or iou(b, corners) <= 0.45 for c, _, b in kept):
            kept.append((int(classes[k]), float(confidences[k]), corners))
    found = []
    for kind, confidence, (x0, y0, x1, y1) in kept:
        x0, x1 = (min(max(x / ratio / W, 0), 1) for x in (x0, x1))
        y0, y1 = (min(max((y - top) / ratio / H, 0), 1) for y in (y0, y1))
        numbers = (confidence, x0, y0, x1 - x0, y1 - y0)
        found.append([kind] + [round(float(n), 5) for n in numbers])
    return found


options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
model = str(SHARED / "models/yolox_nano_coco_v8.onnx")
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
found = [{"t_ms": n * 1000, "detections": detect(session, p)} for n, p in enumerate(pictures())]
print(json.dumps(found, separators=(",", ":")))
