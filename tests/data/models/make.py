"""Makes the tiny models of this folder, for tests that need no real one.

    python3 -m venv v && v/bin/pip install onnx==1.23.* numpy && v/bin/python make.py

Every detector here answers with the same boxes whatever it is shown, so a test knows what to expect:

    barn_v8.onnx       Ultralytics' contract, 64 x 64, the names {0: 'lying', 1: 'standing'} as metadata
    barn_yolox.onnx    YOLOX's raw contract, 64 x 64, two classes, no names
    pose_v8.onnx       says of itself that its task is `pose`, with the shapes of a detector
    classifier.onnx    no detector: 1 x 3 x 8 x 8 to 1 x 10
"""

import os

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

SIZE = 64
STRIDES = (8, 16, 32)
ANCHORS = sum((SIZE // s) ** 2 for s in STRIDES)

# Centre x, centre y, width, height in input pixels; class; score.
BOXES = [
    (16.0, 20.0, 16.0, 8.0, 0, 0.9),
    (16.5, 20.0, 16.0, 8.0, 0, 0.8),  # the same animal again: falls to the suppression
    (16.0, 20.0, 16.0, 8.0, 1, 0.7),  # the same place, another class: stays
    (60.0, 40.0, 16.0, 16.0, 1, 0.6),  # reaches over the edge: is clipped
    (30.0, 50.0, 10.0, 10.0, 1, 0.2),  # below every threshold that the tests use
]


def constant(name, output, metadata):
    """A model that ignores its input, but reads it: 0 x mean(input) + output."""
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])
    answer = helper.make_tensor_value_info("output0", TensorProto.FLOAT, list(output.shape))
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["boxes", "nothing"], ["output0"]),
    ]
    constants = [
        numpy_helper.from_array(np.float32(0), "zero"),
        numpy_helper.from_array(output.astype(np.float32), "boxes"),
    ]
    write(name, helper.make_graph(nodes, "barn", [image], [answer], constants), metadata)


def write(name, graph, metadata):
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    checker.check_model(model)
    save(model, os.path.join(os.path.dirname(os.path.abspath(__file__)), name))


def v8(classes):
    output = np.zeros((1, 4 + classes, ANCHORS))
    for at, (x, y, w, h, kind, score) in enumerate(BOXES):
        output[0, :4, at] = x, y, w, h
        output[0, 4 + kind, at] = score
    return output


def yolox(classes):
    output = np.zeros((1, ANCHORS, 5 + classes))
    cells = [(x, y, s) for s in STRIDES for y in range(SIZE // s) for x in range(SIZE // s)]
    for at, (x, y, w, h, kind, score) in enumerate(BOXES):
        # One box in each level and then some, so that the grid and the strides matter.
        at = (3, 10, 70, 83, 40)[at]
        column, row, stride = cells[at]
        output[0, at, :4] = x / stride - column, y / stride - row, np.log(w / stride), np.log(h / stride)
        output[0, at, 4] = 0.95
        output[0, at, 5 + kind] = score / 0.95
    return output


names = "{0: 'lying', 1: 'standing'}"
constant("barn_v8.onnx", v8(2), {"names": names, "task": "detect", "stride": "32", "imgsz": "[64, 64]"})
constant("barn_yolox.onnx", yolox(2), {})
constant("pose_v8.onnx", v8(2), {"names": names, "task": "pose"})

image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 8, 8])
answer = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 10])
nodes = [
    helper.make_node("Flatten", ["images"], ["flat"]),
    helper.make_node("Slice", ["flat", "from", "to", "axis"], ["scores"]),
]
constants = [numpy_helper.from_array(np.array([v], np.int64), n) for n, v in (("from", 0), ("to", 10), ("axis", 1))]
write("classifier.onnx", helper.make_graph(nodes, "classifier", [image], [answer], constants), {})
