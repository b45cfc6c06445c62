"""Pictures and labels of a folder as `animov simulate pictures` writes it.

Every picture is read once, stretched over the net's input exactly as animov does it (OpenCV's bilinear
scaling, each side by itself), and kept beside the data as plain bytes. An epoch then maps memory
instead of decoding JPEGs, which on two cores would take longer than learning from them.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

#: An animal of which less than this can be seen is neither to be found nor to be missed.
VISIBLE_MIN = 0.25
#: Columns of a label: class, left, top, right, bottom (input pixels), visible share.
LABEL_COLUMNS = 6

# One thread a call: what is done here is small, and a process forked beside a pool of threads hangs.
cv2.setNumThreads(1)

Labels = NDArray[np.float32]
Picture = NDArray[np.uint8]


class DataError(Exception):
    """A folder that cannot be trained with; says what was found and what to do."""


@dataclass(frozen=True)
class Dataset:
    """The pictures of a folder in input pixels, `[n, height, width, 3]` RGB, and their labels."""

    folder: Path
    names: list[str]
    pictures: NDArray[np.uint8]
    labels: list[Labels]
    classes: list[str]
    #: SHA-256 over all names, pictures and labels.
    digest: str
    #: SHA-256 of each picture's file.
    picture_digests: frozenset[str]

    def __len__(self) -> int:
        return len(self.names)

    def scenes(self) -> int:
        """Pictures of one scene are named alike up to the last `_t`."""
        return len({name.rpartition("_t")[0] or name for name in self.names})


def load(folder: Path, height: int, width: int) -> Dataset:
    """Reads `folder`, from its cache if that was made of the same files."""
    files = sorted(p for p in (folder / "images").glob("*") if p.suffix in (".jpg", ".png"))
    if not files:
        raise DataError(
            f"no pictures in {folder / 'images'}: make some with `animov simulate pictures --out {folder}`"
        )
    names = [file.stem for file in files]
    classes_file = folder / "classes.txt"
    if not classes_file.is_file():
        raise DataError(f"no {classes_file}: it names the classes, one a line, in the labels' order")
    classes = [line.strip() for line in classes_file.read_text().splitlines() if line.strip()]
    cache = folder / f"stretched-{width}x{height}"
    about = cache / "about.json"
    # Names, sizes and times: whatever is written again is read again.
    label_files = [folder / "labels" / f"{name}.txt" for name in names]
    for file in label_files:
        if not file.is_file():
            raise DataError(f"no {file}: a picture without an animal has an empty file of labels")
    stamp = hashlib.sha256()
    for file in (*files, *label_files):
        status = file.stat()
        stamp.update(f"{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    key = stamp.hexdigest()
    known = json.loads(about.read_text()) if about.is_file() else {}
    if known.get("key") != key:
        known = build(files, label_files, cache, height, width) | {"key": key}
        about.write_text(json.dumps(known))
    shape = (len(names), height, width, 3)
    pictures = np.memmap(cache / "pictures.u8", np.uint8, "r", shape=shape)
    with np.load(cache / "labels.npz") as stored:
        rows, counts = stored["rows"], stored["counts"]
    labels = np.split(rows, np.cumsum(counts)[:-1])
    if rows.size and len(classes) <= rows[:, 0].max():
        raise DataError(f"{folder}/labels: class {int(rows[:, 0].max())}, but classes.txt has {classes}")
    digests = frozenset(known["pictures"])
    return Dataset(folder, names, pictures, labels, classes, known["digest"], digests)


def build(
    files: list[Path], label_files: list[Path], cache: Path, height: int, width: int
) -> dict[str, object]:
    """Writes the cache; answers the digests."""
    print(f"reading {len(files)} pictures into {cache}", file=sys.stderr, flush=True)
    cache.mkdir(exist_ok=True)
    # Without its description the cache counts as none, should this be interrupted.
    (cache / "about.json").unlink(missing_ok=True)
    shape = (len(files), height, width, 3)
    pictures = np.memmap(cache / "pictures.u8", np.uint8, "w+", shape=shape)

    def one(at: int) -> tuple[Labels, str, bytes]:
        data, text = files[at].read_bytes(), label_files[at].read_bytes()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise DataError(f"{files[at]} is no picture that OpenCV can read")
        pictures[at] = stretched(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), height, width)
        rows = read_labels(label_files[at], text.decode(), height, width)
        return rows, hashlib.sha256(data).hexdigest(), text

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        read = list(pool.map(one, range(len(files))))
    pictures.flush()
    whole = hashlib.sha256()
    for file, (_, digest, text) in zip(files, read, strict=True):
        whole.update(f"{file.name} {digest} {hashlib.sha256(text).hexdigest()}\n".encode())
    labels = [rows for rows, _, _ in read]
    np.savez(cache / "labels.npz", rows=np.concatenate(labels), counts=[len(r) for r in labels])
    return {"digest": whole.hexdigest(), "pictures": sorted(digest for _, digest, _ in read)}


def stretched(picture: Picture, height: int, width: int) -> Picture:
    """A picture over all of the input, as `producers/src/detect/letterbox.rs` does it for `stretch`."""
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)


def read_labels(file: Path, text: str, height: int, width: int) -> Labels:
    """YOLO's rows (class cx cy w h, and perhaps the visible share), in input pixels."""
    rows = np.zeros((0, LABEL_COLUMNS), np.float32)
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines:
        return rows
    try:
        values = np.array([[float(v) for v in line] + [1.0] * (6 - len(line)) for line in lines])
        if values.shape[1] != 6 or not np.isfinite(values).all():
            raise ValueError
    except ValueError:
        raise DataError(f"{file}: wanted rows of `class cx cy w h` or `class cx cy w h visible`") from None
    label, cx, cy, w, h, visible = values.T
    return np.stack(
        (
            label,
            (cx - w / 2) * width,
            (cy - h / 2) * height,
            (cx + w / 2) * width,
            (cy + h / 2) * height,
            visible,
        ),
        axis=1,
    ).astype(np.float32)
