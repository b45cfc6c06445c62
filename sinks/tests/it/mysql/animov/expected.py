"""Compares the original's views and procedures with what pandas makes of the frames.

Arguments: host, port, user, password, database, CSV of frames, now (Unix seconds),
zone. Exits with an error, and says where, if anything differs.
"""

import datetime
import decimal
import sys
import zoneinfo

import pandas
import pymysql

POSTURES = ["total", "couche", "debout"]
BEHAVIOURS = ["brush", "drink", "eat", "class_0", "class_1"]

host, port, user, password, database, csv, now, zone = sys.argv[1:]
now, zone = int(now), zoneinfo.ZoneInfo(zone)
frames = pandas.read_csv(csv)
frames = frames.rename(columns={"lying": "couche", "standing": "debout"})
frames["total"] = frames.couche + frames.debout
for absent in ["drink", "class_0", "class_1"]:
    frames[absent] = 0
frames["timestamp"] = frames.at_ms // 60_000 * 60
compared = 0


def connect():
    connection = pymysql.connect(
        host=host, port=int(port), user=user, password=password, database=database, autocommit=True
    )
    # What the server says is now; its time zone must not matter.
    ask(connection, f"SET SESSION timestamp = {now}, SESSION time_zone = '-07:00'")
    return connection


def ask(connection, sql):
    cursor = connection.cursor(pymysql.cursors.DictCursor)
    cursor.execute(sql)
    rows = list(cursor.fetchall())
    while cursor.nextset():
        pass
    return rows


def rounded(value, decimals):
    """Half away from zero, from the value as it would be written."""
    if value is None or pandas.isna(value):
        return None
    step = decimal.Decimal(1).scaleb(-decimals)
    return decimal.Decimal(repr(float(value))).quantize(step, rounding=decimal.ROUND_HALF_UP)


def same(what, got, expected):
    """Rows of the same keys in the same order with the same values."""
    global compared
    assert len(got) == len(expected), f"{what}: {len(got)} rows, not {len(expected)}"
    for at, (row, wanted) in enumerate(zip(got, expected)):
        assert list(row) == list(wanted), f"{what}: {list(row)}, not {list(wanted)}"
        for column, value in wanted.items():
            is_same = row[column] == value
            if isinstance(value, float) and isinstance(row[column], float):
                is_same = abs(row[column] - value) <= 1e-9
            assert is_same, f"{what}, row {at}, {column}: {row[column]!r}, not {value!r}: {wanted}"
            compared += 1


def minute(key, of):
    """One row of the minute table, from its frames."""
    timestamp, source = key
    row = {"id": (timestamp // 60 - 26_297_280) * 64 + source - 1 if source <= 64 else None}
    row |= {"timestamp": timestamp, "source": source}
    row |= {x: int(of[x].sum()) for x in POSTURES}
    row |= {f"max_{x}": int(of[x].max()) for x in POSTURES}
    row |= {f"min_{x}": int(of[x].min()) for x in POSTURES}
    row |= {f"std_{x}": rounded(of[x].std(), 3) for x in POSTURES}
    for name, q in [("Q1", 0.25), ("Q2", 0.5), ("Q3", 0.75)]:
        row |= {f"{name}_{x}": rounded(of[x].quantile(q), 3) for x in POSTURES}
    row |= {f"mode_{x}": ",".join(str(count) for count in sorted(of[x].mode())) for x in POSTURES}
    return row | {"nb_frames": len(of)}


def local(seconds):
    return datetime.datetime.fromtimestamp(seconds, zone)


minutes = [minute(key, of) for key, of in frames.groupby(["timestamp", "source"])]
newest = frames.groupby("source").timestamp.max().to_dict()
connection = connect()

# The tables.

found = ask(connection, "SELECT * FROM table_chevres_minute_serveur_v2 ORDER BY timestamp, source")
same("table_chevres_minute_serveur_v2", found, minutes)


def behaviours(seconds, source, of, columns):
    begins = local(seconds)
    day = datetime.datetime(begins.year, begins.month, begins.day)
    row = {"id": seconds // 60 * 2**31 + source, "jour": day, "source": source}
    row |= {"minutes": begins.minute, "heure": begins.hour}
    row = {column: row[column] for column in columns}
    return row | {x: float(of[x].mean()) for x in BEHAVIOURS}


expected = [
    behaviours(seconds, source, of, ["id", "jour", "source", "minutes", "heure"])
    for (seconds, source), of in frames.groupby(["timestamp", "source"])
]
same("table_chevres_minute", ask(connection, "SELECT * FROM table_chevres_minute ORDER BY id"), expected)
a_day = expected[0]["jour"]
found = ask(connection, f"SELECT * FROM table_chevres_minute WHERE jour = '{a_day}' AND source = 1 ORDER BY id")
same("a day of it", found, [row for row in expected if row["jour"] == a_day and row["source"] == 1])

hours = frames.assign(hour=frames.timestamp // 3600 * 3600)
expected = [
    behaviours(seconds, source, of, ["id", "jour", "source", "heure"])
    for (seconds, source), of in hours.groupby(["hour", "source"])
]
same("table_chevres_heures", ask(connection, "SELECT * FROM table_chevres_heures ORDER BY id"), expected)

# The views.

view = "vue_chevres_derniere_minute_v2"
expected = [row for row in minutes if now - 120 < row["timestamp"]]
expected.sort(key=lambda row: (row["timestamp"], -row["source"]))
same(view, ask(connection, f"SELECT * FROM {view}"), expected)

view = "vue_chevres_derniere_minute"
expected = []
for row in sorted(minutes, key=lambda row: row["source"]):
    if row["timestamp"] == newest[row["source"]]:
        mean = {x: rounded(row[x] / row["nb_frames"], 4) for x in POSTURES}
        std = {f"std_{x}": row[f"std_{x}"] for x in POSTURES}
        std = {name: None if value is None else float(value) for name, value in std.items()}
        bounds = {f"{m}_{x}": decimal.Decimal(row[f"{m}_{x}"]) for m in ["max", "min"] for x in POSTURES}
        expected.append({"timestamp": row["timestamp"], "source": row["source"]} | mean | std | bounds)
same(view, ask(connection, f"SELECT * FROM {view}"), expected)

view = "vue_chevres_serier_heure"
expected = [row for row in minutes if now - 3600 < row["timestamp"]]
same(view, ask(connection, f"SELECT * FROM {view}"), expected)
same(view, ask(connection, f"SELECT * FROM {view} WHERE source = 2"), [r for r in expected if r["source"] == 2])

view = "vue_chevre_derniere_heure_last"
expected = [row for row in minutes if newest[row["source"]] - 3600 < row["timestamp"]]
same(view, ask(connection, f"SELECT * FROM {view}"), expected)


def fives(view, rows, total):
    """Five minutes each; `total` makes a column of the minutes' sums."""
    table = pandas.DataFrame(rows)
    expected = []
    for (begin, source), of in table.groupby([table.timestamp // 300 * 300, "source"]):
        row = {"timestamp": local(begin).strftime("%Y-%m-%d %H:%M"), "source": source}
        row |= {x: total(of[x]) for x in POSTURES}
        row |= {f"max_{x}": int(of[f"max_{x}"].max()) for x in POSTURES}
        row |= {f"min_{x}": int(of[f"min_{x}"].min()) for x in POSTURES}
        expected.append(row | {"nb_frames": total(of.nb_frames)})
    same(view, ask(connection, f"SELECT * FROM {view}"), expected)
    of_one = [row for row in expected if row["source"] == 1]
    same(view, ask(connection, f"SELECT * FROM {view} WHERE source = 1"), of_one)


rows = [row for row in minutes if now - 86_400 < row["timestamp"]]
fives("vue_chevres_serier_jour", rows, lambda column: rounded(column.mean(), 4))
rows = [row for row in minutes if newest[row["source"]] - 86_400 < row["timestamp"]]
fives("vue_chevre_derniere_jour_last", rows, lambda column: decimal.Decimal(int(column.sum())))

# The procedures.

hour = frames[now - 3600 < frames.timestamp]


def consolidated(x, of):
    means = of.groupby("timestamp")[x].mean()
    return {
        f"moyenne_{x}": rounded(of[x].mean(), 6),
        f"max_{x}": rounded(means.max(), 0),
        f"min_{x}": rounded(means.min(), 0),
        f"ecart_type_{x}": rounded(of[x].std(), 6),
    }


for x in POSTURES:
    ask(connection, f"CALL CalculerEcartTypeHeure{x.capitalize()}()")
    found = ask(connection, f"SELECT * FROM ResultatsEcartType{x.capitalize()} ORDER BY source")
    expected = [{"source": source} | consolidated(x, of) for source, of in hour.groupby("source")]
    same(f"ResultatsEcartType{x.capitalize()}", found, expected)

# As the original's callers do: by the database's name, from wherever they are.
connection = connect()
ask(connection, f"CALL {database}.ConsoliderResultatsEcartType()")
found = ask(connection, f"SELECT * FROM {database}.ResultatsConsolides")
expected = [
    {"source": source} | consolidated("total", of) | consolidated("debout", of) | consolidated("couche", of)
    for source, of in hour.groupby("source")
]
same("ResultatsConsolides", found, expected)
for x in POSTURES:
    assert len(ask(connection, f"SELECT * FROM ResultatsEcartType{x.capitalize()}")) == len(expected)
assert ask(connection, "SELECT @@session.autocommit AS it") == [{"it": 1}]

print(f"{compared} values of {len(frames)} frames, all equal")
