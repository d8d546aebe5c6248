"""What may be kept of whom."""

from raysys.consent import NO_WISH, Wish, kept_part, may_keep, veiled
from raysys.events import ItemUpdate, UserUpdate
from raysys.types import Key
from tests.contracts.state_store import deed

ANN = Key("u:ann")


def test_a_person_without_an_id_is_not_kept_but_an_item_is() -> None:
    assert not may_keep(deed("a", 1), None, NO_WISH)
    assert may_keep(ItemUpdate(item_id="a", title="milk"), None, NO_WISH)


def test_who_refused_can_still_change_their_mind() -> None:
    no = Wish(refused=True)
    assert not may_keep(deed("a", 1), ANN, no)
    assert not may_keep(UserUpdate(user_id="ann", attributes={}), ANN, no)
    assert may_keep(UserUpdate(user_id="ann", consent=True), ANN, no)


def test_what_was_forgotten_stays_so_up_to_that_moment() -> None:
    forgotten = Wish(forgotten_ms=10)
    assert [may_keep(deed("a", ms), ANN, forgotten) for ms in (9, 10, 11)] == [False, False, True]


def test_a_refusal_takes_no_attributes_with_it() -> None:
    kept = kept_part(UserUpdate(user_id="ann", consent=False, attributes={"town": "Oslo"}))
    assert kept == UserUpdate(user_id="ann", consent=False)


def test_a_tombstone_does_not_hold_the_id() -> None:
    assert "ann" not in veiled(ANN)
    assert veiled(ANN) != veiled(Key("s:ann"))
