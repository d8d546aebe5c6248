"""From parts to a released bundle: assemble, pass the gate, publish."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from raysys.bundle import Bundle, read_manifest
from raysys.counterfactual import compare
from raysys.dataset.logged import rewards_of
from raysys.dataset.read import Read, read, together
from raysys.errors import RaysysError
from raysys.evaluation.estimate import Estimate
from raysys.log import read_records
from raysys.releases import current, metrics_of, previous, publish
from raysys.replay import Replayer
from tuning.gate import Quality, Verdict, judge

WORTH = {"click": 0.1, "purchase": 1.0}
"""What an interaction is worth where nobody says otherwise."""


def policy_difference(
    bundle: Bundle, released: Bundle, records: Path, events: Read, worth: Mapping[str, float] = WORTH
) -> Estimate | None:
    """Reward per ranking of `bundle`'s policy minus that of the one which served and logged.

    It judges the policy on the signals as they were logged: what a new interest model sees better is
    not in it. Support is left to the gate. None if the policy is the same or nothing was logged.

    Args:
        records: folder of ranking records.
        events: impressions and interactions that name their queries.
    """
    if bundle.policy.id == released.policy.id:
        return None
    outcomes = rewards_of(read_records(records), events)
    served = any(record.bundle_id == released.id for record in outcomes.records)
    if not served:
        return None
    after = Replayer(bundle, logged_in=released.signals)
    return compare(outcomes, outcomes.reward(worth), Replayer(released), after).difference(check=False)


def release(
    bundle: Bundle, qualities: Sequence[Quality], verdict: Verdict, folder: Path, *, force: bool = False
) -> Path | None:
    """Save `bundle` under `folder` and make it current if the gate lets it; None if refused."""
    if not (verdict.passed or force):
        return None
    metrics = {
        q.name: {"value": q.value, "low": q.low, "high": q.high, "baselines": dict(q.baselines)}
        for q in qualities
    }
    gate = {
        "kind": verdict.kind,
        "passed": verdict.passed,
        "forced": force and not verdict.passed,
        "reason": verdict.reason,
        "lines": [asdict(line) for line in verdict.lines],
        "difference": verdict.difference and asdict(verdict.difference),
    }
    told = replace(bundle, manifest={**bundle.manifest, "metrics": metrics, "gate": gate})
    return publish(told, folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it did what was asked, 1 if the gate refused, 2 if it could not run."""
    parser = argparse.ArgumentParser(prog="python -m tuning.release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    submit = commands.add_parser("submit", help="put a saved bundle through the gate and release it")
    submit.add_argument("draft", type=Path, help="the bundle, with its metrics in the manifest")
    submit.add_argument("--bundles", type=Path, required=True, help="the folder of released bundles")
    submit.add_argument("--records", type=Path, help="the folder of ranking records")
    submit.add_argument("--events", type=Path, nargs="+", default=[], help="impressions and interactions")
    submit.add_argument("--force", action="store_true", help="release anyway; the manifest remembers")
    submit.set_defaults(run=_submit)
    show = commands.add_parser("show", help="say which bundle is released, why, and which were before it")
    show.add_argument("bundles", type=Path, help="the folder of released bundles")
    show.set_defaults(run=_show)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except RaysysError as error:
        print(f"release: {error}", file=sys.stderr)
        return 2


def _submit(options: argparse.Namespace) -> int:
    draft, path = Bundle.load(options.draft), current(options.bundles)
    metrics = metrics_of(options.draft)
    qualities = [Quality(name=name, **told) for name, told in metrics.items()]
    released, difference = None, None
    if path is not None:
        released = {name: float(told["value"]) for name, told in metrics_of(path).items()}
        if options.records is not None:
            events = together(read(options.events, now_ms=int(time.time() * 1000)))
            difference = policy_difference(draft, Bundle.load(path), options.records, events)
    verdict = judge(qualities, released, difference)
    print(verdict.table())
    done = release(draft, qualities, verdict, options.bundles, force=options.force)
    if done is None:
        return 1
    print(f"current: {done.name}{'' if verdict.passed else ' (forced)'}")
    return 0


def _show(options: argparse.Namespace) -> int:
    path = current(options.bundles)
    if path is None:
        print(f"nothing is released in {options.bundles}")
        return 1
    manifest = read_manifest(path)
    print(f"current: {path.name}, policy {manifest['policy_id']}")
    for name, told in metrics_of(path).items():
        print(f"  {name}: {told['value']:.4f} [{told['low']:.4f}, {told['high']:.4f}]")
    if gate := manifest.get("gate"):
        print(f"  gate {gate['kind']}{' (forced)' if gate['forced'] else ''}: {gate['reason']}")
    for name in previous(options.bundles):
        print(f"before: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
