"""Computes the figures of a report again, from its frames.csv and boxes.csv, with scikit-learn, SciPy
and NumPy, and ends with code 1 if one differs.

    python reference.py DIR
"""

import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import metrics

folder = Path(sys.argv[1])
report = json.loads((folder / "report.json").read_text())
text = {"keep_default_na": False, "dtype": str}
frames = pd.read_csv(folder / "frames.csv", **text)
boxes = pd.read_csv(folder / "boxes.csv", **text)

differences = []
compared = 0


def same(name, ours, theirs):
    global compared
    compared += 1
    nothing = ours is None
    undefined = theirs is None or not np.isfinite(theirs)
    if nothing != undefined or not nothing and not math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9):
        differences.append(f"{name}: {ours}, but the reference says {theirs}")


def quotient(part, whole):
    return part / whole if whole else None


def interval(name, ours, theirs):
    low, high = theirs if theirs is not None else (None, None)
    same(f"{name} low", ours and ours["low"], low)
    same(f"{name} high", ours and ours["high"], high)


# The counts, class by class, and together.
names = [column.removeprefix("true ") for column in frames.columns if column.startswith("true ")]
truth = {name: frames[f"true {name}"].to_numpy(int) for name in names}
found = {name: frames[f"detected {name}"].to_numpy(int) for name in names}
occurring = [name for name in names if truth[name].any() or found[name].any()]
lying = [name for name in names if name in report["setting"]["lying"]]
standing = [name for name in names if name in report["setting"]["standing"]]


def together(of, classes):
    return sum((of[name] for name in classes), np.zeros(len(frames), int))


true_total, found_total = together(truth, names), together(found, names)
series = {name: (truth[name], found[name]) for name in occurring}
if len(occurring) != 1:
    series["total"] = (true_total, found_total)
true_lying, found_lying = together(truth, lying), together(found, lying)
true_postures, found_postures = together(truth, lying + standing), together(found, lying + standing)

# Minutes, hours and blocks.
known = "captured_at" if (frames["captured_at"] != "").all() else "t_ms"
clock = frames[known].to_numpy(np.int64) if (frames[known] != "").all() else None
LENGTHS = {"minute": 60_000, "hour": 3_600_000}


def moments(level):
    """The frames of each minute or hour."""
    if level == "frame":
        return [np.array([at]) for at in range(len(frames))]
    if clock is None:
        return None
    keys = clock // LENGTHS[level]
    return [np.flatnonzero(keys == key) for key in np.unique(keys)]


# Count errors and their intervals.
def draws():
    """The blocks that each draw of the bootstrap holds, by its documentation."""
    plan = report["setting"]["bootstrap"]
    blocks = moments(plan["block"]) or moments("frame")
    state, mask = plan["seed"], (1 << 64) - 1
    drawn = np.empty((plan["draws"], len(blocks)), int)
    for row in drawn:
        for at in range(len(blocks)):
            state = (state + 0x9E3779B97F4A7C15) & mask
            z = state
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
            row[at] = ((z ^ (z >> 31)) * len(blocks)) >> 64
    return blocks, drawn


blocks, drawn = draws()
same("blocks", report["blocks"], len(blocks))


def bootstrapped(per_frame, figure):
    """The interval of `figure`, of sums of columns over the frames of each draw."""
    if len(blocks) < 6:
        return None
    sums = np.array([per_frame[block].sum(axis=0) for block in blocks], float)[drawn].sum(axis=1)
    with np.errstate(all="ignore"):
        values = figure(sums.T)
    values = values[np.isfinite(values)]
    return np.percentile(values, [2.5, 97.5]) if 0.9 * len(drawn) <= len(values) else None


assert [row["class"] for row in report["counts"]] == list(series)
for row in report["counts"]:
    name = row["class"]
    is_, seen = series[name]
    mae, bias = metrics.mean_absolute_error(is_, seen), np.mean(seen - is_)
    same(f"{name} truth_mean", row["truth_mean"], np.mean(is_))
    same(f"{name} detected_mean", row["detected_mean"], np.mean(seen))
    same(f"{name} mae", row["mae"], mae)
    same(f"{name} bias", row["bias"], bias)
    same(f"{name} mae_share", row["mae_share"], quotient(mae, np.mean(is_)))
    same(f"{name} bias_share", row["bias_share"], quotient(bias, np.mean(is_)))
    ones = np.ones(len(frames))
    columns = np.column_stack([ones, abs(seen - is_), seen - is_])
    interval(f"{name} mae", row["mae_interval"], bootstrapped(columns, lambda s: s[1] / s[0]))
    interval(f"{name} bias", row["bias_interval"], bootstrapped(columns, lambda s: s[2] / s[0]))

# Agreement.
for row in report["agreement"]:
    is_, seen = series[row["class"]]
    level = moments(row["level"])
    name = f"{row['class']} per {row['level']}"
    is_ = np.array([is_[frames_].mean() for frames_ in level])
    seen = np.array([seen[frames_].mean() for frames_ in level])
    same(f"{name} n", row["n"], len(level))
    whole = [np.floor(of + 0.5 + 1e-12).astype(int) for of in (is_, seen)]
    labels = list(range(max(of.max() for of in whole) + 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        varied = 1 < len(np.unique(np.concatenate(whole)))
        kappa = metrics.cohen_kappa_score(*whole, labels=labels) if varied else None
        weighted = metrics.cohen_kappa_score(*whole, labels=labels, weights="quadratic") if varied else None
        pearson = stats.pearsonr(is_, seen).statistic if 1 < len(is_) else None
    same(f"{name} kappa", row["kappa"], kappa)
    same(f"{name} kappa_quadratic", row["kappa_quadratic"], weighted)
    same(f"{name} pearson_r", row["pearson_r"], pearson)
    same(f"{name} mae", row["mae"], metrics.mean_absolute_error(is_, seen))
    limits = row["bland_altman"] or {}
    difference = seen - is_
    sd = np.std(difference, ddof=1) if 1 < len(difference) else None
    bias = np.mean(difference) if sd is not None else None
    same(f"{name} bias", limits.get("bias"), bias)
    same(f"{name} sd", limits.get("sd"), sd)
    same(f"{name} low", limits.get("low"), sd is not None and bias - 1.96 * sd if sd is not None else None)
    same(f"{name} high", limits.get("high"), bias + 1.96 * sd if sd is not None else None)
levels = 1 if clock is None else 3
assert len(report["agreement"]) == levels * len(series)

# The share of lying animals.
share = report["lying_share"]
true_share = quotient(true_lying.sum(), true_postures.sum())
found_share = quotient(found_lying.sum(), found_postures.sum())
same("share truth", share["truth"], true_share)
same("share detected", share["detected"], found_share)
both = true_share is not None and found_share is not None
same("share error", share["error"], found_share - true_share if both else None)
columns = np.column_stack([true_lying, true_postures, found_lying, found_postures])
interval("share error", share["error_interval"], bootstrapped(columns, lambda s: s[2] / s[3] - s[0] / s[1]))
seen = (0 < true_postures) & (0 < found_postures)
with np.errstate(all="ignore"):
    errors = abs(found_lying / found_postures - true_lying / true_postures)[seen]
same("share frame_mae", share["frame_mae"], errors.mean() if len(errors) else None)


def figures_of_boxes(boxes):
    """Precision and recall whatever the class, and the postures of the animals found."""
    is_, seen = boxes["true"] != "", boxes["detected"] != ""
    posture = lambda side: side.map(lambda c: 1 if c in lying else 0 if c in standing else -1)
    postures = np.array([posture(boxes["true"]), posture(boxes["detected"])], int).reshape(2, -1)
    postures = postures[:, (0 <= postures).all(axis=0)]
    nan = {"zero_division": np.nan}
    precision = metrics.precision_score(is_, seen, **nan) if len(boxes) else None
    recall = metrics.recall_score(is_, seen, **nan) if len(boxes) else None
    right = metrics.accuracy_score(*postures) if postures.size else None
    return precision, recall, right, postures


if report["boxes"] is None:
    assert report["no_boxes"] and len(boxes) == 0
    assert share["corrected"] is None and share["not_corrected"]
else:
    ours = report["boxes"]
    precision, recall, right, postures = figures_of_boxes(boxes)
    same("precision", ours["precision"], precision)
    same("recall", ours["recall"], recall)
    same("postures right", ours["postures"]["right"], right)
    overlaps = boxes["iou"][boxes["iou"] != ""].astype(float)
    same("iou_mean", ours["iou_mean"], overlaps.mean() if len(overlaps) else None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kappa = metrics.cohen_kappa_score(*postures) if 1 < len(np.unique(postures)) else None
    same("postures kappa", ours["postures"]["kappa"], kappa)
    labels = [*ours["confusion"]["classes"], ""]
    assert set(labels) == {*boxes["true"], *boxes["detected"], ""}
    matrix = np.zeros((1, 1), int)
    if len(boxes):
        matrix = metrics.confusion_matrix(boxes["true"], boxes["detected"], labels=labels)
    for name, row, wanted in zip(labels, ours["confusion"]["rows"], matrix, strict=True):
        for other, cell, n in zip(labels, row, wanted, strict=True):
            same(f"confusion {name!r} as {other!r}", cell, n)
    scores = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}
    for row in ours["classes"]:
        for name, score in scores.items():
            (theirs,) = score(
                boxes["true"], boxes["detected"], labels=[row["class"]], average=None, zero_division=np.nan
            )
            same(f"{row['class']} {name}", row[name], theirs)
    # Rogan and Gladen's estimator.
    counted = ours["postures"]
    if share["corrected"] is not None:
        confusion = metrics.confusion_matrix(*postures, labels=[1, 0])
        sensitivity, specificity = np.diag(confusion) / confusion.sum(axis=1)
        theirs = (found_share + specificity - 1) / (sensitivity + specificity - 1)
        same("corrected share", share["corrected"]["share"], min(max(theirs, 0), 1))
        assert share["corrected"]["low"] <= share["corrected"]["share"] <= share["corrected"]["high"]
    else:
        assert share["not_corrected"]

# Conditions.
animals = frames["animals"].to_numpy(int)
values = {
    "light": frames["night"].map({"true": "night", "false": "day"}).to_numpy(),
    "animals": np.array(["0", "1-5", "6-12", "13-30", "31 or more"])[
        np.searchsorted([0, 5, 12, 30], animals, side="left")
    ],
    "occlusion": np.array(
        [None if s == "" else "none" if float(s) == 0 else "some" if float(s) <= 1 / 3 else "many"
         for s in frames["occluded"]]
    ),
}
rows = {(row["condition"], row["value"]): row for row in report["conditions"]}
wanted = {(c, v) for c, of in values.items() for v in of if isinstance(v, str)}
assert set(rows) == wanted, (set(rows), wanted)
for (condition, value), row in rows.items():
    here = np.flatnonzero(values[condition] == value)
    name = f"{condition} {value}"
    same(f"{name} frames", row["frames"], len(here))
    same(f"{name} truth_mean", row["truth_mean"], true_total[here].mean())
    same(f"{name} mae", row["mae"], metrics.mean_absolute_error(true_total[here], found_total[here]))
    same(f"{name} bias", row["bias"], (found_total - true_total)[here].mean())
    same(f"{name} lying truth", row["lying_share_truth"], quotient(true_lying[here].sum(), true_postures[here].sum()))
    same(
        f"{name} lying detected",
        row["lying_share_detected"],
        quotient(found_lying[here].sum(), found_postures[here].sum()),
    )
    inside = boxes[boxes["picture"].isin(frames["picture"].iloc[here])]
    precision, recall, right, _ = figures_of_boxes(inside)
    same(f"{name} precision", row["precision"], precision)
    same(f"{name} recall", row["recall"], recall)
    same(f"{name} postures", row["postures_right"], right)

print(f"{compared} figures compared, {len(differences)} differ")
print("\n".join(differences))
sys.exit(1 if differences else 0)
