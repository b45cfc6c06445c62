"""What a camera may do to a picture that no rendered pen shows.

The pens are rendered, the pictures to be understood are filmed. So each picture is bent away from
the renderer's manner: other distances, colours, light, infrared, blur, noise, blocks of a poor
stream, things in the way. All of it works on bytes, with OpenCV and look-up tables, at about a
millisecond a picture: one process keeps up with the training on the other core.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from data import Labels, Picture

#: The grey where a moved picture leaves the input uncovered.
GREY = 114
#: An animal cut to less than this share by an edge or an occluder is ignored.
LEFT_MIN = 0.35
#: Boxes with a shorter side than this are ignored, pixels: nothing is left to see.
SIDE_MIN = 4.0
#: Ready-made noise, cut at a random place.
NOISE_COUNT = 8


@dataclass(frozen=True)
class Strength:
    """How much of it; the later parts of a training have less."""

    mosaic: float
    geometry: float
    colour: float


STRONG = Strength(mosaic=0.3, geometry=1.0, colour=1.0)
MILD = Strength(mosaic=0.0, geometry=0.4, colour=0.4)
#: Shifted a little, and mirrored.
PLAIN = Strength(mosaic=0.0, geometry=0.0, colour=0.0)


class Augmenter:
    """Augments pictures of one size, with one random generator."""

    def __init__(self, height: int, width: int, random: Generator) -> None:
        self.height, self.width, self.random = height, width, random
        shape = (NOISE_COUNT, height + 64, width + 64, 1)
        grain = random.standard_normal(shape, np.float32)
        coloured = random.standard_normal((*shape[:3], 3), np.float32)
        self.noise = np.clip((0.7 * grain + 0.5 * coloured) * 32.0, -127, 127).astype(np.int8)

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def between(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def __call__(
        self, sources: list[tuple[Picture, Labels]], strength: Strength
    ) -> tuple[Picture, Labels]:
        """One picture of `sources`: a mosaic of four, or the one, moved and recoloured."""
        if len(sources) == 4:
            picture, labels = self.mosaic(sources)
        else:
            picture, labels = self.move(*sources[0], strength.geometry)
        if self.chance(0.5):
            picture, labels = cv2.flip(picture, 1), flipped(labels, self.width)
        if self.chance(0.3 * strength.colour):
            picture, labels = self.occlude(picture, labels)
        return self.recolour(picture, strength.colour), labels

    def move(self, picture: Picture, labels: Labels, strength: float) -> tuple[Picture, Labels]:
        """Scales, shifts, turns and stretches a little."""
        # Rather nearer: what is further away soon has nothing to be told by.
        zoom = 2.0 ** (self.between(-0.5, 0.75) * strength)
        aspect = 1.0 + self.between(-0.12, 0.12) * strength
        angle = np.deg2rad(self.between(-4.0, 4.0) * strength) if self.chance(0.5) else 0.0
        sx, sy = zoom * aspect, zoom / aspect
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = turn @ np.diag((sx, sy))
        size = np.array((self.width, self.height), np.float64)
        # The part shown lies anywhere in the picture, or the picture anywhere in what is shown.
        room = np.abs(1.0 - zoom) / 2.0 + 0.05 * strength
        # To whole pixels: a plain picture then stays as sharp as it was.
        shift = np.rint(self.random.uniform(-room, room, 2) * size + self.random.uniform(-6.0, 6.0, 2))
        matrix = np.hstack((linear, (size / 2.0 + shift - linear @ (size / 2.0))[:, None]))
        # Nearest neighbours stand for the jagged edges of a careless scaler.
        way = cv2.INTER_NEAREST if self.chance(0.15 * strength) else cv2.INTER_LINEAR
        moved = cv2.warpAffine(
            picture, matrix, (self.width, self.height), flags=way,
            borderMode=cv2.BORDER_CONSTANT, borderValue=(GREY, GREY, GREY),
        )
        return moved, transformed(labels, matrix, self.width, self.height)

    def mosaic(self, sources: list[tuple[Picture, Labels]]) -> tuple[Picture, Labels]:
        """Four pictures at about half their size around a random point: more animals, smaller."""
        cx = round(self.width * self.between(0.35, 0.65))
        cy = round(self.height * self.between(0.35, 0.65))
        whole = np.full((self.height, self.width, 3), GREY, np.uint8)
        parts = []
        for at, (picture, labels) in enumerate(sources):
            left, top = (0 if at % 2 == 0 else cx), (0 if at < 2 else cy)
            wide = cx if at % 2 == 0 else self.width - cx
            tall = cy if at < 2 else self.height - cy
            zoom = self.between(0.5, 1.1)
            spare = np.array((self.width * zoom - wide, self.height * zoom - tall))
            shift = -spare * self.random.random(2)
            matrix = np.array([[zoom, 0.0, shift[0]], [0.0, zoom, shift[1]]])
            whole[top : top + tall, left : left + wide] = cv2.warpAffine(
                picture, matrix, (wide, tall), borderMode=cv2.BORDER_CONSTANT,
                borderValue=(GREY, GREY, GREY),
            )
            part = transformed(labels, matrix, wide, tall)
            part[:, 1:5] += np.array((left, top, left, top), np.float32)
            parts.append(part)
        return whole, np.concatenate(parts)

    def occlude(self, picture: Picture, labels: Labels) -> tuple[Picture, Labels]:
        """Posts, beams and smudges: rectangles of one colour, or of another part of the picture."""
        for _ in range(int(self.random.integers(1, 4))):
            tall, wide = round(self.between(6, 60)), round(self.between(4, 60))
            if self.chance(0.3):
                # A post or a rail across the picture.
                tall, wide = (self.height, wide // 4 + 2) if self.chance(0.5) else (tall // 6 + 2, self.width)
            top = int(self.random.integers(0, self.height - tall + 1))
            left = int(self.random.integers(0, self.width - wide + 1))
            box = np.array((left, top, left + wide, top + tall), np.float32)
            if self.chance(0.5):
                picture[top : top + tall, left : left + wide] = self.random.integers(0, 256, 3)
            else:
                y = int(self.random.integers(0, self.height - tall + 1))
                x = int(self.random.integers(0, self.width - wide + 1))
                picture[top : top + tall, left : left + wide] = picture[y : y + tall, x : x + wide].copy()
            labels = hidden_by(labels, box)
        return picture, labels

    def recolour(self, picture: Picture, strength: float) -> Picture:
        """Colour, light, blur, noise and blocks, as cameras differ and fail."""
        if self.chance(0.25 * strength):
            # Infrared, or a camera without colour.
            grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
            picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
        elif self.chance(0.6 * strength):
            hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
            steps = np.arange(256, dtype=np.int16)
            hue = ((steps + round(self.between(-14, 14))) % 180).astype(np.uint8)
            saturation = np.clip(steps * self.between(0.3, 1.6), 0, 255).astype(np.uint8)
            table = np.stack((hue, saturation, steps.astype(np.uint8)), axis=-1)[None]
            picture = cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB)
        if self.chance(0.9 * strength):
            picture = cv2.LUT(picture, self.tone())
        if self.chance(0.25 * strength):
            picture = self.blurred(picture)
        if self.chance(0.35 * strength):
            picture = self.noisy(picture)
        if self.chance(0.2 * strength):
            picture = self.blocky(picture)
        return picture

    def tone(self) -> Picture:
        """A table of brightness, contrast, gamma and white balance, a channel each."""
        steps = np.linspace(0.0, 1.0, 256)[:, None]
        gamma = 2.0 ** self.between(-0.8, 0.8)
        contrast, brightness = self.between(0.65, 1.35), self.between(-0.15, 0.15)
        balance = self.random.uniform(0.88, 1.12, 3)
        toned = ((steps**gamma) - 0.5) * contrast + 0.5 + brightness
        return np.clip(toned * balance * 255.0, 0, 255).astype(np.uint8)[None]

    def blurred(self, picture: Picture) -> Picture:
        if self.chance(0.5):
            return cv2.GaussianBlur(picture, (0, 0), self.between(0.4, 1.4))
        length = int(self.random.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        angle = self.between(0.0, np.pi)
        middle = (length - 1) / 2.0
        reach = middle * np.array((np.cos(angle), np.sin(angle)))
        a, b = (tuple(int(v) for v in np.rint(middle + s * reach)) for s in (-1.0, 1.0))
        cv2.line(kernel, a, b, 1.0)
        return cv2.filter2D(picture, -1, kernel / kernel.sum())

    def noisy(self, picture: Picture) -> Picture:
        bank = self.noise[self.random.integers(0, NOISE_COUNT)]
        y, x = self.random.integers(0, 64, 2)
        noise = bank[y : y + self.height, x : x + self.width]
        # Of 32 steps a standard deviation, in 64ths: up to 12 of 255.
        amount = int(self.random.integers(4, 25))
        added = picture.astype(np.int16) + ((noise.astype(np.int16) * amount) >> 6)
        return np.clip(added, 0, 255).astype(np.uint8)

    def blocky(self, picture: Picture) -> Picture:
        """A poor stream: a coarse JPEG, or a small picture made large."""
        if self.chance(0.4):
            quality = int(self.random.integers(12, 45))
            _, data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, quality))
            return cv2.imdecode(data, cv2.IMREAD_COLOR)
        part = self.between(0.45, 0.85)
        small = (round(self.width * part), round(self.height * part))
        way = cv2.INTER_AREA if self.chance(0.5) else cv2.INTER_LINEAR
        small_picture = cv2.resize(picture, small, interpolation=way)
        return cv2.resize(small_picture, (self.width, self.height), interpolation=cv2.INTER_LINEAR)


def flipped(labels: Labels, width: int) -> Labels:
    out = labels.copy()
    out[:, 1], out[:, 3] = width - labels[:, 3], width - labels[:, 1]
    return out


def transformed(labels: Labels, matrix: np.ndarray, width: int, height: int) -> Labels:
    """The boxes around the moved boxes, cut at the edges; what is cut is not visible."""
    out = labels.copy()
    if not len(out):
        return out
    centre = (labels[:, 1:3] + labels[:, 3:5]) / 2.0
    half = (labels[:, 3:5] - labels[:, 1:3]) / 2.0
    centre = centre @ matrix[:, :2].T + matrix[:, 2]
    # An animal fills its box as an ellipse does rather than a rectangle, so a turn widens it by less.
    half = np.sqrt((half**2) @ (matrix[:, :2].T ** 2))
    area = np.maximum((4.0 * half[:, 0] * half[:, 1]), 1e-6)
    limit = np.array((width, height), np.float32)
    low, high = np.clip(centre - half, 0, limit), np.clip(centre + half, 0, limit)
    side = high - low
    out[:, 1:3], out[:, 3:5] = low, high
    left = side.prod(axis=1) / area
    out[left < LEFT_MIN, 5] = 0.0
    out[side.min(axis=1) < SIDE_MIN, 5] = 0.0
    return out[(side > 1.0).all(axis=1)]


def hidden_by(labels: Labels, box: np.ndarray) -> Labels:
    """Animals of which `box` hides most are ignored from here on."""
    out = labels.copy()
    shared = np.minimum(out[:, 3:5], box[2:4]) - np.maximum(out[:, 1:3], box[0:2])
    shared = np.clip(shared, 0, None).prod(axis=1)
    area = np.maximum((out[:, 3:5] - out[:, 1:3]).prod(axis=1), 1e-6)
    out[:, 5] *= 1.0 - np.minimum(shared / area, 1.0)
    return out
