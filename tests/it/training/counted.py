"""Whether each animal is counted by one cell of its own, and by the best that is left: one JSON object.

    counted.py TRAINING_FOLDER

`counted` is how many animals have a cell, `shared` how many of them one that another has or that is in another
picture, `other` how many have another cell, or none, than plain loops give them, `later` how many by those have not
the cell that they wanted first, `untaught` how many cells that count an animal do not learn its box.
"""

import json
import sys

sys.path.insert(0, sys.argv[1])

import torch

import assign
import net

HEIGHT, WIDTH, PICTURES = 96, 160, 3
torch.manual_seed(1)
centres, strides = net.cells(HEIGHT, WIDTH)


def crowd(count: int) -> assign.Animals:
    """Animals that stand before one another."""
    low = torch.rand(count, 2) * torch.tensor((60.0, 30.0))
    corners = torch.cat((low, low + 6.0 + 30.0 * torch.rand(count, 2)), dim=1)
    return assign.Animals(torch.randint(0, PICTURES, (count,)), torch.randint(0, 2, (count,)), corners)


def overlap(a: list[float], b: list[float]) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    tall = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return wide * tall / max(area - wide * tall, 1e-9)


def by_loops(
    animals: assign.Animals, near: assign.Near, corners: torch.Tensor, scores: torch.Tensor
) -> tuple[list[int], int]:
    """The cells that count, and how many animals have not the one that they wanted first."""
    answered, sure = corners.reshape(-1, 4).tolist(), scores.reshape(-1).tolist()
    wants = []
    for animal, (cells, valid) in enumerate(zip(near.cell.tolist(), near.valid.tolist(), strict=True)):
        own = animals.corners[animal].tolist()
        wants.append({
            cell: sure[cell] ** 0.5 * overlap(answered[cell], own) ** 6 for cell, may in zip(cells, valid) if may
        })
    owner: dict[int, int] = {}
    given = [-1] * len(animals)
    for _ in range(assign.ROUNDS):
        asked: dict[int, list[tuple[float, int]]] = {}
        for animal, want in enumerate(wants):
            left = {cell: value for cell, value in want.items() if cell not in owner}
            if given[animal] < 0 and left:
                cell = max(left, key=left.get)
                asked.setdefault(cell, []).append((left[cell], animal))
        for cell, askers in asked.items():
            _, animal = max(askers)
            owner[cell], given[animal] = animal, cell
    later = sum(bool(want) and cell != max(want, key=want.get) for cell, want in zip(given, wants, strict=True))
    return given, later


totals = dict.fromkeys(("counted", "shared", "other", "later", "untaught"), 0)
for count in (1, 10, 200):
    animals = crowd(count)
    # Boxes near some animal, so that most overlap one.
    at = torch.randint(0, count, (PICTURES, len(centres)))
    corners = animals.corners[at] + torch.randn(PICTURES, len(centres), 4)
    scores = torch.rand(PICTURES, len(centres))
    near = assign.near(animals, corners, HEIGHT, WIDTH)
    # Loops know nothing of the order in which cells without overlap are taken.
    near = assign.Near(near.cell, near.valid & (near.overlap > 0.05), near.overlap)
    counted = assign.one_to_one(near, scores)
    wanted, later = by_loops(animals, near, corners, scores)
    found = assign.assign(animals, near, torch.rand(*scores.shape, 2), counted)
    teaches = dict(zip(found.cell.tolist(), found.animal.tolist(), strict=True))
    taken = [(cell, animal) for animal, cell in enumerate(counted.tolist()) if 0 <= cell]
    totals["counted"] += len(taken)
    totals["shared"] += len(taken) - len({cell for cell, _ in taken})
    totals["shared"] += sum(cell // len(centres) != int(animals.picture[animal]) for cell, animal in taken)
    totals["other"] += sum(a != b for a, b in zip(counted.tolist(), wanted, strict=True))
    totals["later"] += later
    totals["untaught"] += sum(teaches.get(cell) != animal for cell, animal in taken)
print(json.dumps(totals))
