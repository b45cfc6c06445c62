"""The weights of an exported model, as a net that goes on learning from them.

Export folds each normalisation into the convolution before it. Learning needs them apart again: so
what each convolution answers is measured on some pictures, its normalisation is given the mean and
the deviation that were found, and the scale and shift that undo both. Nothing else is changed, so
the net answers as the file does. Its filters are brought to the size that a new net's have, which
the normalisation takes away again: how fast a filter turns depends on its size.

Classes that the file does not name are learned from nothing; where animals are is not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

import net
from data import DataError
from export import check_placement, classes_of, folded

#: A filter of a new net has about this norm: uniform within 1/sqrt(inputs) of 0.
FILTER_NORM = 1.0 / math.sqrt(3.0)


def begin(detector: net.Detector, file: Path, classes: list[str], pictures: Iterable[Tensor]) -> None:
    """Gives `detector`, which is to tell `classes`, the weights of the model in `file`, as it answers to
    `pictures` (inputs `[B, 3, H, W]`)."""
    known, names = folded_net(file, detector.shape)
    # By name: the same number may be another class.
    same = [(to, names.index(name)) for to, name in enumerate(classes) if name in names]
    statistics = measured(known, pictures)
    found = dict(known.named_modules())
    with torch.no_grad():
        for name, part in detector.named_modules():
            if isinstance(part, net.Convolution):
                unfold(part, found[name].convolution, *statistics[name])
            elif isinstance(part, net.Head):
                for to, at in same:
                    part.postured.weight[to] = found[name].postured.weight[at]
                    part.postured.bias[to] = found[name].postured.bias[at]
                part.placed.weight.copy_(found[name].placed.weight)
                part.placed.bias.copy_(found[name].placed.bias)


def digest(file: Path | None) -> str | None:
    """SHA-256 of the model that a training begins with, if it begins with one."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() if file else None
    except OSError as error:
        raise DataError(f"cannot begin with {file}: {error}") from error


def unfold(part: net.Convolution, known: nn.Module, mean: Tensor, variance: Tensor) -> None:
    """Convolution and normalisation that together answer as `known` does."""
    norms = known.weight.flatten(1).norm(dim=1).clamp_min(1e-6)
    scale = FILTER_NORM / norms
    part.convolution.weight.copy_(known.weight * scale.reshape(-1, *([1] * (known.weight.dim() - 1))))
    normal = part.normalisation
    normal.running_mean.copy_(mean * scale)
    normal.running_var.copy_(variance * scale**2)
    normal.weight.copy_((variance * scale**2 + normal.eps).sqrt() / scale)
    normal.bias.copy_(known.bias + mean)


def measured(known: net.Detector, pictures: Iterable[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and variance of each channel that each convolution answers, before its shift."""
    sums: dict[str, list[Tensor]] = {}
    hooks = []
    for name, part in known.named_modules():
        if not isinstance(part, net.Convolution):
            continue

        def add(module: nn.Module, _: object, answer: Tensor, name: str = name) -> None:
            values = answer.double() - module.bias.double()[:, None, None]
            now = [values.mean(dim=(0, 2, 3)), values.square().mean(dim=(0, 2, 3)), torch.ones(())]
            sums[name] = [a + b for a, b in zip(sums[name], now)] if name in sums else now

        hooks.append(part.convolution.register_forward_hook(add))
    with torch.no_grad():
        for batch in pictures:
            known(batch)
    for hook in hooks:
        hook.remove()
    return {
        name: ((total / n).float(), (squares / n - (total / n) ** 2).clamp_min(0.0).float())
        for name, (total, squares, n) in sums.items()
    }


def folded_net(file: Path, wanted: net.Shape) -> tuple[net.Detector, list[str]]:
    """The net in `file`, whose shape the facts beside it tell, as it was exported, and its classes."""
    about = file.with_suffix(".json")
    try:
        shape = shape_of(json.loads(about.read_text())["shape"])
        model = onnx.load(file)
        said = {one.key: one.value for one in model.metadata_props}
        names = classes_of(said["names"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"cannot begin with {file}: wanted is a model that train.py wrote, with its facts in {about}: {error}"
        ) from error
    check_placement(said, file)
    free = {"height": wanted.height, "width": wanted.width, "classes": wanted.classes}
    if dataclasses.replace(shape, **free) != wanted:
        raise DataError(f"cannot begin with {file}: its net is {shape}, wanted is {wanted}")
    known = folded(net.Detector(shape))
    fill(known, model, file)
    return known, names


def shape_of(told: dict[str, object]) -> net.Shape:
    return net.Shape(**{name: tuple(v) if isinstance(v, list) else v for name, v in told.items()})


def fill(known: net.Detector, model: onnx.ModelProto, file: Path) -> None:
    """Copies the file's weights: its convolutions stand in the order in which the net computes them."""
    values = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        # Widened halves; and of weights that are the same, all zero as a rule, the file keeps one.
        if node.op_type in ("Cast", "Identity") and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    stored = [[values[name] for name in node.input[1:]] for node in model.graph.node if node.op_type == "Conv"]
    order: list[nn.Module] = []
    parts = [part for part in known.modules() if isinstance(part, nn.Conv2d | net.Pointwise)]
    hooks = [part.register_forward_hook(lambda module, *_: order.append(module)) for part in parts]
    with torch.no_grad():
        known(torch.zeros(1, 3, known.shape.height, known.shape.width))
    for hook in hooks:
        hook.remove()
    fits = len(order) == len(stored) and all(
        part.weight.numel() == weight.size and part.bias.numel() == bias.size
        for part, (weight, bias) in zip(order, stored)
    )
    if not fits:
        raise DataError(f"cannot begin with {file}: it is not the net that the facts beside it tell of")
    with torch.no_grad():
        for part, (weight, bias) in zip(order, stored):
            part.weight.copy_(torch.from_numpy(weight.astype("float32")).reshape(part.weight.shape))
            part.bias.copy_(torch.from_numpy(bias.astype("float32")))
