"""Which bundle is current is one small file; going back skips what is no longer whole."""

from pathlib import Path

import pytest

from raysys.errors import BundleError, ConfigError
from raysys.releases import current, previous, publish, rollback
from tests import fakes
from tests.fakes import FakePolicy


def three(folder: Path) -> list[Path]:
    """Three releases, oldest first."""
    return [publish(fakes.bundle(policy=FakePolicy({"engine": n})), folder) for n in (1.0, 2.0, 3.0)]


def test_a_rollback_goes_to_the_bundle_before_and_forgets_the_one_it_left(tmp_path: Path) -> None:
    first, second, third = three(tmp_path)
    assert previous(tmp_path) == [second.name, first.name]
    assert rollback(tmp_path) == (third, second)
    assert current(tmp_path) == second
    assert rollback(tmp_path) == (second, first)
    with pytest.raises(BundleError, match="has no earlier one to go back to"):
        rollback(tmp_path)
    assert current(tmp_path) == first


def test_a_bundle_that_is_no_longer_whole_is_skipped(tmp_path: Path) -> None:
    first, second, third = three(tmp_path)
    (second / "settings.json").write_text("{}")
    assert rollback(tmp_path) == (third, first)


def test_where_none_is_whole_nothing_changes_and_every_fault_is_told(tmp_path: Path) -> None:
    first, second, third = three(tmp_path)
    (first / "settings.json").write_text("{}")
    (second / "manifest.json").unlink()
    with pytest.raises(BundleError, match=r"is no bundle.*settings\.json has sha256"):
        rollback(tmp_path)
    assert current(tmp_path) == third


def test_a_release_after_a_rollback_never_leads_back_to_the_bad_one(tmp_path: Path) -> None:
    _, second, third = three(tmp_path)
    rollback(tmp_path)
    fourth = publish(fakes.bundle(policy=FakePolicy({"engine": 4.0})), tmp_path)
    assert third.name not in previous(tmp_path)
    assert rollback(tmp_path) == (fourth, second)


def test_nothing_released_and_a_broken_pointer_are_named(tmp_path: Path) -> None:
    assert current(tmp_path) is None
    with pytest.raises(BundleError, match="nothing is released"):
        rollback(tmp_path)
    (tmp_path / "current.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"current\.json"):
        current(tmp_path)


def test_a_pointer_written_before_history_was_kept_is_still_read(tmp_path: Path) -> None:
    path = publish(fakes.bundle(), tmp_path)
    (tmp_path / "current.json").write_text(f'{{"bundle": "{path.name}"}}')
    assert (current(tmp_path), previous(tmp_path)) == (path, [])
