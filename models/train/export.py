"""The net as an ONNX file that animov reads by itself.

Its contract is the one animov knows as Ultralytics v8: input `images` f32 [1, 3, H, W], RGB, 0 to 1;
output `output0` f32 [1, 4 + classes, N], boxes in input pixels and a score for each class; the classes'
names in the metadata. There it also says that the picture is stretched over all of the input, which is
not that family's habit. Normalisation is folded into the
convolutions before it. The weights are kept in half precision, whose rounding is a thousandth of what
augmentation does to a picture, and computed with in single: runtimes widen them once, on loading.
"""

from __future__ import annotations

import ast
import copy
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

import net
from data import DataError
from evaluate import Reading

DESCRIPTION = (
    "Goats from a fixed camera, standing or lying. Trained from nothing on rendered pens by animov's own "
    "models/train; no third-party weights, code or pictures."
)
#: How a picture lies in the input, as `producers/src/detect/letterbox.rs` names it.
PLACEMENT = "stretch"
LICENCE = "MIT OR Apache-2.0"
OPSET = 17


class Exported(nn.Module):
    """The net with its answers decoded."""

    def __init__(self, detector: net.Detector) -> None:
        super().__init__()
        self.detector = folded(detector)
        centres, strides = net.cells(detector.shape.height, detector.shape.width)
        self.register_buffer("centres", centres)
        self.register_buffer("strides", strides)

    def forward(self, images: Tensor) -> Tensor:
        answers = self.detector(images)
        boxes = net.boxes(answers, self.centres, self.strides)
        return torch.cat((boxes, net.told(answers)), dim=-1).transpose(1, 2)


def folded(detector: net.Detector) -> net.Detector:
    """A copy for answering only, each normalisation folded into its convolution, weights rounded."""
    detector = copy.deepcopy(detector).float().eval()
    for part in detector.modules():
        if not isinstance(part, net.Convolution):
            continue
        inner, normal = part.convolution, part.normalisation
        factor = normal.weight / (normal.running_var + normal.eps).sqrt()
        with torch.no_grad():
            inner.weight.mul_(factor.reshape(-1, *([1] * (inner.weight.dim() - 1))))
            inner.bias = nn.Parameter(normal.bias - normal.running_mean * factor)
        part.normalisation = nn.Identity()
    # As the file keeps them, so that what is measured is what is written.
    with torch.no_grad():
        for weights in detector.parameters():
            if 1 < weights.dim():
                weights.copy_(weights.half())
    return detector


def model_of(detector: net.Detector) -> Callable[[np.ndarray], np.ndarray]:
    """The decoded net as a function of pictures `[B, H, W, 3]`, for evaluation."""
    exported = Exported(detector).eval().to(memory_format=torch.channels_last)

    def answer(pictures: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return exported(images_of(pictures)).numpy()

    return answer


def images_of(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 255.0


def export(
    detector: net.Detector, file: Path, classes: list[str], reading: Reading, pictures: np.ndarray
) -> dict[str, float]:
    """Writes `file`, which says how it is read, checks that ONNX Runtime answers as PyTorch does on `pictures`, and times it."""
    exported = Exported(detector).eval()
    height, width = detector.shape.height, detector.shape.width
    part = file.with_suffix(".part")
    with warnings.catch_warnings():
        # The newer exporter needs another package for a net as plain as this one.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            exported, (torch.zeros(1, 3, height, width),), str(part), dynamo=False,
            opset_version=OPSET, input_names=["images"], output_names=["output0"],
        )
    written = halved(onnx.load(part))
    names = "{" + ", ".join(f"{at}: {name!r}" for at, name in enumerate(classes)) + "}"
    metadata = {
        "task": "detect", "names": names, "stride": str(net.STRIDES[-1]), "imgsz": f"[{height}, {width}]",
        "batch": "1", "confidence": str(reading.confidence), "iou_max": str(reading.iou_max),
        "class_agnostic": "true", "placement": PLACEMENT, "description": DESCRIPTION, "license": LICENCE,
    }
    onnx.helper.set_model_props(written, metadata)
    written.producer_name, written.doc_string = "animov", DESCRIPTION
    onnx.checker.check_model(written)
    onnx.save(written, part)
    figures = compared(exported, part, pictures)
    # Under its name only once it is known to answer rightly.
    part.replace(file)
    return figures | {"bytes": file.stat().st_size, "weights": net.weights(detector)}


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its weights kept in half precision, each widened by a node of its own."""
    graph = model.graph
    widened = []
    for weights in graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        # Only convolutions': others are few, and the cells' places among them must be exact.
        if values.dtype != np.float32 or values.ndim < 4:
            continue
        name, stored = weights.name, f"{weights.name}.half"
        weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
        widened.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    for at, node in enumerate(widened):
        graph.node.insert(at, node)
    return model


def session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def classes_of(names: str) -> list[str]:
    """The classes that a file's metadata name, in their order."""
    return [name for _, name in sorted(ast.literal_eval(names).items())]


def reading_of(runtime: onnxruntime.InferenceSession) -> Reading:
    """How a model that was exported here is read."""
    said = runtime.get_modelmeta().custom_metadata_map
    return Reading(float(said["confidence"]), float(said["iou_max"]))


def check_placement(metadata: dict[str, str], file: Path) -> None:
    """Whether the model in `file` was shown pictures as they are shown here."""
    found = metadata.get("placement")
    if found != PLACEMENT:
        raise DataError(
            f"{file} has the placement {found}, here pictures are shown as {PLACEMENT}: an earlier animov wrote it"
        )


def compared(exported: Exported, file: Path, pictures: np.ndarray) -> dict[str, float]:
    """How far ONNX Runtime is from PyTorch, and how long it takes on one thread."""
    runtime = session(file)
    box, score = 0.0, 0.0
    for picture in pictures:
        images = images_of(picture[None]).numpy()
        (ours,) = runtime.run(None, {"images": images})
        with torch.no_grad():
            theirs = exported(torch.from_numpy(images)).numpy()
        box = max(box, float(np.abs(ours[:, :4] - theirs[:, :4]).max()))
        score = max(score, float(np.abs(ours[:, 4:] - theirs[:, 4:]).max()))
    if not (box < 0.05 and score < 1e-3):
        raise RuntimeError(f"{file}: ONNX Runtime's boxes differ by {box} px, its scores by {score}")
    times = []
    for _ in range(50):
        begin = time.perf_counter()
        runtime.run(None, {"images": images})
        times.append(time.perf_counter() - begin)
    return {
        "box_difference_px": box,
        "score_difference": score,
        # The fastest: the others tell how busy the machine was.
        "one_thread_ms": round(1000.0 * min(times), 2),
    }
