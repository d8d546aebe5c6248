"""The bundle: the unit of release, a folder that vouches for itself and runs no code when read."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from raysys.catalog import Catalog
from raysys.errors import BundleError, ConfigError
from raysys.signals import SIGNALS, SignalConstants
from raysys.surfaces.experts import Chooser, Classes, CrossEncoder, Encoder, Interest, Relevance, Response
from raysys.surfaces.settings import Settings

FORMAT = 1
MANIFEST = "manifest.json"


def _interest(folder: Path) -> Interest:
    from raysys.interest.scorer import InterestScorer

    return InterestScorer.load(folder)


def _relevance(folder: Path) -> Relevance:
    from raysys.relevance.scorer import RelevanceScorer

    return RelevanceScorer.load(folder)


def _policy(folder: Path) -> Chooser:
    from raysys.policy.scorer import Policy

    return Policy.load(folder)


def _encoder(folder: Path) -> Encoder:
    from raysys.text.static import load_encoder

    return load_encoder(folder)


def _cross_encoder(folder: Path) -> CrossEncoder:
    from raysys.text.cross_encoder import CrossEncoder

    return CrossEncoder.load(folder)


def _classes(folder: Path) -> Classes:
    from raysys.text.keywords import QueryClasses

    return QueryClasses.load(folder)


def _response(folder: Path) -> Response:
    from raysys.ads.scorer import ResponseScorer

    return ResponseScorer.load(folder)


READERS: Mapping[str, Callable[[Path], Any]] = {
    "interest": _interest,
    "relevance": _relevance,
    "policy": _policy,
    "encoder": _encoder,
    "cross_encoder": _cross_encoder,
    "classes": _classes,
    "response": _response,
}
"""How each part is read; an import happens only for parts that a bundle has."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What `tuning.release` writes and every deployment loads. A part that is None is done without."""

    catalog: Catalog
    policy: Chooser
    signals: SignalConstants = field(default_factory=SignalConstants.default)
    interest: Interest | None = None
    relevance: Relevance | None = None
    encoder: Encoder | None = None
    cross_encoder: CrossEncoder | None = None
    classes: Classes | None = None
    response: Response | None = None
    settings: Settings = field(default_factory=Settings)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """Before saving what the maker tells (`data`, `network`, `metrics`); afterwards the whole manifest."""
    id: str = "unsaved"

    def __post_init__(self) -> None:
        if self.signals.names != SIGNALS:
            raise BundleError(
                f"bundle {self.id} was made for the signals {self.signals.names}, this version"
                f" of raysys has {SIGNALS}; build the bundle again"
            )
        if self.policy.signals != SIGNALS:
            raise BundleError(
                f"bundle {self.id}: its policy weighs the signals {self.policy.signals}, expected {SIGNALS};"
                " learn the policy again"
            )

    def save(self, path: Path, *, time_ms: int | None = None) -> "Bundle":
        """Write the bundle to `path`, which must not exist yet, and return it with its id and manifest.

        A reader sees either no folder or a complete one.
        """
        if path.exists():
            raise BundleError(f"{path} exists and a bundle is never overwritten; choose another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.parent / f".{path.name}.{os.getpid()}.tmp"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            self._write(draft)
            manifest = self._manifest(draft, int(time.time() * 1000) if time_ms is None else time_ms)
            (draft / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
            _sync(draft)
            draft.rename(path)
        except OSError as error:
            raise BundleError(f"bundle {path} could not be written: {error}") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return replace(self, id=manifest["id"], manifest=manifest)

    def _write(self, folder: Path) -> None:
        self.catalog.save(folder / "catalog")
        self.signals.save(folder)
        settings = msgspec.json.encode(self.settings.table())
        (folder / "settings.json").write_bytes(msgspec.json.format(settings))
        for name in READERS:
            if (part := getattr(self, name)) is not None:
                part.save(folder / name)

    def _manifest(self, folder: Path, time_ms: int) -> dict[str, Any]:
        """The manifest of a written folder; its id is its time and the start of its own hash."""
        told = {k: v for k, v in self.manifest.items() if k not in ("id", "files", "format")}
        manifest = {
            **told,
            "format": FORMAT,
            "time_ms": time_ms,
            "policy_id": self.policy.id,
            "files": {name: _sha256(folder / name) for name in _files(folder)},
        }
        digest = hashlib.sha256(msgspec.json.encode(manifest, order="deterministic")).hexdigest()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time_ms / 1000))
        return {"id": f"{stamp}-{digest[:8]}", **manifest}

    @classmethod
    def load(
        cls, path: Path, *, verify: bool = True, readers: Mapping[str, Callable[[Path], Any]] = READERS
    ) -> "Bundle":
        """Read a bundle, checking every file against the manifest first.

        Args:
            path: the bundle's folder.
            verify: False only where this machine has checked the same folder before.
            readers: how each part is read.

        Raises:
            BundleError: says which file is absent or changed.
        """
        path = Path(path)
        manifest = read_manifest(path)
        if verify:
            check_files(path, manifest)
        try:
            settings = Settings.parse(msgspec.json.decode((path / "settings.json").read_bytes()))
        except (OSError, msgspec.DecodeError, ConfigError) as error:
            raise BundleError(f"bundle {manifest['id']}: settings.json: {error}") from error
        return cls(
            id=manifest["id"],
            catalog=Catalog.load(path / "catalog"),
            signals=SignalConstants.load(path),
            settings=settings,
            manifest=manifest,
            **{name: _read(path, name, read) for name, read in readers.items() if (path / name).is_dir()},
        )


def _read(path: Path, name: str, read: Callable[[Path], Any]) -> Any:
    """One part of a bundle; whatever is wrong with its files is the bundle's fault."""
    try:
        return read(path / name)
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise BundleError(f"{path}: {name} cannot be read: {error!r}; build the bundle again") from error


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the bundle at `path`, of a format that this version reads."""
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise BundleError(f"{path} is no bundle: {error}") from error
    except msgspec.DecodeError as error:
        raise BundleError(f"{path}/{MANIFEST}: {error}; copy or build the bundle again") from error
    if manifest.get("format") != FORMAT or not {"id", "files"} <= set(manifest):
        raise BundleError(f"{path} has format {manifest.get('format')!r}, this raysys reads format {FORMAT}")
    return manifest


def check_files(path: Path, manifest: Mapping[str, Any]) -> None:
    """Raise `BundleError` unless the folder holds exactly what the manifest says."""
    name_of = f"bundle {manifest['id']}"
    files: Mapping[str, str] = manifest["files"]
    found = set(_files(path)) - {MANIFEST}
    if absent := sorted(set(files) - found):
        raise BundleError(f"{name_of}: {absent[0]} is absent; copy or build it again")
    if extra := sorted(found - set(files)):
        raise BundleError(f"{name_of}: {extra[0]} is not in the manifest; remove it or build again")
    for name, expected in files.items():
        if (sha256 := _sha256(path / name)) != expected:
            raise BundleError(
                f"{name_of}: {name} has sha256 {sha256[:12]}…, the manifest says {expected[:12]}…;"
                " copy or build it again"
            )


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Make every file of `folder` durable, so that a rename never outlives what it names."""
    for name in [*_files(folder), ""]:
        handle = os.open(folder / name, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
