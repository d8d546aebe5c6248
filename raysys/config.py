"""Reading settings: frozen dataclasses from TOML tables, where a misspelt key is an error."""

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from raysys.errors import ConfigError


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Settings = TypeVar("Settings", bound=_Dataclass)


def read_settings(cls: type[Settings], table: Mapping[str, Any]) -> Settings:
    """Build `cls` from one table of a TOML file; a misspelt key is an error, not a default."""
    known = {field.name for field in fields(cls)}
    if unknown := sorted(set(table) - known):
        raise ConfigError(f"{cls.__name__} has no {unknown}; it has {sorted(known)}")
    frozen = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    try:
        return cls(**frozen)
    except TypeError as error:
        raise ConfigError(f"{cls.__name__}: {error}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file, naming it in the error."""
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}; expected a readable TOML file") from error
