"""Standing decisions for each surface; they live in the bundle, in the grammar of a request's rules."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from raysys.errors import ConfigError, DataError
from raysys.rules import filter_table, parse_filter, parse_rule, rule_table
from raysys.types import Filter, Query, Rule, Surface


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceSettings:
    """What holds for every query of a surface."""

    filters: tuple[Filter, ...] = ()
    rules: tuple[Rule, ...] = ()
    drop_unavailable: bool = True
    """Items known to be sold out are not shown."""
    drop_hidden: bool = False
    """Items that the user asked not to see are not shown."""
    retrieve: int = 300
    """How many items the interest model proposes for a feed."""
    read_closely: int = 10
    """So many of the engine's first candidates the bundle's cross-encoder reads, if it has one."""
    trending: int = 100
    """How many items everybody likes join a feed."""
    own: int = 100
    """How many of the user's own items join a feed."""
    reserve_micros: int = 0
    """The least price of the event that an ad bids for; who bids less does not stand."""
    hold_minutes: int = 30
    """How long a price waits for the impression or click that it is paid for."""
    conversion_minutes: int = 7 * 24 * 60
    """How long it waits for a conversion."""
    explore_percent: int = 1
    """New ads get at most this share of the places sold, to show what they are worth."""


_SWITCHES = {"drop_unavailable": bool, "drop_hidden": bool}
_COUNTS = (
    "retrieve", "read_closely", "trending", "own", "reserve_micros", "hold_minutes", "conversion_minutes",
    "explore_percent",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Standing decisions of all surfaces, and what the dial needs."""

    search: SurfaceSettings = SurfaceSettings()
    ads: SurfaceSettings = SurfaceSettings()
    feed: SurfaceSettings = SurfaceSettings(drop_hidden=True)
    spread: tuple[float, ...] = ()
    """(A,) the spread of each profile's utility without the engine's term; the dial divides by it."""

    def of(self, surface: Surface) -> SurfaceSettings:
        return {"search": self.search, "ads": self.ads, "feed": self.feed}[surface]

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> "Settings":
        """Settings from JSON or TOML values.

        Raises:
            ConfigError: names the key that is unknown or out of range.
        """
        if unknown := sorted(set(table) - {"search", "ads", "feed", "spread"}):
            raise ConfigError(f"settings have no {unknown[0]!r}; they have search, ads, feed and spread")
        plain = cls()
        spread = tuple(float(s) for s in table.get("spread", ()))
        if any(not s > 0 for s in spread):
            raise ConfigError(f"spread is {spread}, every number must be above 0")
        return cls(
            search=_surface(plain.search, table.get("search", {}), "search"),
            ads=_surface(plain.ads, table.get("ads", {}), "ads"),
            feed=_surface(plain.feed, table.get("feed", {}), "feed"),
            spread=spread,
        )

    def table(self) -> dict[str, Any]:
        """The inverse of `parse`."""
        surfaces = {name: _table(self.of(name)) for name in ("search", "ads", "feed")}
        return {**surfaces, "spread": list(self.spread)}


def _surface(plain: SurfaceSettings, table: Mapping[str, Any], where: str) -> SurfaceSettings:
    values = dict(table)
    if unknown := sorted(set(values) - {field.name for field in fields(SurfaceSettings)}):
        raise ConfigError(f"{where} has no setting {unknown[0]!r}")
    for name in _COUNTS:
        if not isinstance(values.get(name, 0), int) or values.get(name, 0) < 0:
            raise ConfigError(f"{where}.{name} is {values[name]!r}, expected a whole number, at least 0")
    for name, kind in _SWITCHES.items():
        if not isinstance(values.get(name, True), kind):
            raise ConfigError(f"{where}.{name} is {values[name]!r}, expected true or false")
    try:
        for name, parse in (("filters", parse_filter), ("rules", parse_rule)):
            if name in values:
                entries = enumerate(values[name])
                values[name] = tuple(parse(raw, f"{where}.{name}[{i}]") for i, raw in entries)
    except DataError as error:
        raise ConfigError(f"{error.field}: {error}") from error
    return replace(plain, **values)


def _table(settings: SurfaceSettings) -> dict[str, Any]:
    values: dict[str, Any] = {field.name: getattr(settings, field.name) for field in fields(settings)}
    values["filters"] = [filter_table(f) for f in settings.filters]
    values["rules"] = [rule_table(rule) for rule in settings.rules]
    return values


def rules_of(settings: Settings, query: Query) -> tuple[tuple[Filter, ...], tuple[Rule, ...]]:
    """Filters and rules that hold for a query: the surface's standing ones, then its own."""
    standing = settings.of(query.surface)
    return (*standing.filters, *query.filters), (*standing.rules, *query.rules)
