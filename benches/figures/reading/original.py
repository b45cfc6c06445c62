"""The original's way, as its specification tells it: Flask, one connection a request,
SQL over the table of minutes on each read. Run with a file of exported minutes, it
fills that table first.
"""

import datetime
import json
import os
import sys

import pymysql
from flask import Flask, jsonify, request

POSTURES = {"total": "total", "couche": "lying", "debout": "standing"}
COLUMNS = ["timestamp", "source", "nb_frames"] + [
    f"{prefix}{posture}"
    for posture in POSTURES
    for prefix in ("", "max_", "min_", "std_", "Q1_", "Q2_", "Q3_", "mode_")
]

app = Flask(__name__)


def connect():
    return pymysql.connect(
        host=os.environ["DB_HOST"], port=int(os.environ["DB_PORT"]), user=os.environ["DB_USER"],
        database=os.environ["DB_NAME"], cursorclass=pymysql.cursors.DictCursor, autocommit=True,
    )


def answer(sql):
    criteria = [int(request.args[name]) for name in ("source", "from", "to")]
    connection = connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, criteria)
            rows = cursor.fetchall()
    finally:
        connection.close()
    return jsonify([
        {name: float(value) if hasattr(value, "as_tuple") else value for name, value in row.items()}
        for row in rows
    ])


@app.get("/minutes")
def minutes():
    return answer(
        "SELECT * FROM reference_minutes WHERE source = %s AND timestamp >= %s AND timestamp < %s"
        " ORDER BY timestamp"
    )


@app.get("/jours")
def jours():
    each = ", ".join(
        f"SUM({p}) AS {p}, MAX(max_{p}) AS max_{p}, MIN(min_{p}) AS min_{p},"
        f" SUM({p}) / SUM(nb_frames) AS moyenne_{p}"
        for p in POSTURES
    )
    return answer(
        f"SELECT FROM_UNIXTIME(timestamp, '%%Y-%%m-%%d') AS jour, source, {each},"
        " SUM(nb_frames) AS nb_frames FROM reference_minutes"
        " WHERE source = %s AND timestamp >= %s AND timestamp < %s GROUP BY jour, source"
    )


def fill(path):
    types = {"timestamp": "bigint(20)", "source": "int(11)", "nb_frames": "int(11)"}
    kind = lambda name: types.get(name) or (
        "text" if name.startswith("mode") else
        "decimal(6,3)" if name.startswith(("std", "Q")) else "int(11)"
    )
    minutes = {}
    with open(path) as lines:
        for line in lines:
            row = json.loads(line)
            minutes.setdefault((row["start"], row["source"]), {})[row["metric"]] = row
    rows = []
    for (start, source), metrics in sorted(minutes.items()):
        seconds = int(datetime.datetime.fromisoformat(start).timestamp())
        row = [seconds, source, next(iter(metrics.values()))["frames"]]
        for posture, metric in POSTURES.items():
            of = metrics[metric]
            modes = of["modes"] if isinstance(of["modes"], str) else ",".join(map(str, of["modes"]))
            row += [of["sum"], of["max"], of["min"], of["std"], of["q1"], of["median"], of["q3"], modes]
        rows.append(row)
    connection = connect()
    with connection.cursor() as cursor:
        columns = ", ".join(f"`{name}` {kind(name)}" for name in COLUMNS)
        cursor.execute(
            f"CREATE TABLE reference_minutes (id int(11) AUTO_INCREMENT PRIMARY KEY, {columns},"
            " KEY (timestamp), KEY (source))"
        )
        names = ", ".join(f"`{name}`" for name in COLUMNS)
        places = ", ".join(["%s"] * len(COLUMNS))
        for at in range(0, len(rows), 500):
            cursor.executemany(
                f"INSERT INTO reference_minutes ({names}) VALUES ({places})", rows[at:at + 500]
            )


if __name__ == "__main__":
    fill(sys.argv[1])
