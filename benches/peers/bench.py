"""The parts of `scripts/bench`: what is run, in which order, and what is kept of it."""

import json
import os
import subprocess
import sys
import time

import tools
from measure import ROOT, Refused, Results, Servers, output, pinned, say
from table import page, table
from tools import Plimsoll, chosen

REPS = int(os.environ.get("REPS", 3))
LENGTH = int(os.environ.get("SECONDS", 20))
# Rates a tenth of a decade apart, and for the fine ladder a quarter of that.
COARSE = [round(base * 10**power) for power in (1, 2, 3, 4)
          for base in (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8)]
FINE = [round(10 ** (step / 40)) for step in range(80, 210)]
BEGIN = {"plimsoll": 16_000, "k6": 500, "locust": 500}


def settings(**more):
    """What makes runs comparable; the number of repetitions is not part of it."""
    return {"seconds": LENGTH, "versions": tools.versions(), **more}


def climb(ladder, start, holds):
    """The highest rung that holds, and every try. From `start` up while it holds; where it does not,
    down to what was reached, and up from there. One bad second of the machine is not the tool's: a
    rung has two tries."""
    tried = []

    def stands(at):
        for _ in range(2):
            tried.append(holds(ladder[at]))
            if tried[-1]["sustained"]:
                return True
        return False

    def nearest(rate):
        return min(range(len(ladder)), key=lambda index: abs(ladder[index] - rate))

    good, bad, at = -1, len(ladder), nearest(start)
    while good + 1 < bad:
        if stands(at):
            good, at = at, at + 1
        else:
            bad = at
            at = max(good + 1, min(at - 1, nearest(tried[-1]["reached"])))
    return (ladder[good] if good >= 0 else None), tried


def best_so_far(results, name, otherwise):
    found = [run["sustained"] for run in results.data["runs"]
             if run["name"] == name and run["sustained"]]
    return found[-1] if found else otherwise


# request


def poll_closed(name):
    """A peer in a closed loop."""
    with Servers() as servers, tools.requests(name, servers, LENGTH + 3) as client:
        client.starts(servers)
        found = client.window(servers, 1.5, LENGTH)
        client.finish(30)
    say(f"  {name}: {found['us_per_request']:.2f} us/request,"
        f" others {found['others_core']:.2f} of a core")
    return found


HOLD = 0.5  # seconds between two polls of a work


def hold(works, interval, ramp=4):
    """Plimsoll asks works that stay open: what it costs, and its own summary."""
    with Servers(endless=True) as servers:
        tables = tools.hold_tables(works, ramp, LENGTH + 2, interval)
        run = Plimsoll(servers, "request-plimsoll", tables)
        with run.client as client:
            client.starts(servers)
            found = client.window(servers, ramp + 0.5, LENGTH)
            client.finish(LENGTH + 30)
        return found, run.summary()


def poll_open(rate):
    """Plimsoll asks works that stay open, at this rate."""
    found, summary = hold(rate * HOLD, HOLD)
    waited = summary["metrics"]["poll_wait"]["p99"] or 0
    valid = summary["validity"]["valid"]
    reached = found["requests_per_s"] >= 0.99 * rate
    # The verdict of the run judges submits; a poll may be late by a fiftieth of its interval.
    found |= {"rate": rate, "reached": found["requests_per_s"], "valid": valid,
              "poll_wait_p99_ms": waited * 1e3,
              "connections": summary["requests"]["new_connections"],
              "sustained": valid and reached and waited <= HOLD / 50}
    say(f"  plimsoll: {found['us_per_request']:.2f} us/request at {rate}/s,"
        f" {found['reached']:.0f}/s reached, poll wait p99 {waited * 1e3:.2f} ms,"
        f" others {found['others_core']:.2f} of a core:"
        f" {'holds' if found['sustained'] else 'does not hold'}")
    return found


def poll_highest(results):
    """The cost at the highest rate that is valid."""
    start = best_so_far(results, "plimsoll", 89_000)
    rate, tried = climb(FINE, start, poll_open)
    of_rate = [one for one in tried if one["rate"] == rate and one["sustained"]]
    return {**(of_rate[-1] if of_rate else {}), "sustained": rate, "tried": tried}


def request():
    names = chosen(["wrk", "oha", "plimsoll", "k6", "locust"])
    results = Results("request", settings())
    for rep in range(REPS):
        for name in names:
            measure = lambda: (  # noqa: E731
                poll_highest(results) if name == "plimsoll" else poll_closed(name)
            )
            results.run(rep, name, measure)


# job


def try_job(name, rate, **where):
    """One job at one rate; one that the tool refuses to begin is not sustained."""
    try:
        return do_job(name, rate, **where)
    except Refused as refusal:
        say(f"  {name} at {rate}/s: {refusal}")
        return {"rate": rate, "reached": rate, "sustained": False, "refused": str(refusal)}


def do_job(name, rate, cores=(0,), servers_on=(1,), flags=()):
    """One job at one rate: its cost in the steady state, and the verdict."""
    own = {}
    with Servers(servers_on) as servers:
        if name == "plimsoll":
            run = Plimsoll(servers, "job-plimsoll", tools.job_tables(rate, LENGTH), cores, flags)
            client = run.client
        else:
            run, client = None, tools.job(name, servers, rate, LENGTH)
        with client:
            client.starts(servers)
            # Before that, the number of open works still grows.
            found = client.window(servers, 0.4 * LENGTH, 0.55 * LENGTH)
            ended = client.finish(LENGTH + 90)
        found |= servers.job(rate, LENGTH)
        if run:
            own = run.summary()
    found["reached"] = found["submits_per_s"]
    found["sustained"] = found["sustained"] and ended
    if own:
        found["valid"] = own["validity"]["valid"]
        found["sustained"] = found["sustained"] and found["valid"]
        for metric in "schedule_lag", "generator_lag", "poll_wait":
            for key in "p50", "p99":
                value = own["metrics"][metric][key]
                found[f"{metric}_{key}_us"] = None if value is None else value * 1e6
    shown = [found[key] for key in ("lag_p99_ms", "excess_p99_ms")]
    lag, excess = ["-" if value is None else f"{value:.1f}" for value in shown]
    say(f"  {name} at {rate}/s: {found['accepted']} of {found['offered']} accepted,"
        f" {found['seen_to_end']} seen to the end, lag p99 {lag} ms, excess p99 {excess} ms,"
        f" client {found['core']:.2f} and server {found['server_core']:.2f} of a core,"
        f" others {found['others_core']:.2f}:"
        f" {'sustained' if found['sustained'] else 'not sustained'}")
    return found


def job():
    names = chosen(["plimsoll", "k6", "locust"])
    results = Results("job", settings(at=500))
    for rep in range(REPS):
        for name in names:
            def highest():
                start = best_so_far(results, name, BEGIN[name])
                rate, tried = climb(COARSE, start, lambda rate: try_job(name, rate))
                return {"sustained": rate, "tried": tried}

            results.run(rep, name, highest)
        for name in names:
            results.run(rep, f"{name} at 500/s", lambda: try_job(name, 500))


# lag


def bench(name, *cores, **env):
    """What a bench of the crate prints, run on these cores."""
    command = ["cargo", "bench", "--locked", "--quiet", "--bench", name]
    if cores:
        command = pinned(cores, *command)
    env = {key: str(value) for key, value in env.items()}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT,
                          env={**os.environ, **env}, check=False)
    if done.returncode:
        raise SystemExit(f"cargo bench --bench {name}:\n{done.stderr}")
    return done.stdout


def pace(rate):
    lines = bench("pacing", 0, RATE=rate, LENGTH=LENGTH).splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    for one in found:
        say(f"  bare {one['method']} at {rate}/s: p99 {one['p99_us']} us")
    return {one["method"]: one for one in found}


def lag():
    chosen(["plimsoll"])
    bench("pacing", RATE=10, LENGTH=1)  # built before anything is measured
    results = Results("lag", settings())
    for rep in range(REPS):
        for rate in 1_000, 10_000:
            results.run(rep, f"bare at {rate}/s", lambda: pace(rate))
            results.run(rep, f"plimsoll at {rate}/s", lambda: try_job("plimsoll", rate))
        results.run(rep, "plimsoll at 10/s", lambda: try_job("plimsoll", 10))


# growth


FEW, MANY = 1_000, 1_000_000
ASKED = 2_000  # polls a second, however many works they are of


def cost_at(works):
    found, summary = hold(works, works / ASKED, ramp=max(4, works / 20_000))
    waited = summary["metrics"]["poll_wait"]["p99"] or 0
    found |= {"open": summary["ledger"]["unresolved"], "poll_wait_p99_ms": waited * 1e3}
    say(f"  {works:,} works: {found['us_per_request']:.2f} us/request at"
        f" {found['requests_per_s']:.0f}/s, poll wait p99 {waited * 1e3:.2f} ms")
    return found


def growth():
    results = Results("growth", settings())
    for rep in range(REPS):
        for works in FEW, MANY:
            results.run(rep, f"{works:,}", lambda: cost_at(works))


# memory


def memory():
    # An hour of virtual time takes minutes of a real one.
    minutes = os.environ.get("MINUTES", "10")
    results = Results("memory", {"versions": tools.versions(), "minutes": minutes})
    targets = [found["name"] for found in json.loads(
        output("cargo", "metadata", "--locked", "--no-deps", "--format-version=1").splitlines()[-1]
    )["packages"][0]["targets"] if "bench" in found["kind"]]
    for name in "memory", "million", "virtual_hour", "engine":
        if name not in targets:
            say(f"  no bench named {name} here")
            continue
        found = results.run(0, name, lambda: {"output": bench(name, MINUTES=minutes)})
        say(found["output"])


# cores


ALONE = "1 server and 1 shard on 1 core"
TWO = "2 servers and 2 shards on 2 cores"


def cores():
    if not tools.has_flag("--shards"):
        say("this plimsoll has no --shards: two shards cannot be compared with one yet")
        return
    arrangements = {
        ALONE: {"cores": (0,), "servers_on": (0,), "flags": ("--shards", "1")},
        TWO: {"cores": (0, 1), "servers_on": (0, 1), "flags": ("--shards", "2")},
    }
    results = Results("cores", settings())
    for rep in range(REPS):
        for name, where in arrangements.items():
            def highest():
                start = best_so_far(results, name, 6_310 if name == ALONE else 11_220)
                try_rate = lambda rate: try_job("plimsoll", rate, **where)  # noqa: E731
                rate, tried = climb(FINE, start, try_rate)
                held = [one for one in tried if one["rate"] == rate and one["sustained"]]
                cpu = held[-1]["submits_per_s"] / held[-1]["core"] if held else None
                return {"sustained": rate, "works_per_cpu_s": cpu, "tried": tried}

            results.run(rep, name, highest)


PARTS = {part.__name__: part for part in (request, job, lag, growth, memory, cores)}


def main():
    words = sys.argv[1:] or list(PARTS)
    for word in words:
        if word == "table":
            print(table())
        elif word == "page":
            page()
        else:
            begin = time.monotonic()
            say(f"{word}: {REPS} repetitions, {LENGTH} s each")
            PARTS[word]()
            say(f"{word}: done in {time.monotonic() - begin:.0f} s\n")


main()
