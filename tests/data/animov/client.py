"""The original's client: requests and pandas, as its web application used them.

    client.py URL SEED ZONE

Sends random frames of a few cameras to POST /receive_data_animov, waits until they
are counted, then reads all other routes and compares each DataFrame with what pandas
computes from the frames alone.
"""

import base64
import random
import struct
import sys
import time
import zlib

import numpy as np
import pandas as pd
import requests

URL, SEED, ZONE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
MINUTE = 60
POSTURES = ["total", "couche", "debout"]
BEHAVIOURS = ["brush", "drink", "eat", "class_0", "class_1"]
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAgAAAQABAAD//gAQTGF2YzU5LjM3LjEwMAD/2wBDAAgoKC8oLzc3Nzc3N0E8QUNDQ0FB"
    "QUFDQ0NISEhVVVVISEhDQ0hIUFBVVVxfXFdXVVdfX2RkZHh4c3OMjJGsrM//xACbAAACAgMBAQAAAAAAAAAA"
    "AAAABwYIBAUDAgEBAAIDAQEBAAAAAAAAAAAAAAAGBwQIBQIBEAABAgIGBwUJAQAAAAAAAAABAAIRAyExFBJB"
    "BGHRkaFR4QWxQoEicaLCsjKCM9JDc2IRAAIBAAUIBwkBAQEAAAAAAAABAhIRoQQDMUFCIdFR4aLSgWFD4gUU"
    "E7EVkSJjcTJi8FKC/8AAEQgAMABAAwESAAISAAMSAP/aAAwDAQACEQMRAD8Ar+txJlGdMawd47BicKhSgAAa"
    "0qVfpNXamAAGiAVDDw6Wt5PeOySSqQ132+rAVCGvEfJ2vt3LrZmCc5YknKTrbysXla8pljFQSSVSRYNqwhGE"
    "VGKqSyItCzQmsDP4FxULAADUAsl9TenVrR4ICTada1NZzwYMqdeodXgeKgqlvDxa9UsuZicSvfbh7Ne0wl9K"
    "/aOt0e1V62t+78Gj2k001WnqaectioflJ9oktcfmHld6jwFddHFNQECAIzpQBnmiphI0Ugdi6dK++7+Z+JqA"
    "ABpoTWBn8BaoTSBusBZoTWBn8C4qFgABqAWaE2AZ/AWqE0gbqAm/SCYTRGjyGHre1Lx0j930e8msCAAI1lZJ"
    "lzGzA6rCHEQOPBRNuaeyoN2HWlyWNR0beBYeDF53/uobpXejpWcSpK8SlmjbtLJXaIxULZmiaHADTrpVX132"
    "+bwnLhgYbf1OS61sIhlc6Ony8SZr1d5qFLC+prLF5Wv5qq19mc4mVDHdzXAzXHAJ2XmFfd83hOnG44WVSm+t"
    "dE4MvMaPd83hOo7hgz10p1Pc49E0Nj/37PNa61zODdh1prhfKWhV/wCuB0Y3TDjkcvmthDHqf5t4Fz08N8rN"
    "g4X5m53Y+PJZjsux9Zdu1KF4+W0u85fEcZeYYq0YfKXSOtG9UtG3gX43aEc8rNgpLTTC7v5LNs7Ixi7dqUi/"
    "DfucniON8Rxf+cP5S6QtRu1LSs4lON4nHNG3aaICKlEqSSIuiNGKYHc6tPl4nTji4kv2SXU6/eavjiUsxDt4"
    "v0cFqODVN55PXH8Kqqt2I65acMrLuXb0SSTGG6BwCYNhl8X7R+KWpqj2nyTpZR19J/dnEoeqnujbtP/Z"
)


def png(width, height):
    """A grey picture, by the format's own rules."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + b"\x80" * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def get(path, **criteria):
    """As the original's pages did it."""
    response = requests.get(URL + path, params=criteria, timeout=60)
    response.raise_for_status()
    return pd.DataFrame(response.json())


def get_all(path, **criteria):
    """The same, along the links."""
    frames, url = [], requests.Request("GET", URL + path, params=criteria).prepare().url
    while url:
        response = requests.get(url, timeout=60)
        response.raise_for_status()
        frames.append(pd.DataFrame(response.json()))
        following = response.links.get("next")
        url = URL + following["url"] if following else None
    return pd.concat(frames, ignore_index=True)


def made_up(now):
    """Frames of the last 26 hours: uneven minutes, minutes of one frame, gaps. None
    near the edges of the last hour and the last day, which move while we look."""
    chance = random.Random(SEED)
    frames = []
    for source in (1, 2, 7):
        minute = (now - 26 * 3600) // MINUTE * MINUTE
        # The last camera has been silent for some hours.
        end = now - (3 * 3600 if source == 7 else 120)
        while minute < end:
            near = any(abs(minute - (now - edge)) < 600 for edge in (3600, 86400))
            if not near and chance.random() < 0.6:
                count = 1 if chance.random() < 0.2 else chance.randint(2, 12)
                for second in sorted(chance.sample(range(0, 58), count)):
                    seen = {"couche": chance.randint(0, 9), "debout": chance.randint(0, 5)}
                    for behaviour in BEHAVIOURS:
                        seen[behaviour] = chance.choice([0, 0, 0, 1, 2])
                    frames.append({"source": source, "at": minute + second + chance.choice([0, 0.25]), **seen})
            # Now and then nothing for a while.
            minute += MINUTE * (chance.randint(20, 60) if chance.random() < 0.01 else 1)
    return pd.DataFrame(frames)


def record(frame):
    names = ["couche", "debout", *BEHAVIOURS]
    detect = [{"class": name} for name in names for _ in range(int(frame[name]))]
    return {"source": int(frame.source), "timestamp": float(frame["at"]), "detect": detect}


def pictured(frame, chance):
    """The record with a picture, and each box with a place in it."""
    sent = record(frame)
    picture = chance.choice([JPEG, png(64, 48)])
    sent["frame"] = base64.b64encode(picture).decode()
    for at, box in enumerate(sent["detect"]):
        box["confidence"] = 0.5
        box.update({"x": at / 64, "y": 0.25, "w": 0.125, "h": 0.5})
    return sent


def send(records):
    response = requests.post(URL + "/receive_data_animov", json=records, timeout=60)
    assert response.ok, response.text
    [told] = response.json()
    return told


def rounded(values, decimals):
    """Halves away from zero, as a DECIMAL."""
    scale = 10.0**decimals
    return np.sign(values) * np.floor(np.abs(values) * scale + 0.5) / scale


def same(ours, expected, by):
    """Whether two tables have the same rows, whatever their order."""
    assert list(expected.columns) == list(ours.columns), (list(ours.columns), list(expected.columns))
    ours = ours.sort_values(by, ignore_index=True)
    expected = expected.sort_values(by, ignore_index=True)
    pd.testing.assert_frame_equal(ours, expected, check_dtype=False, atol=1e-9, rtol=0)


def modes(values):
    return ",".join(str(mode) for mode in sorted(values.mode()))


def minutes_of(frames):
    """The central table, from the frames."""
    frames = frames.assign(timestamp=(frames["at"] // MINUTE * MINUTE).astype("int64"))
    by = frames.groupby(["timestamp", "source"])
    table = by[POSTURES].sum()
    for name in POSTURES:
        table["max_" + name] = by[name].max()
    for name in POSTURES:
        table["min_" + name] = by[name].min()
    for name in POSTURES:
        table["std_" + name] = rounded(by[name].std(), 3)
    for quarter in (1, 2, 3):
        for name in POSTURES:
            table[f"Q{quarter}_{name}"] = rounded(by[name].quantile(quarter / 4), 3)
    for name in POSTURES:
        table["mode_" + name] = by[name].apply(modes)
    table["nb_frames"] = by.size()
    table = table.reset_index()
    # The cameras here are few enough for their minutes to have one.
    table.insert(0, "id", (table.timestamp // MINUTE - 26_297_280) * 64 + table.source - 1)
    return table


def local(seconds):
    return pd.to_datetime(seconds, unit="s", utc=True).dt.tz_convert(ZONE)


def check_minutes(frames, table):
    everything = get_all("/stats_minute", **{"from": 0, "limit": 700})
    same(everything, table, ["timestamp", "source"])
    edge = int(table["timestamp"].median())
    part = get("/stats_minute", source=1, **{"from": edge})
    same(part, table[(table.source == 1) & (edge <= table.timestamp)], ["timestamp"])
    newest = get("/stats_minute", limit=5)
    same(newest, table.sort_values(["timestamp", "source"]).tail(5), ["timestamp", "source"])

    classes = get_all("/get_data_animov_ch_minutes", **{"from": 0, "class": "couche"})
    minute = (frames["at"] // MINUTE * MINUTE).astype("int64").rename("timestamp")
    by = frames.groupby([minute, "source"])["couche"]
    expected = pd.DataFrame({
        "class": "couche", "effectif": by.sum(), "moyenne": rounded(by.mean(), 6),
        "ecart_type": rounded(by.std(), 6), "min": by.min(), "max": by.max(),
        "mediane": by.median(), "nb_frames": by.size(),
    }).reset_index()
    same(classes, expected, ["timestamp", "source"])


def check_behaviours(frames):
    for path, length in [("/chevres_minutes", 60), ("/chevres_heures", 3600)]:
        start = (frames["at"] // length * length).rename("start")
        means = frames.groupby([start, "source"])[BEHAVIOURS].mean().reset_index()
        clock = local(means["start"])
        jour = clock.dt.strftime("%Y-%m-%d 00:00:00")
        heure, minutes = clock.dt.hour, clock.dt.minute
        front = {"id": (means.start // MINUTE).astype("int64") * 2**31 + means.source}
        front.update(jour=jour, source=means.source)
        if length == 60:
            front["minutes"] = minutes
        expected = pd.concat([pd.DataFrame({**front, "heure": heure}), means[BEHAVIOURS]], axis=1)
        ours = get_all(path, **{"from": 0, "limit": 1000})
        same(ours, expected, [*front, "heure", *BEHAVIOURS])


def check_series(table, now):
    newest = table.groupby("source")["timestamp"].transform("max")
    same(get("/get_serie_heure"), table[now - 3600 < table.timestamp], ["timestamp", "source"])
    same(get("/get_serie_last_heure"), table[newest - 3600 < table.timestamp], ["timestamp", "source"])
    for path, rows, how in [
        ("/get_serie_jour", table[now - 86400 < table.timestamp], "mean"),
        ("/get_serie_last_jour", table[newest - 86400 < table.timestamp], "sum"),
    ]:
        begin = (rows.timestamp // 300 * 300).rename("begin")
        decimals = 4 if how == "mean" else 3
        plan = {name: how for name in POSTURES}
        plan.update({"max_" + name: "max" for name in POSTURES})
        plan.update({"min_" + name: "min" for name in POSTURES})
        plan["nb_frames"] = how
        grouped = rows.groupby([begin, "source"]).agg(plan).reset_index()
        for name in [*POSTURES, "nb_frames"]:
            grouped[name] = rounded(grouped[name].astype(float), decimals)
        grouped.insert(0, "timestamp", local(grouped.pop("begin")).dt.strftime("%Y-%m-%d %H:%M"))
        same(get(path), grouped, ["timestamp", "source", "total", "nb_frames"])


def check_hour(frames, now):
    hour = frames[now - 3600 < frames["at"] // MINUTE * MINUTE]
    by = hour.groupby("source")
    means = hour.groupby(["source", hour["at"] // MINUTE])[POSTURES].mean().groupby("source")
    expected = pd.DataFrame(index=by.size().index)
    for name in ["total", "debout", "couche"]:
        expected["moyenne_" + name] = rounded(by[name].mean(), 6)
        expected["max_" + name] = rounded(means[name].max(), 0)
        expected["min_" + name] = rounded(means[name].min(), 0)
        # Of all frames of the hour, whatever minutes they were summed up by.
        expected["ecart_type_" + name] = rounded(by[name].std(), 6)
    same(get("/stats_heure"), expected.reset_index(), ["source"])


def check_lists(frames):
    assert get("/sources").source.tolist() == [1, 2, 7]
    days = sorted(set(local(frames["at"]).dt.strftime("%Y-%m-%d")))
    assert get("/dates").date.tolist() == days


def check_records(sent):
    """`sent`: the records that had places in pictures."""
    stored = get_all("/get_data_animov", limit=7)
    assert sorted(stored.id.unique()) == sorted(stored.id), "a record came twice"
    assert len(stored) == len(sent)
    newest = {record["source"]: record["timestamp"] for record in sent}
    current = stored[stored.current]
    assert dict(zip(current.source, current.timestamp)) == newest
    keyed = {(record["source"], record["timestamp"]): record for record in sent}
    for row in stored.itertuples():
        record = keyed[(row.source, row.timestamp)]
        picture = base64.b64decode(row.frame)
        assert picture[:3] == b"\xff\xd8\xff" and (row.width, row.height) == (64, 48)
        if base64.b64decode(record["frame"]) == JPEG:
            assert picture == JPEG
        assert [box["class"] for box in row.detect] == [box["class"] for box in record["detect"]]
    boxes = get_all("/get_data_animov_ch", **{"from": 0, "limit": 9})
    expected = pd.DataFrame([
        {"timestamp": record["timestamp"], "source": record["source"], "class": box["class"],
         "confidence": box["confidence"], "x": box["x"], "y": box["y"], "w": box["w"], "h": box["h"]}
        for record in sent for box in record["detect"]
    ])
    same(boxes.drop(columns="id"), expected, ["timestamp", "source", "x"])
    lying = get_all("/get_data_animov_ch", **{"from": 0, "class": "couche"})
    assert len(lying) == (expected["class"] == "couche").sum()


def main():
    now = int(time.time())
    frames = made_up(now)
    frames["total"] = frames.couche + frames.debout
    chance = random.Random(SEED + 1)
    records = [record(frame) for _, frame in frames.iterrows()]
    for begin in range(0, len(records), 2000):
        told = send(records[begin:begin + 2000])
        assert told["received"] == len(records[begin:begin + 2000]), told
    # Some of them once more, with what a picture adds: updated, and counted once.
    chosen = sorted(chance.sample(range(len(frames)), 40))
    sent = [pictured(frame, chance) for _, frame in frames.iloc[chosen].iterrows()]
    assert send({"data": sent[:20]}) == {"received": 20, "added": 20, "updated": 0}
    assert send(sent) == {"received": 40, "added": 20, "updated": 20}
    sent.sort(key=lambda record: (record["source"], record["timestamp"]))

    deadline = time.time() + 60
    while True:
        audit = requests.get(URL + "/v1/audit", timeout=60).json()
        counted = sum(source["accepted"] for source in audit["sources"])
        duplicates = sum(partition["duplicate"] for partition in audit["partitions"])
        if counted == len(frames) and duplicates == 60:
            break
        assert time.time() < deadline, (counted, duplicates, len(frames))
        time.sleep(0.1)

    table = minutes_of(frames)
    check_lists(frames)
    check_minutes(frames, table)
    check_behaviours(frames)
    check_series(table, now)
    check_hour(frames, now)
    check_records(sent)
    print(f"{len(frames)} frames in {len(table)} minutes: all fourteen routes as computed here")


main()
