"""The command teaches an encoder, exports it in every form, and bundles serve with any of them."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.errors import ConfigError
from raysys.events import ItemUpdate
from raysys.policy.scorer import Policy
from raysys.relevance.fit import Judgements
from raysys.relevance.unseen import UNSEEN, unseen_meaning
from raysys.signals import SIGNALS
from raysys.text.encoder import TextEncoder
from raysys.text.static import StaticEncoder, load_encoder
from tests.small import TEXTS, judged_file, small_encoder
from tuning import encoder, relevance


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_encoder(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged_file(tmp_path_factory.mktemp("judged") / "judged.csv")


@pytest.fixture(scope="module")
def tuned(small: Path, judged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "shop"
    (out.parent / "same.txt").write_text("sofa, couch\n")
    encoder.main(
        [
            str(judged), "--out", str(out), "--model", str(small), "--passes", "12", "--rate", "2e-3",
            "--layers", "2", "--drop", "0.1", "--replace", "0.2", "--synonyms", str(out.parent / "same.txt"),
            "--objective", "graded", "contrastive", "--negatives", "1",
        ]
    )  # fmt: skip
    return out


def test_it_learns_what_the_judgements_say_and_tells_it(tuned: Path) -> None:
    report = json.loads((tuned / encoder.METRICS).read_text())
    ndcg = {row["name"]: row["ndcg"] for row in report["variants"]}
    assert ndcg["int8, fine-tuned"] > ndcg["int8 as it came"] + 0.1
    assert report["int8_cosine"] > 0.95
    assert report["mined"] > 0
    page = (tuned / "report.html").read_text()
    assert "static, fine-tuned" in page
    assert "data:image/png" in page


def test_a_folder_is_never_overwritten(tuned: Path, judged: Path, small: Path) -> None:
    with pytest.raises(ConfigError, match="holds an encoder already"):
        encoder.main([str(judged), "--out", str(tuned), "--model", str(small)])
    with pytest.raises(ConfigError, match="take two"):
        encoder.learned(None, None, None, 1, tuned)  # type: ignore[arg-type]


def test_every_form_reads_a_text_alike_in_any_company(tuned: Path) -> None:
    for kind, form in (("int8", TextEncoder), ("static", StaticEncoder)):
        loaded = load_encoder(tuned / kind)
        assert isinstance(loaded, form)
        together = loaded.encode(TEXTS)
        np.testing.assert_array_equal(load_encoder(tuned / kind).encode(TEXTS[-1:]), together[-1:])


def test_a_query_is_judged_by_the_encoder_that_left_it_out(tuned: Path) -> None:
    told = Judgements(
        queries=TEXTS, texts=TEXTS, query=np.arange(len(TEXTS)), text=np.roll(np.arange(len(TEXTS)), 1),
        relevant=np.arange(len(TEXTS)) / len(TEXTS),
    )  # fmt: skip
    found = unseen_meaning(tuned / "int8", told)
    assert found is not None
    both = []
    for number in range(2):
        vectors = load_encoder(tuned / "int8" / UNSEEN / str(number)).encode(TEXTS)
        both.append(np.sum(vectors * np.roll(vectors, -1, axis=0)[np.roll(np.arange(len(TEXTS)), 2)], axis=1))
    assert all(any(np.isclose(one, other[n], atol=1e-6) for other in both) for n, one in enumerate(found))
    assert unseen_meaning(tuned / "model", told) is None


@pytest.fixture
def old(tmp_path: Path) -> Path:
    catalog = Catalog.of([ItemUpdate(item_id=text, title=text) for text in TEXTS])
    policy = Policy.constant(SIGNALS, np.ones(len(SIGNALS)), 0.1)
    Bundle(catalog=catalog, policy=policy).save(tmp_path / "old")
    return tmp_path / "old"


@pytest.mark.parametrize("kind", ["int8", "static"])
def test_a_bundle_serves_with_it(kind: str, tuned: Path, judged: Path, old: Path, tmp_path: Path) -> None:
    arguments = [str(judged), "--bundle", str(old), "--out", str(tmp_path / "new")]
    relevance.main([*arguments, "--encoder", str(tuned / kind)])
    made = Bundle.load(tmp_path / "new")
    assert isinstance(made.encoder, StaticEncoder if kind == "static" else TextEncoder)
    np.testing.assert_array_equal(made.catalog.text_vectors, made.encoder.encode(TEXTS).astype(np.float32))
    assert made.relevance is not None
    scores = made.relevance.scores(
        "blue lamp", made.encoder.encode(["blue lamp"])[0], np.arange(len(TEXTS)), made.catalog
    )
    assert TEXTS[int(np.argmax(scores))].startswith("blue")


def test_a_network_that_reads_texts_keeps_its_encoder(old: Path, tuned: Path) -> None:
    heard: Any = SimpleNamespace(network=object())
    with pytest.raises(ConfigError, match="learn the bundle again with --encoder"):
        relevance.with_encoder(replace(Bundle.load(old), interest=heard), tuned / "static")
