"""Whether docker/compose.yaml keeps what docker/README.md promises.

    checks.py pull|stand-ins ENVIRONMENT -- COMPOSE [ARGUMENT]...

COMPOSE is the command with its files and its project, ENVIRONMENT its file of
secrets and ports. scripts/docker-test calls this, and takes everything down
afterwards. Each check prints one line of what it saw; the first that fails prints the
ends of the containers' logs, and the exit status is 1.

A frame counts as neither lost nor counted twice if all of this holds:

- `animov audit` is balanced: what was read of the log is what was accepted, and the
  windows of each size show as many frames as were accepted;
- everything in the log was read, and nothing of it was parked;
- of each session of each source, the numbers that were counted are 0, 1, 2, ...
  without a hole, by the tables' own record of them.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from containers import Failed, Site, must, output, until

WORKERS = ["worker-1", "worker-2"]
ANIMOVS = [*WORKERS, "producer", "api"]
SOURCES = 8
PARTITIONS = 12
SPOOLED = 2000  # frames that wait before Kafka comes back
BLOCK = 65536  # sequence numbers in a row of seq_blocks
STATISTICS_AGE = 10 + 5 + 1  # log.kafka.statistics_interval, scrape_interval, seconds
FRAMES_A_SECOND = "sum(rate(animov_frames_accepted_total[20s]))"

# Nothing in it changes unless a frame is counted.
WHAT_WAS_COUNTED = """
    SELECT 'ledger', COUNT(*), SUM(accepted), BIT_XOR(CRC32(CONCAT_WS(',',
        `partition`, first_offset, next_offset, `read`, duplicate))) FROM partitions
    UNION ALL
    SELECT 'windows', COUNT(*), SUM(frames), BIT_XOR(CRC32(CONCAT_WS(',',
        source, size, start_ms, frames))) FROM windows
    UNION ALL
    SELECT 'metrics', COUNT(*), SUM(sum), BIT_XOR(CRC32(CONCAT_WS(',',
        source, size, start_ms, metric, histogram))) FROM window_metrics
"""

DASHBOARD = Path(__file__).parent.parent / "grafana/dashboards/animov.json"


# --- What the containers look like.


def healthy(site, services):
    def all_healthy():
        # A stopped container keeps what was last known of its health.
        states = {service: site.state(service)["State"] for service in services}
        return all(s["Running"] and s["Health"]["Status"] == "healthy" for s in states.values())

    until(f"{services} healthy", all_healthy, seconds=300)


def services(site):
    all_of_them = ["kafka", "mysql", "mongo", *ANIMOVS, "prometheus"]
    return [*all_of_them, "grafana"] if site.pulled else all_of_them


def everything_comes_up(site):
    site.compose("up", "-d", "--no-build", *services(site), seconds=600)
    healthy(site, services(site))
    migrate = site.state("migrate")["State"]
    must(migrate["Status"] == "exited" and migrate["ExitCode"] == 0, f"migrate: {migrate}")
    for service in ANIMOVS:
        site.inside(service, "animov-answers", "/readyz")
    return f"{len(services(site))} services healthy, migrate ended with 0"


def the_containers_are_confined(site):
    for service in ANIMOVS:
        user = site.inside(service, "id", "-u").strip()
        must(user == "10001", f"{service} runs as user {user}")
        options = site.state(service)["HostConfig"]
        must(options["ReadonlyRootfs"], f"{service} can write to its image's files")
        status = site.inside(service, "cat", "/proc/1/status")
        must("CapBnd:\t0000000000000000" in status, f"{service} can have capabilities")
        must("NoNewPrivs:\t1" in status, f"{service} can get privileges")
    return "user 10001, root file system read-only, no capabilities, no new privileges"


def the_image(site):
    image = output(["docker", "image", "inspect", site.state("api")["Image"]])
    size = json.loads(image)[0]["Size"]
    program = site.inside("api", "stat", "-c", "%s", "/usr/local/bin/animov")
    return f"{size / 1e6:.0f} MB, the program {int(program) / 1e6:.0f} MB of it"


# --- What the site does.


def rows_appear(site):
    first = until("rows", site.accepted)
    second = until("more rows", lambda: (now := site.accepted()) > first and now)
    windows = int(site.rows("SELECT COUNT(*) FROM windows")[0][0])
    return f"{first} frames counted, soon {second}, in {windows} windows in MySQL"


def the_api_answers_whoever_has_the_token(site):
    for path in ["/v1/sources", "/v1/sources/101/windows/1m?metric=lying", "/v1/audit"]:
        for token in [None, "not-the-token-at-all"]:
            status, _, _ = site.api(path, token)
            must(status == 401, f"{path} with token {token}: {status}")
        status, body, _ = site.api(path)
        must(status == 200 and json.loads(body), f"{path}: {status} {body[:200]}")

    def all_sources():
        items = json.loads(site.api("/v1/sources")[1])["items"]
        return len(items) == SOURCES and all(item["frames_accepted"] for item in items)

    until("the API shows every source", all_sources)
    status, page, _ = site.api("/", token=None)
    must(status == 200 and b"<html" in page, f"the page: {status}")
    return f"401 without and with another token, 200 with it; {SOURCES} sources; the page is there"


def both_workers_hold_partitions(site):
    query = 'animov_kafka_partitions_held{role="pipeline"}'

    def shares():
        result = site.prometheus("query", query=query)["result"]
        held = {r["metric"]["instance"]: int(float(r["value"][1])) for r in result}
        both = len(held) == len(WORKERS) and all(held.values())
        return both and sum(held.values()) == PARTITIONS and held

    return f"partitions held: {until('each worker holds a part', shares)}"


def prometheus_sees_everybody(site):
    def all_up():
        targets = site.prometheus("targets")["activeTargets"]
        return len(targets) == len(ANIMOVS) + 1 and all(t["health"] == "up" for t in targets)

    until("targets up", all_up)
    groups = site.prometheus("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    must(rules and all(rule["health"] == "ok" for rule in rules), f"rules: {rules}")
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    must(not firing, f"alerts fire: {firing}")
    return f"{len(ANIMOVS) + 1} targets up, {len(rules)} alert rules read, none fires"


def the_dashboard_has_something_to_show(site):
    """Panels of what never happened here may be empty."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [
        (panel["title"], target["expr"].replace("$__rate_interval", "1m"))
        for panel in panels
        for target in panel.get("targets", [])
    ]
    answers = {title: site.prometheus("query", query=query)["result"] for title, query in queries}
    empty = [title for title, result in answers.items() if not result]
    must(len(empty) < len(panels) / 3, f"panels without data: {empty}")
    if site.pulled:
        with urllib.request.urlopen(f"{site.url('GRAFANA_PORT')}/api/health", timeout=10) as answer:
            must(answer.status == 200, "Grafana")
    without = f", of them {len(empty)} still empty ({', '.join(empty)})" if empty else ""
    return f"{len(queries)} queries of {len(panels)} panels answered{without}"


# --- What happens to it.


def a_killed_worker_is_replaced(site):
    """`docker kill`, which no restart policy undoes: the other one takes over."""
    before = site.accepted()
    output(["docker", "kill", site.container("worker-1")])
    held = 'animov_kafka_partitions_held{instance="worker-2:8420"}'
    began = time.monotonic()
    until("worker-2 holds everything", lambda: site.metric(held) == PARTITIONS)
    took = time.monotonic() - began
    alone = site.accepted()
    more = until("more frames", lambda: (now := site.accepted()) > alone and now)
    must(before < more, f"{before} frames before, {more} after")
    balanced(site)
    site.compose("up", "-d", "--no-build", "worker-1")
    healthy(site, ["worker-1"])
    shares = both_workers_hold_partitions(site)
    return (
        f"worker-2 held all {PARTITIONS} after {took:.0f} s ({before} to {more} frames); "
        f"started again, {shares}"
    )


def a_crashed_worker_starts_again(site):
    """Its process gets SIGKILL, which from inside its container has no effect on it."""
    state = site.state("worker-2")
    on_host = ["docker", "run", "--rm", "--pid", "host", "--user", "0", "--network", "none"]
    command = f"kill -KILL {state['State']['Pid']}"
    output([*on_host, "--entrypoint", "bash", "animov-test/animov", "-c", command])
    until("a restart", lambda: site.state("worker-2")["RestartCount"] == state["RestartCount"] + 1)
    healthy(site, ["worker-2"])
    shares = both_workers_hold_partitions(site)
    balanced(site)
    return f"restarted by its policy; {shares}"


def the_spool_bridges_a_stop_of_kafka(site):
    site.compose("stop", "kafka", seconds=120)
    waits = "sum(animov_spool_frames)"
    waiting = until("frames wait", lambda: (now := site.metric(waits)) > SPOOLED and now)
    status, _, _ = site.api("/v1/sources")
    must(status == 200, f"the API without Kafka: {status}")
    site.compose("up", "-d", "--no-build", "kafka")
    healthy(site, ["kafka", *ANIMOVS])
    until("an empty spool", lambda: site.metric(waits) == 0)
    dropped = site.metric("sum(animov_spool_dropped_frames_total)") or 0
    must(dropped == 0, f"{dropped} frames dropped")
    both_workers_hold_partitions(site)
    balanced(site)
    return f"{waiting:.0f} frames waited on the producer's disk, all sent after it, none dropped"


def the_api_answers_while_mysql_is_away(site):
    site.api("/v1/sources")
    site.compose("stop", "mysql", seconds=120)

    def stale():
        status, _, headers = site.api("/v1/sources")
        return status == 200 and headers["animov-stale"]

    age = until("an answer from memory", stale)
    site.compose("up", "-d", "--no-build", "mysql")
    healthy(site, ["mysql", *ANIMOVS])
    until("fresh answers", lambda: "animov-stale" not in site.api("/v1/sources")[2])
    before = site.accepted()
    until("more frames", lambda: before < site.accepted())
    return f"answered what it knew {age} s before; fresh and counting once MySQL was back"


def the_herd_arrives_at_the_present(site):
    """Six hours at 120 times speed; from then on, the load is a frame a second of each."""
    behind = "max(time() - animov_captured_at_newest_seconds)"

    def at_the_present():
        return site.metric(behind) < 15 and site.metric(FRAMES_A_SECOND) < 2 * SOURCES

    until("the present", at_the_present, seconds=400)
    return "event time is now"


def balanced(site):
    audit = site.audit()
    must(audit["balanced"], f"audit: {audit['imbalances']}")
    return audit


def every_frame_is_counted_once(site):
    """After the producer has ended, gracefully."""
    site.compose("stop", "producer", seconds=120)
    ended = site.state("producer")["State"]["ExitCode"]
    must(ended == 0, f"the producer ended with {ended}")
    # As old may be what a worker's metrics say of the log, and Prometheus of the worker.
    time.sleep(STATISTICS_AGE)
    until("no lag", lambda: site.metric("sum(animov_kafka_lag_records)") == 0)
    audit = balanced(site)
    total = {
        name: sum(partition[name] for partition in audit["partitions"])
        for name in ["read", "accepted", "duplicate", "parked", "gap"]
    }
    must(total["parked"] == 0 and total["gap"] == 0, f"the ledger: {total}")
    read_up = sum(p["next_offset"] - p["first_offset"] for p in audit["partitions"])
    must(read_up == total["read"], f"{read_up} offsets, {total['read']} read")
    sessions = holes(site)
    must(not sessions["holes"], f"numbers missing: {sessions['holes']}")
    must(sessions["counted"] == total["accepted"], f"{sessions}, {total}")
    windows = site.rows("SELECT size, SUM(frames) FROM windows GROUP BY size")
    must(
        len(windows) == 5 and all(int(frames) == total["accepted"] for _, frames in windows),
        f"windows: {windows}",
    )
    return (
        f"{total['read']} records read = {total['accepted']} frames accepted + "
        f"{total['duplicate']} sent twice; {sessions['sessions']} sessions without a hole; "
        "as many in the windows of each size"
    )


def holes(site):
    """How many frames seq_blocks has, in how many sessions, and where numbers are missing."""
    blocks = {}
    for source, session, block, counted, seqs in site.rows(
        "SELECT source, session, block, counted, HEX(seqs) FROM seq_blocks"
    ):
        blocks.setdefault((source, session), []).append((int(block), int(counted), seqs))
    missing = []
    for session, of_session in blocks.items():
        for place, (block, counted, seqs) in enumerate(sorted(of_session)):
            last = place == len(of_session) - 1
            # From the block's first number, and to its last one, or the session's.
            whole = leb128(bytes.fromhex(seqs)) == [0, counted]
            if block != place or not whole or not (last or counted == BLOCK):
                missing.append((*session, block))
    counted = sum(counted for rows in blocks.values() for _, counted, _ in rows)
    return {"sessions": len(blocks), "counted": counted, "holes": missing}


def leb128(coded):
    numbers, number, shift = [], 0, 0
    for byte in coded:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(number)
            number, shift = 0, 0
    return numbers


def down_and_up_keeps_everything(site):
    """Without the producer at first, so that what is kept can be compared."""
    before = site.rows(WHAT_WAS_COUNTED)
    site.compose("down", "--timeout", "60", seconds=300)
    others = [service for service in services(site) if service != "producer"]
    site.compose("up", "-d", "--no-build", *others, seconds=600)
    healthy(site, others)
    balanced(site)
    after = site.rows(WHAT_WAS_COUNTED)
    must(before == after, f"the tables had {before} and have {after}")
    must(site.metric("max_over_time(animov_spool_frames[1h])"), "Prometheus has forgotten")
    accepted = site.accepted()
    site.compose("up", "-d", "--no-build", "producer")
    healthy(site, ["producer"])
    more = until("more frames", lambda: accepted < (now := site.accepted()) and now)
    return f"{accepted} frames and the log's places as before, and soon {more}"


# --- What it takes.


def what_it_takes(site):
    """Of each container's first process: resident memory now and at most, and CPU."""

    def seconds(service):
        fields = site.inside(service, "cat", "/proc/1/stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), time.monotonic()

    begun = {service: seconds(service) for service in services(site)}
    time.sleep(20)
    rows = [f"{'':7}{'':12} {'MiB':>5} {'at most':>8} {'CPU':>6}"]
    for service in services(site):
        (used, now), (used_before, before) = seconds(service), begun[service]
        cpu = 100 * (used - used_before) / (now - before)
        lines = site.inside(service, "cat", "/proc/1/status").splitlines()
        status = dict(line.split(":", 1) for line in lines)
        now, most = (int(status[name].split()[0]) / 1024 for name in ["VmRSS", "VmHWM"])
        rows.append(f"{'':7}{service:12} {now:5.0f} {most:8.0f} {cpu:5.1f}%")
    return "\n".join([f"{site.metric(FRAMES_A_SECOND):.0f} frames a second", *rows])


CHECKS = [
    everything_comes_up,
    the_image,
    the_containers_are_confined,
    rows_appear,
    the_api_answers_whoever_has_the_token,
    prometheus_sees_everybody,
    both_workers_hold_partitions,
    the_dashboard_has_something_to_show,
    what_it_takes,
    a_killed_worker_is_replaced,
    a_crashed_worker_starts_again,
    the_spool_bridges_a_stop_of_kafka,
    the_api_answers_while_mysql_is_away,
    the_herd_arrives_at_the_present,
    what_it_takes,
    every_frame_is_counted_once,
    down_and_up_keeps_everything,
]


def tell_more(site):
    """How the containers stand, and the ends of their logs."""
    for arguments in [["ps", "-a"], ["logs", "--tail", "30", "--no-color"]]:
        subprocess.run([*site.command, *arguments], timeout=120, check=False)
    for service in ANIMOVS:
        try:
            last = site.state(service)["State"]["Health"]["Log"][-1]["Output"]
        except (Failed, KeyError, IndexError, TypeError) as error:
            last = error
        print(f"health of {service}: {last}", flush=True)


def main(images, environment, separator, *command):
    must(separator == "--" and command, "usage: checks.py pull|stand-ins ENVIRONMENT -- COMPOSE…")
    site = Site(images, environment, list(command))
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        began = time.monotonic()
        try:
            seen = check(site)
        except (Failed, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
            tell_more(site)
            return 1
        print(f"ok     {name} ({time.monotonic() - began:.0f} s): {seen}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
