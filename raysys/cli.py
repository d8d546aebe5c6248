"""The command `raysys`: check files, replay what was served, ask what if, roll back, forget a user."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raysys.errors import ConfigError, DataError, RaysysError
from raysys.log import RankingRecord, read_records

if TYPE_CHECKING:
    from raysys.replay import Replayer

SHOWN = 20
"""Lines of one kind that a command prints before it says how many more there are."""
MOVERS = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if all is well, 1 if something was found, 2 if it could not run."""
    parser = argparse.ArgumentParser(prog="raysys", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="say what is wrong with files of events")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    check.add_argument("--mapping", type=Path, help="TOML file that names other people's columns")
    check.add_argument("--quarantine", type=Path, help="where to write the refused rows")
    check.set_defaults(run=_check)
    forget = commands.add_parser("forget", help="delete everything kept of a user")
    forget.add_argument("user_id")
    forget.add_argument("--state", required=True, help="the state store, as in the deployment's YAML")
    forget.add_argument("--records", type=Path, help="the folder of ranking records, as in the YAML")
    forget.set_defaults(run=_forget)
    _add_replay(commands)
    _add_whatif(commands)
    back = commands.add_parser("rollback", help="go back to the previous bundle that is whole")
    back.add_argument("bundles", type=Path, help="the folder of released bundles")
    back.set_defaults(run=_rollback)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except RaysysError as error:
        print(f"raysys: {error}", file=sys.stderr)
        return 2


def _add_replay(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("replay", help="rank again what was logged, and compare to the last bit")
    _add_log(command)
    command.set_defaults(run=_replay)


def _add_whatif(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("whatif", help="how logged rankings would change with other weights")
    _add_log(command)
    command.add_argument(
        "--set", type=_named, action="append", default=[], metavar="SIGNAL=WEIGHT", help="in every profile"
    )
    command.add_argument("--dial", type=float, help="from the engine's order (0) to the person (1)")
    command.add_argument("--events", type=Path, nargs="+", help="files of impressions and interactions")
    command.add_argument(
        "--reward", type=_named, action="append", default=[], metavar="KIND=WORTH", help="default: click=1"
    )
    command.set_defaults(run=_whatif)


def _add_log(command: argparse.ArgumentParser) -> None:
    command.add_argument("records", type=Path, help="the folder of ranking records")
    command.add_argument("--bundle", type=Path, required=True, help="the bundle that served them")
    command.add_argument("--seed", type=int, default=0, help="the replicas' seed")


def _named(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no name=number") from error


def _check(options: argparse.Namespace) -> int:
    from raysys.dataset.build import build
    from raysys.dataset.mapping import Mapping
    from raysys.dataset.read import read

    mapping = None if options.mapping is None else Mapping.read(options.mapping)
    chunks = list(read(options.files, mapping, now_ms=int(time.time() * 1000)))
    refused = [refusal for chunk in chunks for refusal in chunk.refused]
    for refusal in refused[:SHOWN]:
        print(f"{refusal.source}:{refusal.line}: {refusal.reason}")
    if len(refused) > SHOWN:
        print(f"... and {len(refused) - SHOWN} more")
    report = build(chunks, quarantine=options.quarantine).report
    for name, value in report.items():
        print(f"{name:>16}  {value}")
    return 1 if refused or not report["interactions"] else 0


def _forget(options: argparse.Namespace) -> int:
    from raysys.state.forget import forget_everywhere
    from raysys.state.open import open_store

    store = open_store(options.state)
    try:
        gone = forget_everywhere(store, options.records, options.user_id, int(time.time() * 1000))
        for name, count in gone.items():
            print(f"{name:>16}  {count}")
    finally:
        store.close()
    return 0


def _records(folder: Path) -> Iterator[RankingRecord]:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; name the one that holds the ranking records")
    return read_records(folder)


def _replay(options: argparse.Namespace) -> int:
    from raysys.bundle import Bundle
    from raysys.replay import Replayer, replay

    report = replay(_records(options.records), Replayer(Bundle.load(options.bundle), seed=options.seed))
    for difference in report.differences[:SHOWN]:
        print(difference)
    if len(report.differences) > SHOWN:
        print(f"... and {len(report.differences) - SHOWN} more")
    print(f"{report.equal} of {report.rankings} rankings are equal to the last bit", end="")
    print(f", {report.orders} in their order")
    for reason, count in sorted(report.skipped.items()):
        print(f"not replayed: {count} ({reason})")
    return 0 if report.rankings and report.equal == report.rankings else 1


def _whatif(options: argparse.Namespace) -> int:
    from raysys.bundle import Bundle
    from raysys.replay import Replayer
    from raysys.whatif import altered, what_if

    if not options.set and options.dial is None:
        raise ConfigError("nothing would change; give --set SIGNAL=WEIGHT, --dial, or both")
    if options.dial is not None and not 0.0 <= options.dial <= 1.0:
        raise ConfigError(f"dial is {options.dial}, expected a number from 0 to 1")
    bundle = Bundle.load(options.bundle)
    before = Replayer(bundle, seed=options.seed)
    after = Replayer(altered(bundle, dict(options.set)), seed=options.seed, dial=options.dial)
    found = what_if(_records(options.records), before, after)
    print(f"rankings              {found.rankings} ({found.skipped.total()} skipped)")
    print(f"changed               {found.changed} in their first 10 positions")
    print(f"mean overlap@10       {found.overlap:.3f}")
    print(f"utility looked at     {found.utility[0]:.4f} -> {found.utility[1]:.4f}, as the bundle values it")
    print("items that gain or lose most attention")
    for item, gain in found.moved[:MOVERS]:
        print(f"  {item:<30} {gain:+.2f}")
    for field, rows in found.exposure.items():
        print(f"share of attention by {field}")
        for value, old, new in rows[:MOVERS]:
            print(f"  {value:<30} {old:7.2%} -> {new:7.2%}")
    if options.events:
        _print_difference(options, before, after)
    return 0


def _print_difference(options: argparse.Namespace, before: "Replayer", after: "Replayer") -> None:
    """What the change would have been worth where impressions are known, or why nobody can say."""
    from raysys.counterfactual import compare
    from raysys.dataset.logged import rewards_of
    from raysys.dataset.read import read, together

    events = together(read(options.events, now_ms=int(time.time() * 1000)))
    outcomes = rewards_of(_records(options.records), events)
    worth = dict(options.reward) or {"click": 1.0}
    try:
        found = compare(outcomes, outcomes.reward(worth), before, after)
        print(f"reward as served      {found.logged_value()}")
        for reason, count in sorted(found.left_out.items()):
            print(f"left out: {count} {reason}")
        print(f"overlap of policies   {found.support.overlap:.3f}")
        print(f"difference            {found.difference()}")
    except DataError as error:
        print(f"difference            refused: {error}")


def _rollback(options: argparse.Namespace) -> int:
    from raysys.releases import rollback

    old, new = rollback(options.bundles)
    print(f"was: {old.name}\nis:  {new.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
