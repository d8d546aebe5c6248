"""A cross-encoder learns what judgements say, and gets the say that it deserves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysys.errors import ConfigError
from raysys.relevance.blend import blend_of
from raysys.relevance.cross_encoder import CrossConfig, fine_tune_pairs, graded
from raysys.relevance.fit import Judgements
from raysys.relevance.lessons import Lesson
from raysys.text.torch_pairs import Reader
from raysys.types import Floats
from tests.small import judgements, small_encoder
from tuning.cross_encoder import reader_of, said

QUICK = CrossConfig(learning_rate=2e-3, pairs=36, passes=12.0, held_out=0.2, checks=3, layers=2)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_encoder(tmp_path_factory.mktemp("small"))


@pytest.fixture
def reader(small: Path) -> Reader:
    return reader_of(small)


def apart(scores: Floats, judged: Judgements) -> float:
    """How much more it says of what is relevant."""
    return float(scores[judged.relevant > 0].mean() - scores[judged.relevant == 0].mean())


def test_what_is_judged_is_learned_and_told_of_queries_held_out(reader: Reader) -> None:
    judged = judgements()
    before = apart(said(reader, judged), judged)
    checks = list(fine_tune_pairs(reader, judged, QUICK))
    assert apart(said(reader, judged), judged) > before + 0.3
    assert max(check.order for check in checks) > checks[0].order + 0.05
    assert checks[-1].held_loss < checks[0].held_loss


def test_a_run_that_was_stopped_goes_on(small: Path, tmp_path: Path) -> None:
    judged, config = judgements(), CrossConfig(pairs=36, passes=1.0, held_out=0.2, checks=3)
    whole, other = reader_of(small), reader_of(small)
    wanted = list(fine_tune_pairs(whole, judged, config))
    run = fine_tune_pairs(other, judged, config, tmp_path)
    first = [next(run), next(run)]
    run.close()  # as if it had been killed
    rest = list(fine_tune_pairs(other, judged, config, tmp_path))
    assert [check.order for check in rest[:2]] == [check.order for check in first]
    assert [check.pairs for check in rest] == [check.pairs for check in wanted]
    np.testing.assert_allclose(said(other, judged), said(whole, judged), atol=1e-3)


def test_it_begins_with_the_line_that_fits_the_judgements(reader: Reader) -> None:
    judged = judgements()
    next(fine_tune_pairs(reader, judged, QUICK))  # the check before the first step
    assert abs(said(reader, judged).mean() - judged.relevant.mean()) < 0.05


def test_what_is_wrong_alike_for_a_query_costs_less() -> None:
    lesson = Lesson(
        queries=["q", "r"], texts=["a", "b"], query=np.array([0, 0, 1, 1]), text=np.array([0, 1, 0, 1]),
        relevant=np.array([0.0, 1.0, 0.5, 0.5]), weight=np.ones(4),
    )  # fmt: skip
    right = torch.tensor([0.0, 1.0, 0.5, 0.5])
    alike, turned = right + torch.tensor([0.1, 0.1, 0, 0]), right + torch.tensor([0.1, -0.1, 0, 0])
    assert float(graded(right, lesson)) == 0.0
    assert 0.0 < float(graded(alike, lesson)) < float(graded(turned, lesson))


def noisy(rng: np.random.Generator, size: int = 4_000) -> tuple[Floats, Floats, Floats, Any]:
    """Relevance, two views of it, the second with half the noise, and ten pairs a query."""
    relevant = rng.random(size)
    return relevant, *(relevant + rng.normal(0, s, size) for s in (0.4, 0.2)), np.arange(size) // 10


def test_a_better_view_gets_more_say_and_the_scale_stays_that_of_the_first() -> None:
    relevant, plain, close, query = noisy(np.random.default_rng(0))
    squeezed = 0.5 * plain + 0.25  # a mix that orders but says no chance
    blend = blend_of(squeezed, close, relevant, query)
    assert blend is not None
    whole = blend.plain * squeezed + blend.close * close + blend.offset
    assert abs(whole.mean() - squeezed.mean()) < 1e-9
    # a point of the blend means as much of relevance as a point of what stands beside it unread
    centered = [values - values.reshape(-1, 10).mean(1).repeat(10) for values in (squeezed, whole, relevant)]
    worth = [float(values @ centered[2] / (values @ values)) for values in centered[:2]]
    assert worth[0] == pytest.approx(worth[1], rel=1e-6)
    assert blend.close * close.std() > blend.plain * squeezed.std()


def test_what_adds_nothing_gets_no_say() -> None:
    relevant, plain, close, query = noisy(np.random.default_rng(0))
    assert blend_of(plain, -close, relevant, query) is None
    noise = np.random.default_rng(1).normal(size=len(plain)) * 1e-3
    blend = blend_of(plain, noise, relevant, query)
    assert blend is None or abs(blend.close * noise).max() < 0.1


def test_a_pair_that_counts_for_nothing_changes_nothing() -> None:
    relevant, plain, close, query = noisy(np.random.default_rng(0), 400)
    weight = np.r_[np.ones(200), np.zeros(200)]
    some = blend_of(plain, close, relevant, query, weight)
    alone = blend_of(plain[:200], close[:200], relevant[:200], query[:200])
    assert some is not None
    assert alone is not None
    assert (some.plain, some.close) == pytest.approx((alone.plain, alone.close))


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="layers is 0"):
        CrossConfig(layers=0)
    with pytest.raises(ConfigError, match="pairs is 0"):
        CrossConfig(pairs=0)
