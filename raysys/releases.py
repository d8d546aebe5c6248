"""Released bundles in a folder: which one is current, and which were before it."""

import json
import os
from pathlib import Path
from typing import Any

from raysys.bundle import Bundle, check_files, read_manifest
from raysys.errors import BundleError, ConfigError

CURRENT = "current.json"
"""Names the released bundle in a folder of bundles, and those before it, latest first."""
REMEMBERED = 20
"""How many earlier bundles `current.json` names."""


def publish(bundle: Bundle, folder: Path) -> Path:
    """Save `bundle` as `folder/ID` and point `current.json` at it, in that order."""
    draft = folder / f"draft-{os.getpid()}"
    saved = bundle.save(draft)
    path = folder / saved.id
    if path.exists():
        raise BundleError(f"{path} exists and a bundle is never overwritten; remove {draft}")
    draft.rename(path)
    known = _known(folder)
    _point(folder, [saved.id, *known])
    return path


def current(folder: Path) -> Path | None:
    """The released bundle of `folder`, None before the first release."""
    known = _known(folder)
    if not known:
        return None
    path = folder / known[0]
    read_manifest(path)
    return path


def previous(folder: Path) -> list[str]:
    """Ids of the bundles that were current before, latest first."""
    return _known(folder)[1:]


def rollback(folder: Path) -> tuple[Path, Path]:
    """Point `current.json` at the latest earlier bundle that is still whole: (old, new).

    The bundle that is left is forgotten, so that rolling back twice goes back twice.

    Raises:
        BundleError: there is no earlier bundle, or none that is whole; says what is wrong with each.
    """
    known = _known(folder)
    if not known:
        raise BundleError(f"nothing is released in {folder}; there is nothing to roll back")
    faults = []
    for place, name in enumerate(known[1:], start=1):
        try:
            check_files(folder / name, read_manifest(folder / name))
        except BundleError as error:
            faults.append(str(error))
            continue
        _point(folder, known[place:])
        return folder / known[0], folder / name
    told = f": {'; '.join(faults)}" if faults else ""
    raise BundleError(f"bundle {known[0]} has no earlier one to go back to{told}")


def metrics_of(path: Path) -> dict[str, Any]:
    """Metrics in a released bundle's manifest, by name."""
    metrics: dict[str, Any] = read_manifest(path).get("metrics", {})
    return metrics


def _known(folder: Path) -> list[str]:
    """Ids of the current bundle and those before it; none before the first release."""
    try:
        table = json.loads((folder / CURRENT).read_text())
        return [str(table["bundle"]), *map(str, table.get("previous", []))]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{folder / CURRENT}: {error}; expected a bundle's id under `bundle`") from error


def _point(folder: Path, known: list[str]) -> None:
    """Name the current bundle and those before it, at once or not at all."""
    note = folder / f".{CURRENT}.{os.getpid()}.tmp"
    note.write_text(json.dumps({"bundle": known[0], "previous": known[1 : REMEMBERED + 1]}))
    note.replace(folder / CURRENT)
