"""A log becomes the same clean dataset whatever its format and number of files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.behavior.world import START_MS, World
from raysys.dataset.build import Dataset, build
from raysys.dataset.clean import CleanSettings
from raysys.dataset.mapping import Mapping
from raysys.dataset.prepare import prepare
from raysys.dataset.read import of_events, read, together, write_quarantine
from raysys.dataset.split import WeightSettings, by_time, matrix
from raysys.errors import DataError
from raysys.events import Event, Forget, Impression, Interaction, UserUpdate, encode_event
from raysys.state.memory import MemoryStore
from raysys.types import DAY_MS

T = START_MS


def deed(user: str, item: str, time_ms: int, **more: object) -> Interaction:
    return Interaction(**{"kind": "click", "user_id": user, "item_id": item, "time_ms": time_ms, **more})  # type: ignore[arg-type]


def built(events: Sequence[Event], **more: object) -> Dataset:
    return build([of_events(events)], **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def log() -> list[Event]:
    world = World(seed=1, users=60, items=80)
    return [*world.catalog(), *world.events(20)]


def test_jsonl_csv_and_parquet_give_one_dataset(tmp_path: Path, log: list[Event]) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"".join(encode_event(event) + b"\n" for event in log))
    told = of_events(log).interactions
    told.write_csv(tmp_path / "b.csv")
    told.write_parquet(tmp_path / "c.parquet")
    prints = {
        name: build(read([tmp_path / name])).report["fingerprint"]
        for name in ("a.jsonl", "b.csv", "c.parquet")
    }
    assert len(set(prints.values())) == 1, prints


def test_many_files_made_of_small_batches_give_the_dataset_of_one(log: list[Event]) -> None:
    one, many = built(log), built(log, file_rows=1, batch_rows=10)
    assert one.report == many.report
    assert one.interactions.equals(many.interactions)


def test_the_order_of_arrival_of_what_happened_at_different_times_changes_nothing(log: list[Event]) -> None:
    apart = list({event.time_ms: event for event in log if isinstance(event, Interaction)}.values())
    shuffled = [apart[n] for n in np.random.default_rng(0).permutation(len(apart))]
    one, other = built(apart), built(shuffled)
    assert len(one.interactions) > 100
    assert one.report == other.report
    assert one.interactions.equals(other.interactions)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations("abcdef"), sizes=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_what_happened_at_one_time_keeps_the_order_of_the_files(
    order: list[str], sizes: tuple[int, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Logs that know days alone tell in the order of their rows what came first."""
    folder = tmp_path_factory.mktemp("files")
    events = [
        deed(user, item, T + day * DAY_MS) for item in order for user in ("bob", "ann") for day in (1, 0)
    ]
    for name, part in (("0.csv", events[:10]), ("1.csv", events[10:])):
        of_events(part).interactions.write_csv(folder / name)
    frame = build(read([folder]), file_rows=sizes[0], batch_rows=sizes[1]).interactions
    for _, of_one in frame.group_by("user", "time_ms"):
        assert of_one["item"].to_list() == order
    swapped = build(read([folder / "1.csv", folder / "0.csv"])).interactions
    assert swapped.filter(user="u:ann")["item"].to_list() != frame.filter(user="u:ann")["item"].to_list()


def test_bad_lines_are_quarantined_with_number_and_reason(tmp_path: Path) -> None:
    good = encode_event(deed("ann", "a", T)).decode()
    lines = [good, "{broken", good.replace('"click"', '"clicked"'), "\xff", ""]
    (tmp_path / "log.jsonl").write_bytes("\n".join(lines).encode("latin1"))
    [chunk] = read([tmp_path / "log.jsonl"])
    assert [refusal.line for refusal in chunk.refused] == [2, 3, 4]
    assert chunk.refused[1].field == "kind"
    assert len(chunk.interactions) == 1
    write_quarantine(chunk.refused, tmp_path / "bad.jsonl")
    assert '"line":3' in (tmp_path / "bad.jsonl").read_text()


def test_a_mapping_reads_other_peoples_columns(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(
        'time_unit = "s"\n[columns]\nuser_id = "visitor"\nitem_id = "sku"\nkind = "what"\ntime_ms = "at"\n'
        '[kinds]\nbought = "purchase"\n'
    )
    (tmp_path / "x.csv").write_text(
        "visitor,sku,what,at\n1,9,bought,1700000000\n2,9,stolen,1700000000\n3,9\n"
    )
    [chunk] = read([tmp_path / "x.csv"], Mapping.read(tmp_path / "map.toml"))
    assert chunk.interactions.select("user_id", "kind", "time_ms").rows() == [("1", "purchase", T)]
    assert sorted(refusal.line for refusal in chunk.refused) == [3, 4]


def test_a_file_of_unknown_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.xls").write_text("")
    with pytest.raises(DataError, match="no known format"):
        list(read([tmp_path / "x.xls"]))


def test_what_cannot_be_is_removed_and_counted() -> None:
    events = [
        deed("ann", "a", T),
        deed("ann", "a", T),
        deed("ann", "a", 1_700_000_000),
        deed("ann", "a", T, kind="rating"),
        deed("ann", "a", T, kind="purchase", value=-1.0),
        Interaction(kind="click", item_id="a", time_ms=T),
    ]
    assert built(events).report["removed"] == {
        "a negative amount or duration": 1,
        "a rating without a value": 1,
        "before 1990: are the times in seconds?": 1,
        "of nobody: neither user_id nor session_id": 1,
        "sent twice": 1,
    }


def test_a_robot_ends_where_it_shows_itself() -> None:
    events = [deed("bot", f"i{n}", T + n * 100) for n in range(100)] + [deed("ann", "a", T)]
    data = built(events, clean=CleanSettings(robot_per_minute=10))
    assert dict(data.interactions["user"].value_counts().iter_rows()) == {"u:bot": 10, "u:ann": 1}


def test_the_forgotten_and_the_refusing_are_not_learned_from() -> None:
    events = [deed(u, "a", T) for u in ("ann", "bob", "cat")]
    data = built([*events, Forget(user_id="ann"), UserUpdate(user_id="bob", consent=False)])
    assert data.interactions["user"].to_list() == ["u:cat"]


@pytest.mark.parametrize("file_rows", [1, 1_000])
@pytest.mark.parametrize("by_impression", [True, False])
@pytest.mark.parametrize("wish", [Forget(user_id="ann"), Forget(user_id="ann", time_ms=T + 5),
                                  UserUpdate(user_id="ann", consent=False)])  # fmt: skip
def test_what_a_session_did_before_it_was_hers_goes_with_her(
    wish: Event, by_impression: bool, file_rows: int
) -> None:
    page = Impression(
        query_id="q", surface="feed", item_ids=["b"], time_ms=T + 1, user_id="ann", session_id="s"
    )
    early = Impression(query_id="p", surface="feed", item_ids=["b"], time_ms=T, session_id="s")
    events: list[Event] = [
        Interaction(kind="click", item_id="a", session_id="s", time_ms=T),
        early,
        page if by_impression else deed("ann", "b", T + 1, session_id="s"),
        Interaction(kind="click", item_id="c", session_id="s", time_ms=T + 2),
        deed("bob", "a", T),
        wish,
    ]
    data = built(events, file_rows=file_rows)
    assert data.interactions["user"].to_list() == ["u:bob"]
    assert data.impressions == []
    assert data.report["removed"]["forgotten or without consent"] == 4


PEOPLE = [
    (None, None),
    ("ann", None),
    ("ann", "tab"),
    (None, "tab"),
    ("bob", None),
    ("bob", "tap"),
    (None, "tap"),
]
WHO = st.sampled_from([{"user_id": user, "session_id": session} for user, session in PEOPLE])
ACTS = st.lists(st.tuples(st.sampled_from(["click", "click", "show", "forget", "refuse"]), WHO), max_size=10)


@settings(max_examples=25, deadline=None)
@given(acts=ACTS)
def test_the_dataset_keeps_of_nobody_what_the_live_store_has_dropped(
    acts: list[tuple[str, dict[str, str | None]]],
) -> None:
    events: list[Event] = []
    for n, (act, who) in enumerate(acts):
        user = who["user_id"] or "ann"
        if act == "click":
            events.append(Interaction(kind="click", item_id=f"i{n}", time_ms=T + n, **who))
        elif act == "show" and any(who.values()):
            events.append(Impression(query_id=f"q{n}", surface="feed", item_ids=["a"], time_ms=T + n, **who))
        elif act == "forget":
            events.append(Forget(user_id=user, time_ms=T + n))
        elif act == "refuse":
            events.append(UserUpdate(user_id=user, consent=False, time_ms=T + n))
    store = MemoryStore()
    for event in events:
        store.append([event], event.time_ms or 0)
    live = [event for _, event in store.events()]
    data = built(events)
    assert set(data.interactions["item"]) <= {e.item_id for e in live if isinstance(e, Interaction)}
    assert {e.query_id for e in data.impressions} <= {e.query_id for e in live if isinstance(e, Impression)}


def test_what_comes_after_forgetting_is_a_strangers_until_linked_again() -> None:
    """As in the live store: forgetting ends the link, and a later one forgets nothing."""

    def click(item: str, at: int) -> Interaction:
        return Interaction(kind="click", item_id=item, session_id="s", time_ms=at)

    gone = [click("a", T), deed("ann", "b", T + 1, session_id="s"), click("c", T + 2)]
    kept = [click("d", T + 6), deed("ann", "e", T + 7, session_id="s"), click("f", T + 8)]
    frame = built([*gone, *kept, Forget(user_id="ann", time_ms=T + 5)]).interactions
    assert frame.select("item", "user").rows() == [("d", "s:s"), ("e", "u:ann"), ("f", "u:ann")]
    later = built([*gone[:1], *kept, Forget(user_id="ann", time_ms=T + 5)]).interactions
    assert later["item"].to_list() == ["a", "d", "e", "f"]


def test_a_session_belongs_to_its_user_from_the_link_on() -> None:
    events = [
        Interaction(kind="click", item_id="a", session_id="s", time_ms=T),
        deed("ann", "b", T + 1, session_id="s"),
        Interaction(kind="click", item_id="c", session_id="s", time_ms=T + 2),
    ]
    assert built(events).interactions["user"].to_list() == ["s:s", "u:ann", "u:ann"]


def test_a_pause_begins_a_new_session() -> None:
    data = built([deed("ann", "a", T), deed("ann", "b", T + 1000), deed("ann", "c", T + DAY_MS)])
    assert data.interactions["session"].to_list() == [0, 0, 1]


def test_ratings_are_standardized_per_user() -> None:
    stars = {"kind": "rating"}
    events = [deed("ann", f"i{n}", T + n, value=v, **stars) for n, v in enumerate([1.0, 3.0, 5.0])]
    rating = built([*events, deed("bob", "a", T, value=4.0, **stars)]).interactions
    ann = rating.filter(pl.col("user") == "u:ann")["rating"].to_numpy()
    np.testing.assert_allclose(ann, [-1.2247, 0, 1.2247], atol=1e-3)
    assert rating.filter(pl.col("user") == "u:bob")["rating"].to_list() == [0.0]


def test_nothing_after_the_cut_reaches_training(log: list[Event]) -> None:
    """The training part is the same bytes whether the future exists, is absent, or is full of lies."""
    cut = START_MS + 10 * DAY_MS
    past = [event for event in log if (event.time_ms or 0) < cut]
    lies = [deed("user00001", "item00001", cut + n, session_id="s") for n in range(2_000)]
    lies += [deed("user00002", "x", cut + n, kind="rating", value=5.0) for n in range(9)]
    settings = WeightSettings()
    trains = [
        by_time(built(events).interactions, [cut], settings)[0] for events in (past, log, [*past, *lies])
    ]
    assert len(trains[0]) > 50
    assert trains[0]["time_ms"].max() < cut  # type: ignore[operator]
    assert trains[0].equals(trains[1])
    assert trains[0].equals(trains[2])


def test_the_cut_itself_belongs_to_the_future(log: list[Event]) -> None:
    frame = built(log).interactions
    cut = int(frame["time_ms"][50])
    before, after = by_time(frame, [cut], WeightSettings())
    assert len(before) + len(after) == len(frame)
    assert after["time_ms"].min() == cut


def test_the_matrix_sums_the_weights(log: list[Event]) -> None:
    frame = built(log).interactions
    users, items = frame["user"].unique().sort().to_list(), frame["item"].unique().sort().to_list()
    table = matrix(frame, users, items)
    assert table.shape == (len(users), len(items))
    np.testing.assert_allclose(table.sum(), frame["weight"].sum(), rtol=1e-4)


def test_a_saved_dataset_comes_back(tmp_path: Path, log: list[Event]) -> None:
    prepare([of_events(log[::2])], tmp_path, file_rows=1)
    report = prepare([of_events(log)], tmp_path)  # in the place of the first, of which nothing stays
    data, again = built(log), Dataset.load(tmp_path)
    assert again.report == data.report == report
    assert again.interactions.equals(data.interactions)
    assert (again.impressions, again.items) == (data.impressions, data.items)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "impressions.jsonl", "interactions", "items.jsonl", "queries", "report.json",
    ]  # fmt: skip


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"run tuning\.dataset first"):
        Dataset.load(tmp_path)


def test_an_event_sent_by_two_people_counts_for_the_earlier() -> None:
    """An id is unique whoever sends it, though the two would be cleaned apart."""
    events = [deed(user, "a", T + n, event_id="e") for n, user in enumerate(("ann", "bob", "cat"))]
    for order in (events, events[::-1]):
        data = built(order, file_rows=1, batch_rows=1)
        assert data.interactions["user"].to_list() == ["u:ann"]
        assert data.report["removed"] == {"sent twice": 2}


CELLS = st.text(st.characters(codec="utf-8", exclude_characters='",\n\r\0'), max_size=3)
LINES = st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=8)


@settings(max_examples=40, deadline=None)
@given(lines=LINES, ending=st.sampled_from(["\n", "\r\n"]))
def test_lines_read_at_once_give_what_they_give_row_by_row(
    lines: list[list[str]], ending: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    rows = [["kind", "user_id", "item_id", "time_ms"], ["click", "ann", "a", str(T)], *lines]
    last = ["click", "bob", "b", str(T + 1)]
    found = []
    for quote in ("", '"'):
        text = ending.join(
            ",".join(row) for row in [rows[0], [quote + "click" + quote, *rows[1][1:]], *lines, last]
        )
        (folder / "x.csv").write_text(text, newline="")
        chunk = together(read([folder / "x.csv"]))
        found.append((chunk.interactions.rows(), chunk.refused, chunk.rows))
    assert found[0] == found[1]
    assert len(found[0][0]) >= 2


def test_no_impression_of_the_forgotten_or_refusing_reaches_training() -> None:
    def shown(user: str, time_ms: int) -> Impression:
        return Impression(
            query_id=f"{user}{time_ms}", surface="feed", item_ids=["a"], time_ms=time_ms, user_id=user
        )

    events: list[Event] = [deed("eve", "a", T), *(shown(user, T) for user in ("ann", "bob", "eve"))]
    wishes = [Forget(user_id="ann", time_ms=T), UserUpdate(user_id="bob", consent=False)]
    data = built([*events, shown("ann", T + 1), *wishes])
    assert [event.user_id for event in data.impressions] == ["eve", "ann"]  # ann came back later
    assert data.report["removed"]["forgotten or without consent"] == 2
