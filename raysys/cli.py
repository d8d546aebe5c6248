"""The command `raysys`: check a file of events before training, or forget a user."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from raysys.errors import RaysysError


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
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except RaysysError as error:
        print(f"raysys: {error}", file=sys.stderr)
        return 2


def _check(options: argparse.Namespace) -> int:
    from raysys.dataset.build import build
    from raysys.dataset.mapping import Mapping
    from raysys.dataset.read import read

    mapping = None if options.mapping is None else Mapping.read(options.mapping)
    chunks = list(read(options.files, mapping, now_ms=int(time.time() * 1000)))
    refused = [refusal for chunk in chunks for refusal in chunk.refused]
    for refusal in refused[:20]:
        print(f"{refusal.source}:{refusal.line}: {refusal.reason}")
    if len(refused) > 20:
        print(f"... and {len(refused) - 20} more")
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


if __name__ == "__main__":
    sys.exit(main())
