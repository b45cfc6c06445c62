"""Compares /v1/headcounts with what pandas makes of the same files and frames.

    headcounts.py write FOLDER SEED
    headcounts.py compare FOLDER URL SOURCE
    headcounts.py camera URL SEED ZONE
"""

import glob
import math
import os
import random
import sys
import time
import uuid

import pandas as pd
import requests

COLUMNS = {"Effectif couche": "lying", "Effectif debout": "standing"}

# How each file is written.
STYLES = [
    {"sep": ",", "decimal": ".", "encoding": "utf-8"},
    {"sep": ";", "decimal": ",", "encoding": "utf-8-sig"},
    {"sep": ";", "decimal": ",", "encoding": "latin-1"},
    {"sep": ",", "decimal": ".", "encoding": "latin-1"},
]


def write(folder, seed):
    rng = random.Random(seed)
    for table in (1, 2):
        for number, style in enumerate(STYLES):
            day = pd.Timestamp(2026, 3, 1 + number)
            rows = []
            for _ in range(rng.randrange(200, 600)):
                at = day + pd.Timedelta(milliseconds=rng.randrange(86_400_000))
                date = at.isoformat(sep=" ") if rng.random() < 0.95 else rng.choice(["", "hier", "2026-02-30"])
                count = lambda: rng.choice([math.nan, rng.randrange(30), rng.randrange(60) / 2])
                rows.append((date, count(), count(), rng.choice(["", 'dit "bêê"', "a;b,c", "deux\nlignes"])))
            # Some rows are there twice.
            rows += rng.sample(rows, 20)
            rng.shuffle(rows)
            frame = pd.DataFrame(rows, columns=["date", *COLUMNS, "enclos d'été"])
            frame.to_csv(os.path.join(folder, f"enclos {number}-{table}.csv"), index=number % 2 == 0, **style)
    with open(os.path.join(folder, "notes.csv"), "w") as other:
        other.write("nothing,of,ours\n")


def quarters(frame):
    """The rule of the original system."""
    frame = frame.assign(date=pd.to_datetime(frame["date"], errors="coerce", format="ISO8601"))
    dropped = int(frame["date"].isna().sum())
    frame = frame.dropna(subset=["date"])
    grouped = frame.groupby(frame["date"].dt.floor("15min"))[list(COLUMNS)].median()
    grouped["ratio_debout"] = grouped["Effectif debout"] / (grouped["Effectif debout"] + grouped["Effectif couche"]) * 100
    return grouped, dropped


def series(url, **asked):
    items, cursor = [], {}
    while True:
        response = requests.get(f"{url}/v1/headcounts", params={"limit": 97, **asked, **cursor}, timeout=30)
        response.raise_for_status()
        answer = response.json()
        items += answer["items"]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    frame = pd.DataFrame(items)
    frame.index = pd.to_datetime(frame["datetime"])
    return frame, answer["rows_refused"]


def same(told, expected):
    assert list(told.index) == list(expected.index), (told.index, expected.index)
    for ours, theirs in (("lying", "Effectif couche"), ("standing", "Effectif debout"), ("ratio_standing", "ratio_debout")):
        told_column = told[ours].astype(float)
        differs = (told_column != expected[theirs]) & ~(told_column.isna() & expected[theirs].isna())
        assert not differs.any(), (told[differs], expected[differs.values])


def compare(folder, url, source):
    for table, origin in ((1, "final"), (2, "final_2")):
        frames = []
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), f"*-{table}.csv"))):
            style = STYLES[int(os.path.basename(path).split()[1][0])]
            frames.append(pd.read_csv(path, **style))
        expected, dropped = quarters(pd.concat(frames))
        for order in ("oldest", "newest"):
            told, refused = series(url, source=source, origin=origin, order=order)
            assert refused == dropped, (refused, dropped)
            same(told.sort_index(), expected)
        print(f"{origin}: {len(expected)} quarters, {dropped} rows dropped")


def camera(url, seed, zone):
    rng = random.Random(seed)
    session = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    begin = pd.Timestamp("2026-03-28T20:00:00Z").value // 10**6
    frames, seq = [], 0
    for minute in range(0, 600, 3):
        for _ in range(rng.choice([0, 1, 2, 9])):
            frames.append(
                {
                    "source": 5, "session": session, "seq": seq,
                    "captured_at": begin + minute * 60_000 + rng.randrange(180_000),
                    "counts": {"lying": rng.randrange(4), "standing": rng.randrange(3)},
                }
            )
            seq += 1
    requests.post(f"{url}/v1/frames", json=frames, timeout=30).raise_for_status()
    until = time.monotonic() + 60
    while True:
        sources = requests.get(f"{url}/v1/sources", timeout=30).json()["items"]
        if any(s["source"] == 5 and s["frames_accepted"] == len(frames) for s in sources):
            break
        assert time.monotonic() < until, "the frames are not counted"
        time.sleep(0.1)
    frame = pd.DataFrame(
        {
            "date": pd.to_datetime([f["captured_at"] for f in frames], unit="ms").strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "Effectif couche": [f["counts"]["lying"] for f in frames],
            "Effectif debout": [f["counts"]["standing"] for f in frames],
        }
    )
    expected, _ = quarters(frame)
    told, refused = series(url, source=5, origin="camera", order="oldest")
    assert refused is None
    assert list(told["rows"]) == list(frame.groupby(pd.to_datetime(frame["date"]).dt.floor("15min")).size())
    # In UTC, because in that night an hour is missing on the site's clocks.
    told.index = pd.to_datetime(told["start"]).dt.tz_localize(None)
    same(told, expected)
    local = expected.index.tz_localize("UTC").tz_convert(zone).tz_localize(None)
    assert list(pd.to_datetime(told["datetime"])) == list(local)
    print(f"camera: {len(expected)} quarters of {len(frames)} frames")


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    {"write": write, "compare": compare, "camera": camera}[what](*given)
