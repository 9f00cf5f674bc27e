"""What every tool is measured with: the server and its books, processor time, quantiles, results."""

import array
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
RESULTS = TARGET / "bench"
SERVER = TARGET / "release" / "examples" / "reference_server"
TICKS = os.sysconf("SC_CLK_TCK")
NANOS = 1e9


def say(text):
    print(text, file=sys.stderr, flush=True)


def pinned(cores, *command):
    """The command on these cores alone."""
    return ["taskset", "-c", ",".join(map(str, cores)), *map(str, command)]


def tree(root):
    """A process and all its descendants."""
    found, ahead = [], [root]
    while ahead:
        pid = ahead.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                ahead += map(int, task.read_text().split())
            except OSError:
                pass
    return found


def cpu(root):
    """Seconds in user mode and in the kernel of a process tree, children that have ended included."""
    user = system = 0
    for pid in tree(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        user += int(fields[11]) + int(fields[13])
        system += int(fields[12]) + int(fields[14])
    return user / TICKS, system / TICKS


def machine_cpu():
    """Seconds that all cores were busy with anything, whoever's; what a hypervisor took as well."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def peak_memory(root):
    """The largest resident sets of a process tree, summed, in bytes."""
    total = 0
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    return total


def quantile(ordered, share):
    """The smallest value that this share of an ordered list does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


class Servers:
    """The reference server, once on each of these cores; all behind one port."""

    def __init__(self, cores=(1,), endless=False):
        self.processes, self.books, self.port = [], [], 0
        try:
            for number, core in enumerate(cores):
                words = [self.port, number + 1] + ["endless"] * endless
                process = subprocess.Popen(
                    pinned([core], SERVER, *words), stdout=subprocess.PIPE, text=True
                )
                self.processes.append(process)
                said = json.loads(process.stdout.readline())
                self.port = said["port"]
                self.books.append(f"http://127.0.0.1:{said['books']}")
        except BaseException:
            self.__exit__()
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
            process.communicate()

    def _ask(self, path):
        return [urllib.request.urlopen(url + path).read() for url in self.books]

    def stats(self):
        """What they counted, together."""
        each = [json.loads(text) for text in self._ask("/stats")]
        sums = {key: sum(one[key] for one in each) for key in each[0]}
        sums["requests"] = sums["submits"] + sums["polls"] + sums["unknown"]
        return sums

    def _raw(self, path):
        whole = array.array("q")
        for text in self._ask(path):
            whole.frombytes(text)
        return sorted(whole)

    def cpu(self):
        return sum(sum(cpu(process.pid)) for process in self.processes)

    def job(self, rate, seconds):
        """The verdict on an offered job, the same for every tool: how late the i-th accept is on
        the schedule i / rate, laid through the earliest of them; how long after the first poll
        that could have seen it an end was seen."""
        accepts, excess = self._raw("/accepts"), self._raw("/excess")
        ahead = [at - number * NANOS / rate for number, at in enumerate(accepts)]
        origin = min(ahead, default=0)
        lag = sorted(at - origin for at in ahead)
        offered = round(rate * seconds)
        figures = {
            "rate": rate,
            "offered": offered,
            "accepted": len(accepts),
            "seen_to_end": len(excess),
            # A poll may come a moment before the end, and the next one sees it: negative.
            "early": sum(by < 0 for by in excess),
        }
        for name, values in ("lag", lag), ("excess", excess):
            for share in 50, 99:
                value = quantile(values, share / 100)
                figures[f"{name}_p{share}_ms"] = None if value is None else value / 1e6
        # A tool may count its first or its last instant in or out.
        figures["sustained"] = bool(
            len(accepts) >= offered - 1
            and len(excess) == len(accepts)
            and figures["lag_p99_ms"] < 100
            and figures["excess_p99_ms"] < 250
        )
        return figures


class Refused(Exception):
    """A tool that did not even begin, in its own words."""


class Client:
    """A tool that loads the servers, on these cores alone."""

    def __init__(self, command, log, cores=(0,), env=None):
        self.log = Path(log)
        with open(log, "w") as out:
            self.process = subprocess.Popen(
                pinned(cores, *command), stdout=out, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})},
            )

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind and self.process.poll() is None:
            self.process.terminate()
        self.process.wait()

    def finish(self, most):
        """Waits for its own end, this many seconds at most; whether it came."""
        try:
            self.process.wait(most)
            return True
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
            return False

    def starts(self, servers, most=90):
        """Waits for its first request; `Refused` if none comes."""
        until = time.monotonic() + most
        while servers.stats()["requests"] == 0:
            if self.process.poll() is not None or time.monotonic() > until:
                tail = "\n".join(self.log.read_text().splitlines()[-15:])
                raise Refused(tail or "it sent nothing, and said nothing")
            time.sleep(0.01)

    def window(self, servers, wait, length):
        """What it and the servers spent in a part of the run, by what the servers counted."""
        time.sleep(wait)
        before, was, served = servers.stats(), cpu(self.process.pid), servers.cpu()
        busy = machine_cpu()
        time.sleep(length)
        after, is_now, serves = servers.stats(), cpu(self.process.pid), servers.cpu()
        busy = machine_cpu() - busy
        spent = [new - old for old, new in zip(was, is_now)]
        wall = (after["now_ns"] - before["now_ns"]) / NANOS / len(servers.books)
        counted = {key: after[key] - before[key] for key in ("requests", "submits", "polls")}
        figures = {
            "wall_s": wall,
            "cpu_s": sum(spent),
            "core": sum(spent) / wall,
            "server_core": (serves - served) / wall,
            # What the rest of the machine took: a quiet one takes next to nothing.
            "others_core": max(0.0, busy - sum(spent) - (serves - served)) / wall,
            "requests_per_s": counted["requests"] / wall,
            "submits_per_s": counted["submits"] / wall,
            "peak_memory_mb": peak_memory(self.process.pid) / 1e6,
        }
        if counted["requests"]:
            figures["us_per_request"] = sum(spent) / counted["requests"] * 1e6
            figures["user_us_per_request"] = spent[0] / counted["requests"] * 1e6
        if counted["submits"]:
            figures["us_per_work"] = sum(spent) / counted["submits"] * 1e6
        return figures


def output(*command):
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip()


def machine():
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release().split("-")[0],
        "rustc": output("rustc", "--version"),
        "commit": output("git", "rev-parse", "--short", "HEAD"),
        "clean": not output("git", "status", "--porcelain", "--", "src", "benches", "Cargo.lock"),
    }


class Results:
    """The runs of one part, kept after each, so that a run that was cut short goes on."""

    def __init__(self, part, settings):
        self.path = RESULTS / f"{part}.json"
        self.data = {"part": part, "settings": settings, "machine": machine(), "runs": []}
        if self.path.exists() and not os.environ.get("FRESH"):
            old = json.loads(self.path.read_text())
            if all(old[key] == self.data[key] for key in ("settings", "machine")):
                self.data = old
            else:
                say(f"{part}: measured before of another commit or with other settings; anew")
        self.data.setdefault("started_at", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))

    def run(self, rep, name, measure):
        """Measures, unless this repetition has it."""
        for run in self.data["runs"]:
            if (run["rep"], run["name"]) == (rep, name):
                return run
        found = {"rep": rep, "name": name, **measure()}
        self.data["runs"].append(found)
        self.save()
        return found

    def save(self):
        RESULTS.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.data, indent=1) + "\n")


def figures(runs, name, key):
    """The values of a key over the repetitions of one tool."""
    return [run[key] for run in runs if run["name"] == name and run.get(key) is not None]


def median(values):
    return statistics.median(values) if values else None
