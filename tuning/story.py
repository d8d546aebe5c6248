"""What the demo tells: the report with its plots, and calls to the running services with their answers."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from raysys.dataset.build import Dataset
from raysys.evaluation.report import Section, bars, calibration, lines, write_report
from tuning.gate import Verdict
from tuning.loop import Turn
from tuning.quality import MODEL, SLICES, TASKS, Table
from tuning.stand_in import kind
from tuning.traffic import Host

CALLS, CANDIDATES = 200, 100
NOTE = (
    "The data are simulated by their publisher; nothing here is a finding about people. Values are NDCG@10,"
    " mean and standard error by household; the gain is that of raysys over the system, paired."
)


def tell(path: Path, made: Turn, verdict: Verdict) -> list[Section]:
    """Write the report, print the tables that matter, and return the report's sections."""
    print_quality(made.quality)
    print_policy(made.policy.report)
    sections = [
        *_quality(made.quality),
        _calibration(made.quality),
        *_learning(made),
        *_policy(made.policy.report),
        _gate(verdict),
    ]
    write(path, sections)
    return sections


def write(path: Path, sections: Sequence[Section]) -> None:
    """Write the report, whole or not at all."""
    write_report(path, "raysys: one turn of the loop", sections)
    print(f"report: {path}")


def latency(port: int, data: Dataset, before_ms: int) -> Section:
    """How long the services take here and now, seen by a client on this machine."""
    host = Host(port)
    user, leaf, items = _somebody(data, before_ms)
    more = [item.item_id for item in data.items[: CANDIDATES - len(items)]]
    candidates = [{"item_id": item} for item in dict.fromkeys([*items, *more])]
    bodies = {
        "/rank": {"user_id": user, "query": leaf, "candidates": candidates, "length": 10},
        "/feed": {"user_id": user, "length": 10},
    }
    sorted_ms: dict[str, list[float]] = {}
    for path, body in bodies.items():
        taken = []
        for _ in range(CALLS):
            begun = time.perf_counter()
            host.post(path, body)
            taken.append((time.perf_counter() - begun) * 1000)
        sorted_ms[path] = sorted(taken)
    rows = [(path, ms[CALLS // 2], ms[CALLS * 95 // 100], ms[-1]) for path, ms in sorted_ms.items()]
    return Section(
        title="Latency",
        text=f"{CALLS} calls one after the other, {len(candidates)} candidates for /rank, from this machine.",
        head=("path", "median ms", "95 % ms", "slowest ms"),
        rows=rows,
        png=lines(sorted_ms, across="call, fastest first", unit="ms"),
    )


def print_quality(table: Table) -> None:
    """Held-out quality beside every simple system."""
    print(f"\n{'task':<16} {'system':<16} {'NDCG@10':>17} {'gain of raysys':>19}")
    for task, system, mean, error, gain, gain_error in table.rows():
        beside = "" if system == MODEL else f"{gain:+.4f} ± {gain_error:.4f}"
        print(f"{task:<16} {system:<16} {mean:>8.4f} ± {error:.4f} {beside:>19}")
    print(f"taken of what recall proposed: {table.prob.sum():.0f} expected, {table.done.sum()} came")
    print("share of the truth that recall proposes:", {k: round(v, 3) for k, v in table.coverage.items()})


def print_policy(report: Mapping[str, Any]) -> None:
    """Head-room first, then the policy beside the best constant profile."""
    print(f"\nhead-room of choosing by segment: {_plain(report['head_room'])}")
    for row in report["judged"]:
        print(f"policy beside the best constant profile, {row['name']}: {_plain(row)}")
    print(f"released: the {report['released']} policy")


def _plain(row: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.items()
        if name != "name"
    )


def _quality(table: Table) -> list[Section]:
    sections = [Section(title="Held-out quality", text=NOTE)]
    for task in (*TASKS, *SLICES):
        if task not in table.users:
            continue
        systems = table.systems(task)
        means = [table.mean(task, system) for system in systems]
        gains = [table.gain(task, system) for system in systems]
        rows = [
            (system, mean[0], mean[1], gain[0], gain[1])
            for system, mean, gain in zip(systems, means, gains, strict=True)
        ]
        plot = bars(systems, [mean[0] for mean in means], [mean[1] for mean in means], unit="NDCG@10")
        head = ("system", "NDCG@10", "error", "gain of raysys", "error")
        sections.append(Section(title=f"Quality: {task}", head=head, rows=rows, png=plot))
    return sections


def _calibration(table: Table) -> Section:
    expected, came = float(table.prob.sum()), int(table.done.sum())
    return Section(
        title="Calibration of the interest model",
        text=f"Of what recall proposed, {expected:.0f} were expected to be taken in the window, {came} were.",
        png=calibration(table.prob, table.done),
    )


def _learning(made: Turn) -> list[Section]:
    trials = made.network.trials
    curves = {f"trial {n}": trial["curves"].get("ndcg", []) for n, trial in enumerate(trials)}
    rows = [
        (f"trial {n}", max(trial["curves"].get("ndcg", [0.0]), default=0.0), json.dumps(trial["settings"]))
        for n, trial in enumerate(trials)
    ]
    contests = [
        (contest.kind, name, loss)
        for contest in made.fitted.contests
        for name, loss in contest.log_loss.items()
    ]
    return [
        Section(
            title="The network's trials",
            text="NDCG@10 of the network alone on days held out, by epoch.",
            head=("trial", "best", "settings"),
            rows=rows,
            png=lines(curves, across="epoch", unit="NDCG@10"),
        ),
        Section(
            title="Whether the network's score is heard",
            text="Mean NDCG@10 of the tasks in the tuning weeks; else the network only recalls.",
            head=("way", "NDCG@10"),
            rows=list(made.tried.items()),
        ),
        Section(
            title="The last step of the interest model",
            text="Log loss of the competitors on people held out.",
            head=("kind", "competitor", "log loss"),
            rows=contests,
        ),
    ]


def _policy(report: Mapping[str, Any]) -> list[Section]:
    curve = {"gain": [point["gain"] for point in report["curve"]]}
    head = ("name", *(name for name in report["judged"][0] if name != "name"))
    rows = [tuple(row[name] for name in head) for row in report["judged"]]
    return [
        Section(title="Assumptions of the simulator", text="; ".join(report["assumptions"])),
        Section(
            title="Fidelity of the simulator",
            text="On people held out, before anything is learned in it.",
            head=tuple(f"{n}" for n in range(len(report["fidelity"][0]))),
            rows=report["fidelity"],
        ),
        Section(title="Head-room", text=_plain(report["head_room"])),
        Section(
            title=f"Learning which profile to choose ({report['algorithm']})",
            text="Share gained over the best constant profile while learning, on the people learned from.",
            png=lines(curve, across="iteration", unit="share gained"),
        ),
        Section(
            title="The policy beside the best constant profile",
            text="Share gained, with its 95 % interval, as learned, and with one assumption changed.",
            png=bars(
                [row["name"] for row in report["judged"]],
                [row["gain"] for row in report["judged"]],
                [(row["high"] - row["low"]) / 2 for row in report["judged"]],
                unit="share gained",
            ),
        ),
        Section(
            title="The policy on people held out",
            text=f"Released: {report['released']}.",
            head=head,
            rows=rows,
        ),
    ]


def _gate(verdict: Verdict) -> Section:
    head = ("metric", "value", "against", "bar", "passed")
    rows = [(line.name, line.value, line.against, line.bar, line.passed) for line in verdict.lines]
    return Section(title=f"Gate: {verdict.kind}", text=verdict.reason, head=head, rows=rows)


def example_calls(port: int, data: Dataset, before_ms: int) -> None:
    """Call every surface, print question and answer, and show what one event changes."""
    host = Host(port)
    titles = {item.item_id: item.title for item in data.items}
    user, leaf, items = _somebody(data, before_ms)
    candidates = [{"item_id": item} for item in items]
    asked = {
        "user_id": user,
        "query": leaf,
        "candidates": candidates,
        "length": 3,
        "explain": True,
        "weight": 0.8,
    }
    _show(host, port, "/rank", asked, titles)
    _show(host, port, "/feed", {"user_id": user, "length": 3}, titles)
    _show(host, port, "/ads/decide", {"user_id": user, "placements": [{"placement_id": "top"}]}, titles)
    # one query id, so that the draw has the same chances before and after
    whole = asked | {"query_id": f"before-and-after-{time.time_ns()}", "length": len(items), "explain": False}
    before = [item["item_id"] for item in host.post("/rank", whole)["items"]]
    last = before[-1]
    now = time.time_ns() // 1_000_000
    deed = {"type": "interaction", "kind": "purchase", "item_id": last, "user_id": user, "time_ms": now}
    print(f"\nOne event: {user} buys {titles.get(last)!r}, which stood last, at position {len(before)}.")
    _show(host, port, "/events", deed, titles)
    after = [item["item_id"] for item in host.post("/rank", whole)["items"]]
    print(f"In the very next answer it stands at position {after.index(last) + 1}.")
    print(f"\nThe services stay up at http://127.0.0.1:{port} (see /openapi.json); `make stop` ends them.")


def _somebody(data: Dataset, before_ms: int) -> tuple[str, str, list[str]]:
    """Somebody with a history, a leaf that they buy from, and 12 of its items."""
    frame = data.interactions.filter(pl.col("time_ms") < before_ms)
    user = frame["user"].value_counts(sort=True)["user"][len(frame["user"].unique()) // 2]
    leaves = {item.item_id: kind(item.category or "") for item in data.items}
    mine = Counter(leaves[item] for item in frame.filter(pl.col("user") == user)["item"].to_list())
    sizes = Counter(leaves.values())
    leaf = next((name for name, _ in mine.most_common() if sizes[name] >= 12), mine.most_common(1)[0][0])
    return user.removeprefix("u:"), leaf, [item for item, name in leaves.items() if name == leaf][:12]


def _show(host: Host, port: int, path: str, body: Any, titles: Mapping[str, str | None]) -> dict[str, Any]:
    answer = host.post(path, body)
    print(f"\ncurl -s http://127.0.0.1:{port}{path} -d '{_short(json.dumps(body))}'")
    items = answer.get("items") or [ad for place in answer.get("placements", ()) for ad in place["items"]]
    if not items:
        print("  ", _short(json.dumps(answer)))
    for item in items:
        name = titles.get(item.get("item_id") or "", "")
        print(f"   {item.get('item_id') or item.get('ad_id')}  {item.get('score', 0.0):7.3f}  {name}")
        for reason in item.get("reasons", ())[:3]:
            print(f"        {reason['value']:+7.3f}  {reason['text']}")
    return answer


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
