"""How each tool is told what to do. A tool that is not installed is left out, and said to be."""

import json
import os
import re
import resource
import shutil

from measure import RESULTS, ROOT, TARGET, Client, output, say

PLIMSOLL = TARGET / "release" / "plimsoll"
HERE = ROOT / "benches" / "peers"
TOOLS = TARGET / "tools"
# A work that is open for ever: accepted at the origin of the clock, endless.
OPEN = "/v1/intake/demo/work/work_" + "0" * 16 + "f" * 16 + "000"
CONNECTIONS = 64


def where(name):
    for place in TOOLS / "bin" / name, TOOLS / "venv" / "bin" / name:
        if place.exists():
            return str(place)
    return shutil.which(name)


def versions():
    asked = ("wrk", "-v"), ("oha", "-V"), ("locust", "-V"), ("k6", "version")
    said = {"plimsoll": output(PLIMSOLL, "--version")}
    said |= {name: output(where(name), flag) for name, flag in asked if where(name)}
    numbers = {name: re.search(r"\d+\.\d+\.\d+\S*", text) for name, text in said.items()}
    return {name: number[0].rstrip(",") for name, number in numbers.items() if number}


def chosen(names):
    """Those of these tools that are there, and that `TOOLS` asks for."""
    wanted = os.environ.get("TOOLS", "").split() or names
    found = [name for name in names if name in wanted and (name == "plimsoll" or where(name))]
    for name in names:
        if name in wanted and name not in found:
            say(f"{name} is not installed: left out")
    return found


def folder(name):
    """An empty directory for what a tool leaves behind."""
    path = RESULTS / "runs" / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


class Plimsoll:
    """A run of ours: its scenario, its client process, its own summary."""

    def __init__(self, servers, name, tables, cores=(0,), flags=()):
        self.home = folder(name)
        target = f'name = "bench"\n[target]\nbase_url = "{servers.url}"\nintake_id = "demo"\n'
        (self.home / "scenario.toml").write_text(target + tables)
        command = [PLIMSOLL, "run", self.home / "scenario.toml", "--quiet", *flags]
        command += ["--out", self.home / "run"]
        self.client = Client(command, self.home / "log", cores)

    def summary(self):
        path = self.home / "run" / "summary.json"
        if not path.exists():
            raise SystemExit((self.home / "log").read_text())
        return json.loads(path.read_text())


def has_flag(flag):
    return flag in output(PLIMSOLL, "run", "--help")


def job_tables(rate, seconds):
    """The job, with everything else as it is by default: but for a cap where a second of requests
    needs more descriptors than this machine gives, which the run would refuse."""
    cap = ""
    if 2 * rate + 100 > resource.getrlimit(resource.RLIMIT_NOFILE)[1]:
        cap = "[http]\nmax_in_flight = 1000\n"
    return (
        f'{cap}[[load]]\narrivals = "constant"\nrate = "{rate}/s"\nduration = "{seconds}s"\n'
        '[poll]\ninterval = "1s"\nfirst = "interval"\n'
    )


def hold_tables(works, ramp, seconds, interval):
    """Polls of works that stay open, submitted in the seconds of a ramp before."""
    submits = round(works / ramp)
    return (
        f"[http]\nmax_in_flight = {CONNECTIONS}\n"
        f'[[load]]\narrivals = "constant"\nrate = "{submits}/s"\nduration = "{ramp}s"\n'
        f'[[load]]\nrate = "0/s"\nduration = "{seconds}s"\n'
        f'[poll]\ninterval = "{round(interval * 1000)}ms"\n'
        '[drain]\nlimit = "0s"\n'
    )


def job(name, servers, rate, seconds):
    """The client process of a peer that does the job."""
    home = folder(f"job-{name}")
    env = {"RATE": str(rate), "LENGTH": str(seconds), "BASE_URL": servers.url}
    commands = {
        "k6": [where("k6"), "run", "--quiet", "--no-usage-report", HERE / "job.k6.js"],
        "locust": [
            where("locust"), "-f", HERE / "locust_job.py", "--headless", "--only-summary",
            "--users", 1, "--host", servers.url, "--loglevel", "ERROR", "--stop-timeout", 60,
        ],
    }
    return Client(commands[name], home / "log", env=env)


def requests(name, servers, seconds):
    """The client process of a peer that polls in a closed loop."""
    home, url = folder(f"request-{name}"), servers.url + OPEN
    env = {"LENGTH": str(seconds), "POLL_URL": url, "POLL_PATH": OPEN}
    many, length = CONNECTIONS, f"{seconds}s"
    commands = {
        "wrk": [where("wrk"), "-t1", f"-c{many}", f"-d{length}", url],
        "oha": [where("oha"), "--no-tui", "-c", many, "-z", length, url],
        "k6": [where("k6"), "run", "--quiet", "--no-usage-report", HERE / "request.k6.js"],
        "locust": [
            where("locust"), "-f", HERE / "locust_request.py", "--headless", "--only-summary",
            "--users", many, "--spawn-rate", many, "--run-time", length, "--host", servers.url,
            "--loglevel", "ERROR",
        ],
    }
    return Client(commands[name], home / "log", env=env)
