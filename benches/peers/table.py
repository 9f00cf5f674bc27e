"""What was measured, as Markdown; and the page that holds it. No figure is typed by hand."""

import json
import re

from measure import RESULTS, ROOT, figures, median

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def load(part):
    path = RESULTS / f"{part}.json"
    return json.loads(path.read_text()) if path.exists() else None


def spread(values, form="{:,.2f}"):
    """Median, and the least and the most if there are several."""
    if not values:
        return "-"
    middle, low, high = (form.format(value) for value in (median(values), min(values), max(values)))
    return middle if len(values) == 1 else f"{middle} [{low}..{high}]"


def of(runs, name, key, form="{:,.2f}", scale=1):
    return spread([value * scale for value in figures(runs, name, key)], form)


def ratio(runs, upper, lower, key, form="{:.2f}"):
    """One tool's value by another's, within each repetition."""
    def by_rep(name):
        return {run["rep"]: run[key] for run in runs if run["name"] == name and run.get(key)}

    above, below = by_rep(upper), by_rep(lower)
    return spread([above[rep] / below[rep] for rep in sorted(above) if rep in below], form)


def rows(head, lines):
    rule = "|" + "---|" * len(head)
    return "\n".join(["| " + " | ".join(head) + " |", rule]
                     + ["| " + " | ".join(map(str, line)) + " |" for line in lines])


def unless_sustained(runs, name):
    """What has to be said beside the figures of a rate that the tool did not sustain."""
    verdicts = figures(runs, name, "sustained")
    failed = len(verdicts) - sum(verdicts)
    return f" (not sustained in {failed} of {len(verdicts)})" if failed else ""


def names_of(runs):
    return list(dict.fromkeys(run["name"] for run in runs))


def everything(runs):
    """The runs, and every rung of their ladders."""
    for run in runs:
        yield run
        yield from run.get("tried", [])


def origin(data):
    """Where a part was measured, and with what."""
    machine, runs = data["machine"], data["runs"]
    reps = 1 + max((run["rep"] for run in runs), default=-1)
    length = data["settings"].get("seconds")
    others = [run["others_core"] for run in everything(runs) if "others_core" in run]
    state = "" if machine["clean"] else ", with changes that were not committed"
    text = (
        f"{data['started_at']}, commit {machine['commit']}{state}; {machine['cpu']},"
        f" {machine['cores']} cores; Linux {machine['kernel']}; {machine['rustc']}."
        f" {reps} repetitions" + (f" of runs of {length} s" if length else "") + "."
    )
    if others:
        text += (f" The rest of the machine took {median(others):.2f} of a core in the median run,"
                 f" {max(others):.2f} at most.")
    found = ", ".join(f"{name} {version}" for name, version in data["settings"]["versions"].items())
    return f"{text}\n{found}."


def request(data):
    runs, lines = data["runs"], []
    for name in names_of(runs):
        per_core = [1e6 / value for value in figures(runs, name, "us_per_request")]
        lines.append([
            name, of(runs, name, "us_per_request"), of(runs, name, "user_us_per_request"),
            spread(per_core, "{:,.0f}"), of(runs, name, "requests_per_s", "{:,.0f}"),
            of(runs, name, "server_core"),
            "1" if name == "plimsoll" else ratio(runs, "plimsoll", name, "us_per_request"),
        ])
    head = ["tool", "CPU us/request", "of it in user mode", "requests/s a core", "requests/s",
            "server, of a core", "Plimsoll / tool"]
    return rows(head, lines)


def job(data):
    runs, lines = data["runs"], []
    tools = [name for name in names_of(runs) if " at " not in name]
    for name in tools:
        cost = f"{name} at 500/s"
        same = name == "plimsoll"
        lines.append([
            name, of(runs, name, "sustained", "{:,.0f}"),
            "1" if same else ratio(runs, "plimsoll", name, "sustained", "{:.1f}"),
            of(runs, cost, "us_per_work", "{:,.0f}") + unless_sustained(runs, cost),
            "1" if same else ratio(runs, "plimsoll at 500/s", cost, "us_per_work"),
            of(runs, cost, "lag_p99_ms"), of(runs, cost, "excess_p99_ms"),
            of(runs, cost, "peak_memory_mb", "{:,.0f}"),
        ])
    head = ["tool", "sustained works/s", "Plimsoll / tool", "CPU us/work at 500/s",
            "Plimsoll / tool", "lag p99 ms", "excess p99 ms", "peak memory MB"]
    text = rows(head, lines)
    held = [one for run in runs for one in run.get("tried", ())
            if run["name"] == "plimsoll" and one["sustained"] and one["rate"] == run["sustained"]]
    if held:
        rate = of(runs, "plimsoll", "sustained", "{:,.0f}")
        full = spread([one["server_core"] for one in held])
        own = spread([one["core"] for one in held])
        text += (f"\n\nThe next rung of the ladder is a quarter higher. At Plimsoll's highest rate,"
                 f" {rate} works/s, the server took {full} of its core and the client {own}.")
    refused = {one["refused"].splitlines()[0] for one in everything(runs) if one.get("refused")}
    return text + "".join(f"\n\nNot begun: {why}" for why in sorted(refused))


def lag(data):
    runs, lines = data["runs"], []
    for rate in 1_000, 10_000:
        for method, words in ("timerfd", "bare loop, timerfd"), ("sleep", "bare loop, tokio sleep"):
            found = [run[method] for run in runs if run["name"] == f"bare at {rate}/s"]
            p50, p99, core = (
                spread([one[key] for one in found], form)
                for key, form in (("p50_us", "{:,.0f}"), ("p99_us", "{:,.0f}"), ("core", "{:.2f}"))
            )
            lines.append([words, f"{rate:,}", p50, p99, core, "-", "-"])
        name = f"plimsoll at {rate}/s"
        lines.append([
            f"Plimsoll, the whole job{unless_sustained(runs, name)}", f"{rate:,}",
            of(runs, name, "schedule_lag_p50_us", "{:,.0f}"),
            of(runs, name, "schedule_lag_p99_us", "{:,.0f}"), of(runs, name, "core"),
            of(runs, name, "poll_wait_p99_us", "{:,.0f}"), of(runs, name, "excess_p99_ms"),
        ])
    head = ["who", "rate /s", "lag p50 us", "lag p99 us", "of a core", "poll wait p99 us",
            "excess p99 ms"]
    idle = of(runs, "plimsoll at 10/s", "core", "{:.2f} %", 100)
    return rows(head, lines) + f"\n\nA run at 10 works/s takes {idle} of a core."


def growth(data):
    runs = data["runs"]
    names = names_of(runs)
    lines = [[name, of(runs, name, "us_per_request"), of(runs, name, "user_us_per_request"),
              of(runs, name, "poll_wait_p99_ms")] for name in names]
    head = ["works open", "CPU us/poll", "of it in user mode", "poll wait p99 ms"]
    text = rows(head, lines)
    if len(names) == 2:
        whole, user = (ratio(runs, names[1], names[0], key)
                       for key in ("us_per_request", "user_us_per_request"))
        text += f"\n\nMany by few: {whole} times the CPU of a poll, {user} times its user mode."
    return text


def memory(data):
    text = []
    for run in data["runs"]:
        lines = [line for line in run["output"].splitlines() if line.strip()]
        shown = "\n".join(re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in lines)
        text.append(f"`cargo bench --bench {run['name']}`:\n\n```\n{shown}\n```")
    return "\n\n".join(text)


def cores(data):
    runs = data["runs"]
    names = names_of(runs)
    lines = [[name, of(runs, name, "sustained", "{:,.0f}"),
              of(runs, name, "works_per_cpu_s", "{:,.0f}")] for name in names]
    text = rows(["arrangement", "sustained works/s", "works a CPU second of the client"], lines)
    if len(names) == 2:
        rate, cost = (ratio(runs, names[1], names[0], key)
                      for key in ("sustained", "works_per_cpu_s"))
        text += f"\n\nTwo by one: {rate} times the rate, {cost} times the works a CPU second."
    return text


TITLES = {
    request: "A request",
    job: "The job",
    lag: "Lateness",
    growth: "Growth",
    memory: "Memory, and the parts alone",
    cores: "Two cores",
}


def table():
    """All parts that were measured."""
    text = []
    for part, title in TITLES.items():
        data = load(part.__name__)
        body = f"{part(data)}\n\n{origin(data)}" if data else "Not measured yet."
        text.append(f"### {title}\n\n{body}")
    return "\n\n".join(text)


def page():
    """Puts the tables between the marks of the page."""
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")
