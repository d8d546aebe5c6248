"""A cross-encoder looks closer at the engine's first few; nobody else notices."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.bundle import Bundle
from raysys.errors import BundleError
from raysys.ranker import Ranker
from raysys.signals import SIGNALS
from raysys.state.memory import MemoryStore
from raysys.surfaces.settings import Settings
from raysys.types import Candidates, Filter, Floats, ItemId, Query, Ranking, Wording
from tests import fakes
from tests.fakes import FakeCrossEncoder, FakePolicy, ask, ids

ALL = [f"i{n}" for n in range(12)]
FIRST = 4
SETTINGS = Settings.parse({"search": {"read_closely": FIRST}})
FITS = FakePolicy({"relevance": 1.0}, temperature=0.0)


def ranker(**parts: Any) -> Ranker:
    made: dict[str, Any] = {"settings": SETTINGS, "policy": FITS, "cross_encoder": FakeCrossEncoder()}
    return Ranker(fakes.bundle(**{**made, **parts}), MemoryStore())


def asked(**fields: Any) -> Query:
    return ask(**{"text": "the i3 acme", "length": 20, "explain": True, **fields})


def scores(ranking: Ranking) -> dict[ItemId, float]:
    return {item.item_id: item.score for item in ranking.items}


def test_the_first_few_change_and_no_other() -> None:
    sent = Candidates.of(ALL)
    with_it, without = (
        scores(ranker(cross_encoder=cross).rank(asked(), sent)) for cross in (FakeCrossEncoder(), None)
    )
    changed = {item for item in ALL if with_it[ItemId(item)] != without[ItemId(item)]}
    assert changed == set(ALL[:FIRST])


@given(others=st.sets(st.sampled_from(ALL[1:]), max_size=8), place=st.integers(0, 5))
def test_a_candidates_score_depends_on_the_engines_position_and_on_no_neighbor(
    others: set[str], place: int
) -> None:
    """Whoever stands before and behind it, at one position it scores the same."""
    others_sent = [*sorted(others), *(f"stranger{n}" for n in range(6))]
    sent = [*others_sent[:place], "i0", *others_sent[place:]]
    plain = [f"nobody{n}" for n in range(place)] + ["i0"]
    there, alone = (scores(ranker().rank(asked(), Candidates.of(one)))[ItemId("i0")] for one in (sent, plain))
    assert there == alone


@given(order=st.permutations(ALL))
def test_the_order_of_sending_changes_nothing_where_the_engine_scores(order: list[str]) -> None:
    engine = {item: float(n) for n, item in enumerate(ALL)}
    rankings = [
        ranker().rank(
            asked(), Candidates(item_ids=ids(*sent), engine_scores=np.array([engine[item] for item in sent]))
        )
        for sent in (ALL, order)
    ]
    assert rankings[0] == rankings[1]


def test_reasons_add_up_and_tell_of_it() -> None:
    ranking = ranker().rank(asked(), Candidates.of([*ALL, "stranger"]))
    told = set()
    for item in ranking.items:
        assert sum(reason.value for reason in item.reasons) == pytest.approx(item.score, abs=1e-6)
        if any("read as a whole" in reason.text for reason in item.reasons):
            told.add(item.item_id)
    assert told <= set(ALL[:FIRST])
    assert told


def test_a_text_of_an_unknown_item_is_read_too_and_one_without_a_text_is_not() -> None:
    cross = FakeCrossEncoder()
    sent = Candidates(item_ids=ids("new", "silent", "i0"), texts={0: Wording("a kettle")})
    ranker(cross_encoder=cross).rank(asked(), sent)
    assert [text for _, text in cross.asked] == ["a kettle", "the i0 grocery dairy acme"]


def test_a_candidate_that_a_filter_took_leaves_its_place_empty() -> None:
    cross = FakeCrossEncoder()
    bolt = Filter(field="brand", op="eq", value="bolt")
    ranker(cross_encoder=cross).rank(asked(filters=(bolt,)), Candidates.of(ALL))
    assert len(cross.asked) == FIRST // 2


def test_nobody_is_read_without_a_query_or_where_lists_are_split() -> None:
    cross = FakeCrossEncoder()
    reads = ranker(cross_encoder=cross)
    reads.rank(asked(text=" "), Candidates.of(ALL))
    together = reads.score(asked(), Candidates.of(ALL))
    assert together[5] == reads.score(asked(), Candidates.of(["i5"]))[0]
    np.testing.assert_array_equal(together, ranker(cross_encoder=None).score(asked(), Candidates.of(ALL)))
    assert not cross.asked


def test_what_fails_is_named_and_the_answer_is_the_one_without() -> None:
    ranking = ranker(cross_encoder=FakeCrossEncoder(broken=True)).rank(asked(), Candidates.of(ALL))
    without = ranker(cross_encoder=None).rank(asked(), Candidates.of(ALL))
    assert ranking.degraded == ("cross_encoder",)
    assert ranking.items == without.items


def test_what_was_read_before_counts_when_there_is_no_time() -> None:
    reads, sent = ranker(), Candidates.of(ALL)
    in_time = reads.rank(asked(), sent)
    late = reads.rank(asked(), sent, None, ("cross_encoder",))
    assert late.degraded == ("cross_encoder",)
    assert late.items == in_time.items
    fresh = ranker().rank(asked(), sent, None, ("cross_encoder",))
    assert fresh.items == ranker(cross_encoder=None).rank(asked(), sent).items


def test_pairs_are_read_once_and_for_as_long_as_somebody_waits() -> None:
    reads, sent = ranker(), Candidates.of([*ALL, "i0"])
    [work] = reads.unread(asked(), sent, closely=True)
    assert (work.part, len(work.texts)) == ("cross_encoder", FIRST)
    turns = iter([True, True, False])
    assert not work.read(lambda: next(turns))
    [rest] = reads.unread(asked(), sent, closely=True)
    assert rest.texts == work.texts[2:]
    assert rest.read(lambda: True)
    assert not reads.unread(asked(), sent, closely=True)
    assert not reads.unread(asked(text=""), sent, closely=True)


def test_a_bundle_keeps_it_and_one_without_is_as_before(tmp_path: Path) -> None:
    for name, cross in (("with", FakeCrossEncoder()), ("without", None)):
        fakes.bundle(cross_encoder=cross).save(tmp_path / name)
        loaded = Bundle.load(tmp_path / name, readers=fakes.READERS)
        assert (loaded.cross_encoder is None) == (cross is None)


def test_a_bundle_whose_cross_encoder_is_broken_is_refused(tmp_path: Path) -> None:
    fakes.bundle(cross_encoder=FakeCrossEncoder()).save(tmp_path / "broken")
    readers = {**fakes.READERS, "cross_encoder": real}
    with pytest.raises(BundleError, match=r"cross_encoder.*learn it again"):
        Bundle.load(tmp_path / "broken", readers=readers)


def real(folder: Path) -> Any:
    from raysys.text.cross_encoder import CrossEncoder

    return CrossEncoder.load(folder)


def test_relevance_stays_on_its_scale() -> None:
    """What was read moves by what was said, as relevance alone would: signals have one center and scale."""
    place = SIGNALS.index("relevance")
    said: dict[bool, Floats] = {}
    for read in (True, False):
        reads = ranker(cross_encoder=FakeCrossEncoder() if read else None)
        asker = reads.meet(asked())
        judge = reads._judge
        pool = judge.pool(asked(), Candidates.of(ALL), asker, engine=True)
        said[read] = judge.predict(asked(), pool, asker, None)[0][:, place]
    close = FakeCrossEncoder().relevance("the i3 acme", [fakes.shop().text(row) for row in range(FIRST)])
    np.testing.assert_allclose(said[True][:FIRST], 0.5 * said[False][:FIRST] + 0.5 * close)
    np.testing.assert_array_equal(said[True][FIRST:], said[False][FIRST:])
