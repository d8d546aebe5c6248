"""A bundle vouches for itself: written whole, never overwritten, checked before it is read."""

import json
from pathlib import Path

import numpy as np
import pytest

from raysys.bundle import Bundle
from raysys.errors import BundleError, ConfigError
from raysys.events import ItemUpdate
from raysys.policy.scorer import Policy
from raysys.signals import SIGNALS
from raysys.surfaces.settings import Settings
from tests import fakes
from tests.fakes import READERS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bundles" / "first"


def test_saved_and_loaded_it_is_the_same(path: Path) -> None:
    saved = fakes.bundle(manifest={"metrics": {"ndcg": [0.1, 0.2]}}).save(path, time_ms=fakes.NOW_MS)
    read = Bundle.load(path, readers=READERS)
    assert read.id == saved.id
    assert read.id.startswith("20231114T221320-")
    assert read.manifest == saved.manifest
    assert read.manifest["metrics"] == {"ndcg": [0.1, 0.2]}
    assert read.catalog.item_ids == saved.catalog.item_ids
    assert read.classes is None


def test_pictures_are_part_of_a_bundle_and_a_shop_without_them_has_no_file(tmp_path: Path) -> None:
    catalog = fakes.shop().updated([ItemUpdate(item_id="i1", image_embedding=[1.0, 2.0])])
    saved = fakes.bundle(catalog=catalog).save(tmp_path / "a")
    read = Bundle.load(tmp_path / "a", readers=READERS)
    np.testing.assert_array_equal(read.catalog.image_vectors, catalog.image_vectors)
    assert "catalog/image_vectors.npy" in saved.manifest["files"]
    assert not any("image" in name for name in fakes.bundle().save(tmp_path / "b").manifest["files"])


def test_other_content_gives_another_id(tmp_path: Path) -> None:
    first = fakes.bundle().save(tmp_path / "a", time_ms=1)
    same = fakes.bundle().save(tmp_path / "b", time_ms=1)
    other = fakes.bundle(catalog=fakes.shop(13)).save(tmp_path / "c", time_ms=1)
    assert first.id == same.id != other.id


def test_a_bundle_is_never_overwritten(path: Path) -> None:
    fakes.bundle().save(path)
    with pytest.raises(BundleError, match="never overwritten"):
        fakes.bundle().save(path)


def test_a_failed_save_leaves_nothing_behind(path: Path) -> None:
    class Full(fakes.FakeRelevance):
        def save(self, folder: Path) -> None:
            raise OSError("disk full")

    with pytest.raises(BundleError, match="disk full"):
        fakes.bundle(relevance=Full()).save(path)
    assert list(path.parent.iterdir()) == []


def test_a_changed_file_is_named(path: Path) -> None:
    fakes.bundle().save(path)
    with (path / "catalog" / "margin.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(BundleError, match=r"catalog/margin\.npy has sha256"):
        Bundle.load(path, readers=READERS)


def test_an_absent_file_is_named(path: Path) -> None:
    fakes.bundle().save(path)
    (path / "settings.json").unlink()
    with pytest.raises(BundleError, match=r"settings\.json is absent"):
        Bundle.load(path, readers=READERS)


def test_a_file_that_the_manifest_does_not_name_is_refused(path: Path) -> None:
    fakes.bundle().save(path)
    (path / "extra.npy").write_bytes(b"")
    with pytest.raises(BundleError, match=r"extra\.npy is not in the manifest"):
        Bundle.load(path, readers=READERS)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 99, "files": {}}', '{"format": 1}'])
def test_a_broken_manifest_is_a_bundle_error(path: Path, text: str) -> None:
    path.mkdir(parents=True)
    (path / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"bundle|format"):
        Bundle.load(path)


def test_no_folder_is_no_bundle(path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        Bundle.load(path)


def test_a_policy_of_other_signals_is_refused() -> None:
    policy = Policy.constant(("engine",), np.ones(1), 0.1)
    with pytest.raises(BundleError, match="policy weighs the signals"):
        fakes.bundle(policy=policy)


def test_a_real_policy_travels_in_a_bundle(path: Path) -> None:
    policy = Policy.constant(SIGNALS, np.arange(len(SIGNALS)), 0.1)
    fakes.bundle(policy=policy).save(path)
    read = Bundle.load(path, readers={"policy": Policy.load})
    assert read.policy.id == policy.id == read.manifest["policy_id"]


def test_a_part_that_cannot_be_read_is_a_bundle_error(path: Path) -> None:
    fakes.bundle().save(path)
    with pytest.raises(BundleError, match="policy cannot be read"):
        Bundle.load(path, readers={"policy": Policy.load})


def test_settings_travel_as_the_grammar_of_rules(path: Path) -> None:
    table = {
        "search": {
            "filters": [{"field": "brand", "op": "in", "value": ["acme"]}],
            "rules": [
                {"kind": "pin", "item_id": "i1", "position": 0},
                {
                    "kind": "bury",
                    "id": "old",
                    "match": [{"field": "price_micros", "op": "gt", "value": 5}],
                    "by": 1,
                },
                {"kind": "diversify", "field": "brand", "max": 1, "within": 3},
            ],
        },
        "feed": {"retrieve": 50},
        "spread": [1.5],
    }
    settings = Settings.parse(table)
    fakes.bundle(settings=settings).save(path)
    assert Bundle.load(path, readers=READERS).settings == settings
    assert json.loads((path / "settings.json").read_text())["search"]["rules"][1]["by"] == -1.0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"serch": {}}, "serch"),
        ({"feed": {"retreive": 5}}, "retreive"),
        ({"feed": {"retrieve": -1}}, "feed.retrieve is -1"),
        ({"feed": {"drop_hidden": "yes"}}, "expected true or false"),
        ({"search": {"rules": [{"kind": "pin", "item_id": "a"}]}}, r"search.rules\[0\].position"),
        ({"spread": [0]}, "above 0"),
    ],
)
def test_a_misspelt_setting_is_an_error_that_names_it(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Settings.parse(table)
