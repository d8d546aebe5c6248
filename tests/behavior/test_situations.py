"""Situations are refused where they contradict themselves, and come back from disk as they were."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysys.behavior.situations import Situations
from raysys.errors import DataError
from tests.behavior.people import situations


def test_they_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    written = situations()
    written.save(tmp_path / "people")
    read = Situations.load(tmp_path / "people")
    for field in fields(Situations):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(written, field.name))


def test_a_folder_without_them_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no situations"):
        Situations.load(tmp_path)


def test_a_split_keeps_every_person_on_one_side() -> None:
    people = situations(200)
    some, others = people.split(0.3, seed=1)
    assert len(some) + len(others) == len(people)
    assert not set(some.person) & set(others.person)
    share = len(np.unique(some.person)) / len(np.unique(people.person))
    assert share == pytest.approx(0.3, abs=0.01)


def test_taking_sessions_takes_all_their_steps_in_order() -> None:
    people = situations()
    wanted = np.unique(people.session)[[5, 2, 9]]
    taken = people.take(wanted)
    assert sorted(set(taken.session.tolist())) == sorted(wanted.tolist())
    assert len(taken) == np.isin(people.session, wanted).sum()
    assert taken.lengths.sum() == len(taken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"session": s.session[::-1]}, "sessions must rise"),
        (lambda s: {"margin": s.margin[:, :-1]}, "margin has shape"),
        (lambda s: {"bought": np.ones_like(s.present)}, "bought names candidates that are not present"),
        (lambda s: {"wish": np.full_like(s.wish, np.nan)}, "wish holds NaN"),
        (lambda s: {"present": np.zeros_like(s.present)}, "situation 0 has no candidate"),
        (lambda s: {"person": np.arange(len(s))}, "steps of two people"),
        (lambda s: {"surface": s.surface + 3}, "surface must be an index"),
    ],
)
def test_a_contradiction_is_named(change: Any, message: str) -> None:
    people = situations()
    with pytest.raises(DataError, match=message):
        replace(people, **change(people))
