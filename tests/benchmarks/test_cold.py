"""The cold split: what is new is in nothing that is learned from, and histories are as short as said."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.cold import KNOWN, cold_split, systems_of, table
from raysys.events import KINDS
from raysys.interest.interactions import Interactions
from raysys.types import DAY_MS
from tests.fakes import shop

USERS, ITEMS, DAYS = 60, 50, 9


def log() -> Interactions:
    """Everybody takes something new every day."""
    rng = np.random.default_rng(0)
    rows = np.stack([rng.permutation(ITEMS)[:DAYS] for _ in range(USERS)], axis=1)
    return Interactions(
        user=np.tile(np.arange(USERS), DAYS),
        row=rows.ravel(),
        kind=np.full(USERS * DAYS, KINDS.index("purchase")),
        time_ms=np.repeat(np.arange(DAYS), USERS) * DAY_MS,
    )


def test_nothing_that_is_learned_from_knows_what_is_new() -> None:
    cold = cold_split(log(), ITEMS, seed=0)
    strangers = set(cold.newcomers[0].user.tolist())
    assert int(cold.items.sum()) == ITEMS // 10
    for part in (cold.split.train, cold.fresh.before):
        assert not cold.items[part.row].any()
        assert not strangers & set(part.user.tolist())
    assert not strangers & set(cold.fresh.user.tolist())
    assert all(cold.items[rows].all() for rows in cold.fresh.truth)


def test_nobodys_later_deeds_are_learned_from_than_they_are_asked_after() -> None:
    cold = cold_split(log(), ITEMS, seed=0)
    asked = dict(zip(cold.fresh.user.tolist(), cold.fresh.now_ms.tolist(), strict=True))
    known = cold.fresh.before
    moments = np.array([asked.get(user, DAYS * DAY_MS) for user in known.user.tolist()])
    assert (known.time_ms < moments).all()
    assert set(asked) <= set(known.user.tolist())


def test_of_newcomers_so_much_is_known_and_the_same_is_asked() -> None:
    cold = cold_split(log(), ITEMS, seed=0)
    for known in KNOWN:
        asked = cold.newcomers[known]
        assert np.bincount(asked.before.user, minlength=USERS)[asked.user].tolist() == [known] * len(asked)
        assert [rows.tolist() for rows in asked.truth] == [rows.tolist() for rows in cold.newcomers[0].truth]
        assert not any(cold.items[rows].any() for rows in asked.truth)


def test_every_system_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cold = cold_split(log(), ITEMS, seed=0)
    systems = dict(systems_of(cold, shop(ITEMS), tmp_path, 0.2, 1000, 0).of())
    assert {"raysys", "network alone", "content-kNN, both", "popularity"} < set(systems)
    table("new items", systems, cold.fresh)
    rows = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if " ± " in line]
    assert rows == list(systems)
