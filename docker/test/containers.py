"""The containers of a compose project, and what can be asked of them."""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

# Above librdkafka's and the pipeline's own time-outs, on a slow machine.
PATIENCE = 120


class Failed(Exception):
    """A check did not see what it should; says what it saw instead."""


class Site:
    """The containers of one compose project, and what can be asked of them."""

    def __init__(self, images, environment, command):
        self.pulled = images == "pull"
        self.command = command
        self.project = command[command.index("-p") + 1]
        lines = Path(environment).read_text().split()
        self.environment = dict(line.split("=", 1) for line in lines)

    def compose(self, *arguments, seconds=300):
        return output([*self.command, *arguments], seconds)

    def container(self, service):
        """By its labels: compose itself takes a second to say."""
        label = "--filter=label=com.docker.compose."
        labels = [f"{label}project={self.project}", f"{label}service={service}"]
        found = output(["docker", "ps", "--all", "--quiet", *labels]).split()
        must(len(found) == 1, f"containers of {service}: {found}")
        return found[0]

    def state(self, service):
        return json.loads(output(["docker", "inspect", self.container(service)]))[0]

    def inside(self, service, *command):
        return output(["docker", "exec", self.container(service), *command])

    def audit(self):
        """The ledger; whether it is balanced is for the caller to say."""
        command = ["docker", "exec", self.container("api"), "animov", "audit", "--json"]
        return json.loads(output(command, accept=(0, 3)))

    def accepted(self):
        return int(self.rows("SELECT COALESCE(SUM(accepted), 0) FROM sources")[0][0])

    def rows(self, query):
        client = 'MYSQL_PWD="$MYSQL_PASSWORD" mysql -h 127.0.0.1 -u animov -N -B -e "$0" animov'
        told = self.inside("mysql", "bash", "-c", client, query)
        return [line.split("\t") for line in told.splitlines()]

    def api(self, path, token=True):
        """Status, body and headers of an answer; `token` may be another one, or none."""
        request = urllib.request.Request(self.url("ANIMOV_PORT") + path)
        token = self.environment["ANIMOV_API_TOKEN"] if token is True else token
        if token:
            request.add_header("authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def url(self, port):
        return f"http://127.0.0.1:{self.environment[port]}"

    def prometheus(self, path, **query):
        url = f"{self.url('PROMETHEUS_PORT')}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def metric(self, query):
        """The one value of a query now; None if there is none."""
        result = self.prometheus("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None


def output(command, seconds=60, accept=(0,)):
    """What `command` prints; it may take `seconds` and end with a code of `accept`."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode not in accept:
        raise Failed(f"{' '.join(command)}: code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def until(what, probe, seconds=PATIENCE):
    """What `probe` returns once that is true; it is asked each second.

    A server that does not answer yet is a reason to ask again.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            seen = probe()
        except (Failed, OSError, ValueError, KeyError, TypeError) as error:
            seen, last = None, error
        else:
            last = seen
        if seen:
            return seen
        if deadline < time.monotonic():
            raise Failed(f"{what}: not after {seconds} s; last seen: {last}")
        time.sleep(1)


def must(holds, what):
    if not holds:
        raise Failed(what)
