"""How good a net is, measured as animov uses it.

Boxes are suppressed as in `producers/src/detect/suppress.rs`, whatever their class, since an animal has
one posture, then counted: the numbers that matter are how far a picture's count is from the truth, and
how often a posture is right. AP50 is there to compare with what others report.

How boxes are read, from which confidence and overlap on, is chosen by what counts pictures of the
validation best (`choose`), and written into the model's file.

Animals of which too little can be seen are neither: a box on one is not wrong, a missing one is not
missed. Counts are compared with the animals that are to be found, and every box counts, so a box on
a barely visible animal makes a count worse rather than better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data import VISIBLE_MIN, Dataset

#: A box is an animal's from this overlap on.
MATCH = 0.5
#: Below this no box is looked at.
SCORE_MIN = 0.01
THRESHOLDS = tuple(round(0.1 + 0.05 * step, 2) for step in range(11))
#: What is tried as a reading. Animals behind each other overlap by half and are two, two boxes of one
#: animal overlap by more; how much more, the net decides.
CONFIDENCES = tuple(round(0.1 + 0.01 * step, 2) for step in range(31))
OVERLAPS = tuple(round(0.35 + 0.05 * step, 2) for step in range(7))

Array = NDArray[np.float32]
#: Pictures `[B, H, W, 3]` bytes to outputs `[B, 4 + classes, N]` as the exported model answers.
Model = Callable[[NDArray[np.uint8]], Array]


@dataclass(frozen=True)
class Reading:
    """Which boxes are counted."""

    #: Those surer than this.
    confidence: float = 0.25
    #: Of those that overlap by more, the surest.
    iou_max: float = 0.5


@dataclass(frozen=True)
class Boxes:
    """The boxes found in one picture, the surest first."""

    corners: Array
    score: Array
    label: NDArray[np.int64]


def found(output: Array, iou_max: float, score_min: float = SCORE_MIN, by_class: bool = False) -> Boxes:
    """The boxes of one output `[4 + classes, N]`, suppressed."""
    label = output[4:].argmax(axis=0)
    score = output[4:].max(axis=0)
    sure = np.flatnonzero(score_min < score)
    order = sure[np.argsort(-score[sure], kind="stable")][:1024]
    centre, half = output[0:2, order].T, output[2:4, order].T / 2.0
    corners = np.concatenate((centre - half, centre + half), axis=1)
    label = label[order]
    rival = iou_max < overlaps(corners, corners)
    if by_class:
        rival &= label[:, None] == label[None, :]
    kept = np.ones(len(order), bool)
    for at in range(len(order)):
        if kept[at]:
            kept[at + 1 :] &= ~rival[at, at + 1 :]
    return Boxes(corners[kept], score[order][kept], label[kept])


def overlaps(a: Array, b: Array) -> Array:
    """Intersection over union of each box of `a` with each of `b`."""
    low = np.maximum(a[:, None, 0:2], b[None, :, 0:2])
    high = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area_a, area_b = ((x[:, 2:4] - x[:, 0:2]).prod(axis=1) for x in (a, b))
    return shared / np.maximum(area_a[:, None] + area_b[None, :] - shared, 1e-9)


@dataclass(frozen=True)
class Answers:
    """What a model answers to labelled pictures."""

    outputs: list[Array]
    labels: list[Array]
    classes: list[str]


def answers(model: Model, data: Dataset, pictures_max: int | None = None) -> Answers:
    """Of all pictures, or of so many evenly spread ones."""
    count = min(len(data), pictures_max or len(data))
    chosen = np.linspace(0, len(data) - 1, count).round().astype(int)
    outputs: list[Array] = []
    for begin in range(0, count, 32):
        outputs += list(model(data.pictures[chosen[begin : begin + 32]]))
    return Answers(outputs, [data.labels[at] for at in chosen], data.classes)


def choose(given: Answers) -> Reading:
    """The reading whose counts are nearest to the truth."""
    wanted = np.array([int((VISIBLE_MIN <= rows[:, 5]).sum()) for rows in given.labels])
    errors = np.zeros((len(OVERLAPS), len(CONFIDENCES)))
    for at, iou_max in enumerate(OVERLAPS):
        scores = [found(output, iou_max, CONFIDENCES[0]).score for output in given.outputs]
        for to, confidence in enumerate(CONFIDENCES):
            counts = np.array([int((confidence < score).sum()) for score in scores])
            errors[at, to] = np.abs(counts - wanted).sum()
    at, to = np.unravel_index(errors.argmin(), errors.shape)
    return Reading(CONFIDENCES[to], OVERLAPS[at])


def evaluate(given: Answers, reading: Reading) -> dict[str, object]:
    """All figures."""
    outputs, labels = given.outputs, given.labels
    boxes = [found(output, reading.iou_max) for output in outputs]
    figures: dict[str, object] = {"pictures": len(outputs), "iou_max": reading.iou_max}
    figures["animals"] = sum(int((VISIBLE_MIN <= rows[:, 5]).sum()) for rows in labels)
    figures["ap50"] = {
        name: round(average_precision(boxes, labels, at), 4) for at, name in enumerate(given.classes)
    }
    thresholds = sorted({*THRESHOLDS, reading.confidence})
    figures["thresholds"] = [
        at_threshold(threshold, reading.iou_max, outputs, boxes, labels) for threshold in thresholds
    ]
    return figures


def at_threshold(
    threshold: float, iou_max: float, outputs: list[Array], boxes: list[Boxes], labels: list[Array]
) -> dict[str, float]:
    """Counts, postures, misses and false boxes at one confidence."""
    errors, right, matched, doubles, false, total = [], 0, 0, 0, 0, 0
    by_class: list[int] = []
    for output, all_boxes, rows in zip(outputs, boxes, labels, strict=True):
        sure = threshold < all_boxes.score
        corners, label = all_boxes.corners[sure], all_boxes.label[sure]
        seen = rows[VISIBLE_MIN <= rows[:, 5]]
        total += len(seen)
        errors.append(len(corners) - len(seen))
        by_class += [int((label == c).sum()) - int((seen[:, 0] == c).sum()) for c in range(output.shape[0] - 4)]
        doubles += len(found(output, iou_max, threshold, by_class=True).score) - len(corners)
        pairs = match(corners, seen[:, 1:5])
        matched += len(pairs)
        right += sum(int(label[box] == seen[animal, 0]) for box, animal in pairs)
        rest = np.delete(np.arange(len(corners)), [box for box, _ in pairs])
        hidden = rows[rows[:, 5] < VISIBLE_MIN]
        false += int((~covered(corners[rest], hidden[:, 1:5])).sum())
    return {
        "confidence": threshold,
        "count_mae": round(float(np.abs(errors).mean()), 4),
        "count_bias": round(float(np.mean(errors)), 4),
        "count_exact": round(float((np.array(errors) == 0).mean()), 4),
        "count_mae_by_class": round(float(np.abs(by_class).mean()), 4),
        "recall": round(matched / max(total, 1), 4),
        "precision": round(matched / max(matched + false, 1), 4),
        "posture_right": round(right / max(matched, 1), 4),
        "doubles_per_100": round(100.0 * doubles / max(total, 1), 3),
    }


def match(boxes: Array, animals: Array) -> list[tuple[int, int]]:
    """Pairs each box, the surest first, with the animal it overlaps most among those left."""
    table = overlaps(boxes, animals)
    pairs = []
    for box in range(len(boxes)):
        if len(animals) and MATCH <= table[box].max():
            animal = int(table[box].argmax())
            pairs.append((box, animal))
            table[:, animal] = 0.0
    return pairs


def covered(boxes: Array, hidden: Array) -> NDArray[np.bool_]:
    """Which boxes lie on an animal that is to be ignored."""
    if not len(boxes) or not len(hidden):
        return np.zeros(len(boxes), bool)
    low = np.maximum(boxes[:, None, 0:2], hidden[None, :, 0:2])
    high = np.minimum(boxes[:, None, 2:4], hidden[None, :, 2:4])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    smaller = np.minimum(
        (boxes[:, 2:4] - boxes[:, 0:2]).prod(axis=1)[:, None],
        (hidden[:, 2:4] - hidden[:, 0:2]).prod(axis=1)[None, :],
    )
    return (0.5 < shared / np.maximum(smaller, 1e-9)).any(axis=1)


def average_precision(boxes: list[Boxes], labels: list[Array], label: int) -> float:
    """AP at IoU 0.5 of one class: the area under precision over recall, without gaps."""
    score: list[float] = []
    right: list[bool] = []
    total = 0
    for here, rows in zip(boxes, labels, strict=True):
        mine = here.label == label
        corners, scores = here.corners[mine], here.score[mine]
        wanted = rows[(rows[:, 0] == label) & (VISIBLE_MIN <= rows[:, 5])]
        hidden = rows[rows[:, 5] < VISIBLE_MIN]
        total += len(wanted)
        hits = {box for box, _ in match(corners, wanted[:, 1:5])}
        free = covered(corners, hidden[:, 1:5])
        for box in range(len(corners)):
            if box in hits or not free[box]:
                score.append(float(scores[box]))
                right.append(box in hits)
    if not total or not score:
        return 0.0
    order = np.argsort(-np.array(score), kind="stable")
    hit = np.cumsum(np.array(right)[order])
    recall, precision = hit / total, hit / np.arange(1, len(order) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def best(figures: dict[str, object]) -> dict[str, float]:
    """The confidence whose counts are nearest to the truth."""
    return min(figures["thresholds"], key=lambda row: (row["count_mae"], row["confidence"]))


def described(figures: dict[str, object], reading: Reading | None = None) -> str:
    """The figures in a line: those at a reading, else where counts are best."""
    rows = {row["confidence"]: row for row in figures["thresholds"]}
    row = rows[reading.confidence] if reading else best(figures)
    ap50 = ", ".join(f"{name} {value:.3f}" for name, value in figures["ap50"].items())
    errors = " ".join(f"{at['confidence']:.2f}:{at['count_mae']:.2f}" for at in figures["thresholds"])
    return (
        f"AP50 {ap50}; boxes that overlap by more than {figures['iou_max']} are one; count MAE by confidence {errors}; at {row['confidence']:.2f} exact "
        f"{row['count_exact']:.3f}, MAE by class {row['count_mae_by_class']:.3f}, recall {row['recall']:.3f}, precision {row['precision']:.3f}, posture "
        f"right {row['posture_right']:.3f}, doubles {row['doubles_per_100']:.2f} a hundred animals"
    )
