"""A log that is read in every epoch anew: the same training as from memory, whatever its chunks hold."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raysys.dataset.prepare import prepare
from raysys.dataset.read import of_events
from raysys.errors import DataError
from raysys.events import KINDS, Interaction, ItemUpdate
from raysys.interest.initial import Meetings
from raysys.interest.interactions import Interactions
from raysys.interest.log import Chunks, Log, streamed
from raysys.interest.questions import Questions
from raysys.interest.sequences import Batch, Sequences, windows
from raysys.interest.train import fit_network
from raysys.types import DAY_MS
from tests.fakes import shop
from tests.interest.test_network import HIDE, SMALL, log, rounds
from tuning.log import read_log


def chunks(events: Interactions, number: int) -> Chunks:
    """So many chunks of the users, in another order in every epoch."""

    def read(epoch: int) -> Iterator[Interactions]:
        for part in np.roll(np.arange(number), epoch):
            yield events.where(events.user % number == part)

    return read


def test_a_stream_of_one_chunk_trains_what_the_log_in_memory_trains() -> None:
    events = rounds()
    before, after = events.before(10 * DAY_MS), events.since(10 * DAY_MS)
    config = dataclasses.replace(SMALL, epochs=2, dropout=0.2)
    held = fit_network(before, shop(12), config, after, device="cpu")
    read = fit_network(chunks(before, 1), shop(12), config, after, device="cpu")
    for mine, its in zip(read, held, strict=True):
        assert dataclasses.replace(mine, seconds=0.0) == dataclasses.replace(its, seconds=0.0)
    for name, value in held.model.state_dict().items():
        torch.testing.assert_close(read.model.state_dict()[name], value, rtol=0, atol=0)


def test_a_stream_of_many_chunks_learns_too_and_its_rates_fall_over_all_of_them() -> None:
    events = rounds()
    before, after = events.before(10 * DAY_MS), events.since(10 * DAY_MS)
    config = dataclasses.replace(SMALL, epochs=20, patience=20)
    training = fit_network(chunks(before, 5), shop(12), config, after, device="cpu")
    reports = list(training)
    assert reports[0].events == len(before)
    assert Questions.of(before, after, config).gains(training.model, 1).mean() > 0.9
    shares = [before for _, before in training.log.batches(0, np.random.default_rng(0))]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert 0.8 < shares[-1] < 1.0


@given(
    deeds=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 40)), min_size=1, max_size=60
    ),
    number=st.integers(1, 4),
)
def test_one_pass_tells_of_chunks_what_it_tells_of_the_whole(
    deeds: list[tuple[int, int, int]], number: int
) -> None:
    events = log([(u, r, h / 4) for u, r, h in deeds])
    valid = events.where(events.user < 2)
    found = []
    for source in (events, chunks(events, number)):
        meetings = Meetings(6)
        found.append((Log(source, 6, SMALL, valid, meetings), meetings.counts.toarray()))
    (held, together), (read, apart) = found
    assert read.size == held.size == len(events)
    np.testing.assert_array_equal(read.seen, held.seen)
    np.testing.assert_array_equal(read.wanted, held.wanted)
    np.testing.assert_array_equal(apart, together)
    kept = Sequences.of(read.histories)
    np.testing.assert_array_equal(kept.row, Sequences.of(valid).row)


def test_the_rarest_pairs_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raysys.interest.initial.PAIRS", 2)
    meetings = Meetings(9)
    often = [(user, row, float(row)) for user in range(3) for row in (0, 1)]
    meetings.add(Sequences.of(log([*often, (7, 4, 0.0), (7, 5, 1.0), (8, 6, 0.0), (8, 7, 1.0)])))
    assert meetings.counts.nnz == 1
    assert meetings.counts[0, 1] == 3.0


@given(
    deeds=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 40)), min_size=2, max_size=60
    ),
    parts=st.integers(1, 4),
    day_share=st.sampled_from([0.0, 0.4, 1.0]),
)
def test_the_parts_of_a_batch_ask_together_what_the_batch_asks(
    deeds: list[tuple[int, int, int]], parts: int, day_share: float
) -> None:
    sequences = Sequences.of(log([(u, r, h / 4) for u, r, h in deeds]))
    bounds = windows(sequences, 7, np.random.default_rng(0))
    batch = Batch.of(sequences, bounds, np.ones(len(sequences), np.bool_), day_share, ahead=2)
    cells = [_cells(batch.part(number, parts), number, parts) for number in range(parts)]
    assert sorted(cell for part in cells for cell in part) == sorted(_cells(batch, 0, 1))
    for number in range(parts):
        part = batch.part(number, parts)
        assert (part.goals.tolist(), part.heads, part.events) == (
            batch.goals.tolist(),
            batch.heads,
            batch.events,
        )


def _cells(batch: Batch, first: int, step: int) -> list[tuple[int, int, int, int, int, float]]:
    """(ask, window, column, history row there, target, weight) of every target."""
    length = batch.row.shape[1]
    found = []
    for number, ask in enumerate(batch.asks):
        for at, target, weight in zip(ask.at, ask.target, ask.weight, strict=True):
            window, column = divmod(int(batch.place[at]), length)
            row = int(batch.row[window, column])
            found.append((number, first + step * window, column, row, int(target), float(weight)))
    return found


def test_a_stream_without_a_target_is_refused() -> None:
    with pytest.raises(DataError, match="none of the 2 interactions is one of targets"):
        fit_network(chunks(log([(0, 1, 0.0), (0, 2, 1.0)], kind=HIDE), 1), shop(12), SMALL)


def test_a_dataset_is_streamed_with_the_rows_and_kinds_that_it_has_in_memory(tmp_path: Path) -> None:
    start = 19_000 * DAY_MS
    events: list[Interaction | ItemUpdate] = [
        ItemUpdate(item_id=f"i{n}", title=f"thing {n}") for n in range(4)
    ]
    for day in range(6):
        for user in range(5):
            kind = ("click", "purchase")[(day + user) % 2]
            item_id = f"i{(day + user) % 5}"  # i4 is unheard of
            deed = Interaction(kind=kind, item_id=item_id, user_id=f"u{user}", time_ms=start + day * DAY_MS)
            events.append(deed)
    prepare([of_events(events)], tmp_path)
    held, catalog = read_log(tmp_path, None)
    passes = [list(streamed(tmp_path, catalog, 2)(epoch)) for epoch in (0, 0, 1)]
    assert [chunk.user.tolist() for chunk in passes[0]] == [chunk.user.tolist() for chunk in passes[1]]
    for chunk in passes[0]:
        assert 1 <= len(np.unique(chunk.user)) <= 2
    for found in (passes[0], passes[2]):
        cells = [c for part in found for c in zip(part.row, part.kind, part.time_ms, strict=True)]
        assert sorted(cells) == sorted(zip(held.row, held.kind, held.time_ms, strict=True))
    codes = np.unique(np.concatenate([chunk.user for chunk in passes[0]]))
    assert len(codes) == 5
    assert set(codes) == set(np.concatenate([chunk.user for chunk in passes[2]]))
    assert KINDS[int(passes[0][0].kind[0])] in ("click", "purchase")
