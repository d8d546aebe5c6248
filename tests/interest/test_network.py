"""The network: what it may see, what its loss is, and that fitting learns, resumes and repeats."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.catalog import Catalog
from raysys.errors import BundleError, ConfigError, DataError
from raysys.events import KINDS, ItemUpdate
from raysys.interest.bulk import user_vectors
from raysys.interest.cold import DROPPED, _drop
from raysys.interest.content import CATEGORY_BUCKETS, SAID, TRAIT_BUCKETS, Content, code, prefixes
from raysys.interest.dropout import PooledDropout, redraw
from raysys.interest.initial import Meetings, identity_vectors
from raysys.interest.interactions import Interactions
from raysys.interest.item_tower import Widths
from raysys.interest.loss import gbce_loss, softmax_loss
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.optimizer import Muon, optimizers, orthogonal, set_rates
from raysys.interest.questions import Questions, judge
from raysys.interest.sequences import Batch, Sequences, batched, gap_buckets, windows
from raysys.interest.train import fit_network
from raysys.types import DAY_MS
from tests.fakes import item, shop

PURCHASE, HIDE = KINDS.index("purchase"), KINDS.index("hide")
SMALL = NetworkConfig(width=16, dropout=0.0, batch_tokens=256, learning_rate=0.01, history_length=50)


def log(deeds: list[tuple[int, int, float]], kind: int = PURCHASE) -> Interactions:
    """Interactions of (user, row, day)."""
    deeds = sorted(deeds, key=lambda deed: deed[2])
    user, row, day = (np.array(column) for column in zip(*deeds, strict=True))
    time_ms = (day * DAY_MS).astype(np.int64)
    return Interactions(user=user, row=row, kind=np.full(len(user), kind), time_ms=time_ms)


def rounds(users: int = 24, days: int = 12, items: int = 12) -> Interactions:
    """Everybody buys two items a day, and the next two in a circle on the next day."""
    deeds = [
        (user, (2 * (day + user) + one) % items, float(day))
        for user in range(users)
        for day in range(days)
        for one in range(2)
    ]
    return log(deeds)


@given(
    deeds=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 40)), min_size=1, max_size=60
    ),
    length=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_windows_cover_every_event_once_and_never_mix_users(
    deeds: list[tuple[int, int, int]], length: int, seed: int
) -> None:
    sequences = Sequences.of(log([(u, r, h / 4) for u, r, h in deeds]))
    rng = np.random.default_rng(seed)
    bounds = windows(sequences, length, rng)
    inside = [np.arange(low, high) for low, high in bounds]
    assert sorted(np.concatenate(inside).tolist()) == list(range(len(deeds)))
    assert all(len(piece) <= length and len(set(sequences.user[piece])) == 1 for piece in inside)
    grouped = np.concatenate(list(batched(bounds, 16, rng)))
    assert sorted(map(tuple, grouped.tolist())) == sorted(map(tuple, bounds.tolist()))


def test_after_the_last_event_of_a_day_all_items_of_the_next_day_are_asked() -> None:
    events = log([(0, 1, 0.1), (0, 2, 0.2), (0, 3, 4.1), (0, 4, 4.2), (0, 5, 4.3), (0, 6, 9.0)])
    sequences = Sequences.of(events)
    batch = Batch.of(sequences, np.array([[0, 6]]), np.ones(6, np.bool_), 1.0)
    assert batch.place.tolist() == [1, 4]
    (ask,) = batch.asks
    assert ask.at.tolist() == [0, 0, 0, 1]
    assert ask.target.tolist() == [3, 4, 5, 6]
    np.testing.assert_allclose(ask.weight, [1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_both_questions_share_the_loss_as_they_are_told_to() -> None:
    sequences = Sequences.of(log([(0, 1, 0.1), (0, 2, 0.2), (0, 3, 4.1), (0, 4, 4.2)]))
    (ask,) = Batch.of(sequences, np.array([[0, 4]]), np.ones(4, np.bool_), 0.4).asks
    # next day: items 3 and 4 after event 1; next item: one after each of events 0, 1 and 2
    assert list(zip(ask.at.tolist(), ask.target.tolist(), strict=True)) == [
        (0, 2), (1, 3), (1, 4), (1, 3), (2, 4)
    ]  # fmt: skip
    np.testing.assert_allclose(ask.weight, [0.2, 0.2, 0.2, 0.2, 0.2], rtol=1e-6)


def test_the_item_after_the_next_one_may_be_asked_too() -> None:
    sequences = Sequences.of(log([(0, 1, 0.0), (0, 2, 1.0), (0, 3, 2.0), (1, 9, 0.0), (1, 8, 1.0)]))
    batch = Batch.of(sequences, np.array([[0, 3], [3, 5]]), np.ones(5, np.bool_), 0.0, ahead=2)
    soon, later = batch.asks
    assert batch.place.tolist() == [0, 1, 3]
    assert soon.at.tolist() == [0, 1, 2]
    assert soon.target.tolist() == [2, 3, 8]
    assert later.at.tolist() == [0]
    assert later.target.tolist() == [3]


def test_without_a_day_share_every_event_asks_for_the_next_one_and_no_hide_is_wanted() -> None:
    sequences = Sequences.of(log([(0, 1, 0.0), (0, 2, 1.0), (0, 3, 2.0), (1, 9, 0.0)]))
    wanted = np.array([True, True, False, True])
    batch = Batch.of(sequences, np.array([[0, 3], [3, 4]]), wanted, 0.0)
    assert batch.place.tolist() == [0]
    assert batch.asks[0].target.tolist() == [2]
    assert batch.row.tolist() == [[1, 2, 3], [9, 0, 0]]


def test_targets_may_lie_behind_the_end_of_a_window() -> None:
    sequences = Sequences.of(log([(0, 1, 0.0), (0, 2, 1.0), (0, 3, 2.0)]))
    batch = Batch.of(sequences, np.array([[0, 1]]), np.ones(3, np.bool_), 1.0)
    assert batch.asks[0].target.tolist() == [2]


def test_gaps_reach_to_the_next_event_and_from_the_last_one_to_now() -> None:
    day = DAY_MS
    assert gap_buckets(np.array([0, 0, 60_000]), 60_000 + day).tolist() == [0, 2, 20]
    assert gap_buckets(np.array([5]), 0).tolist() == [0]  # a clock that runs ahead
    assert gap_buckets(np.array([0]), 10_000 * day).tolist() == [39]


@given(
    seed=st.integers(0, 2**31 - 1),
    users=st.integers(1, 9),
    items=st.integers(2, 30),
    smoothing=st.sampled_from([0.0, 0.1]),
)
@settings(max_examples=25)
def test_the_chunked_loss_and_gradient_equal_the_plain_ones(
    seed: int, users: int, items: int, smoothing: float
) -> None:
    torch.manual_seed(seed)
    at = torch.sort(torch.randint(0, users, (7,))).values
    target, weight = torch.randint(0, items, (7,)), torch.rand(7)
    pair = [torch.randn(users, 5, requires_grad=True), torch.randn(items, 5, requires_grad=True)]
    other = [tensor.detach().clone().requires_grad_() for tensor in pair]
    loss = softmax_loss(pair[0], pair[1], at, target, weight, smoothing=smoothing)
    log_probs = torch.log_softmax(other[0] @ other[1].T, 1)[at]
    told = log_probs.gather(1, target[:, None])[:, 0]
    plain = -(weight * ((1 - smoothing) * told + smoothing * log_probs.mean(1))).sum()
    (2.0 * loss).backward()
    (2.0 * plain).backward()
    torch.testing.assert_close(loss, plain)
    for mine, its in zip(pair, other, strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=1e-4, atol=1e-5)


def test_more_rows_than_one_chunk_make_no_difference() -> None:
    torch.manual_seed(0)
    users, items = torch.randn(600, 4), torch.randn(9, 4)
    at = torch.arange(600)
    target, weight = torch.randint(0, 9, (600,)), torch.full((600,), 1 / 600)
    plain = torch.nn.functional.cross_entropy(users @ items.T, target)
    torch.testing.assert_close(softmax_loss(users, items, at, target, weight), plain)


def test_the_sampled_softmax_estimates_the_sum_over_all_items() -> None:
    """e^loss is (sum of all) / (own), linear in the sample, so its mean over many samples is exact."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    user, items = torch.randn(1, 4), torch.randn(50, 4)
    own = torch.tensor([7])
    full = torch.exp(softmax_loss(user, items, torch.tensor([0]), own, torch.ones(1))).item()
    chance = 0.3
    found = []
    for _ in range(3_000):
        kept = np.flatnonzero((rng.random(50) < chance) | (np.arange(50) == 7))
        place = torch.tensor([int(np.searchsorted(kept, 7))])
        log_prob = torch.full((len(kept),), float(np.log(chance)))
        sampled = items[torch.from_numpy(kept)]
        loss = softmax_loss(user, sampled, torch.tensor([0]), place, torch.ones(1), log_prob=log_prob)
        found.append(np.exp(loss.item()))
    assert np.mean(found) == pytest.approx(full, rel=0.05)


def test_bfloat16_products_change_the_loss_and_gradient_little() -> None:
    torch.manual_seed(0)
    at, target, weight = torch.arange(40), torch.randint(0, 200, (40,)), torch.full((40,), 1 / 40)
    chance = torch.full((200,), float(np.log(0.5)))
    grads, losses = [], []
    for half in (False, True):
        torch.manual_seed(1)
        users, items = torch.randn(40, 16, requires_grad=True), torch.randn(200, 16, requires_grad=True)
        loss = softmax_loss(users, items, at, target, weight, smoothing=0.1, log_prob=chance, half=half)
        loss.backward()
        assert users.grad is not None
        assert items.grad is not None
        losses.append(loss.item())
        grads.append(torch.cat([users.grad, items.grad]))
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert torch.cosine_similarity(grads[0].flatten(), grads[1].flatten(), dim=0) > 0.999


def test_gbce_without_trust_is_the_plain_binary_cross_entropy() -> None:
    torch.manual_seed(0)
    users, items, target = torch.randn(3, 4), torch.randn(6, 4), torch.tensor([2, 0, 5])
    wanted = torch.nn.functional.one_hot(target, 6).float()
    plain = torch.nn.functional.binary_cross_entropy_with_logits(users @ items.T, wanted, reduction="none")
    weight = torch.tensor([0.2, 0.3, 0.5])
    found = gbce_loss(users, items, target, weight, share=0.1, trust=0.0)
    torch.testing.assert_close(found, weight @ plain.sum(1))
    # with trust the wanted item's probability is raised to 1 - trust * (1 - share)
    trusted = gbce_loss(users, items, target, weight, share=0.1, trust=0.5)
    own = (users * items[target]).sum(1)
    gained = 0.5 * 0.9 * weight @ torch.nn.functional.softplus(-own)
    torch.testing.assert_close(trusted, found - gained)


def test_a_user_vector_sees_nothing_that_comes_later_and_no_neighbor() -> None:
    torch.manual_seed(0)
    model = InterestNetwork(12, SMALL).eval()
    row = torch.randint(0, 12, (3, 9))
    kind, gap = torch.randint(0, 8, (3, 9)), torch.randint(0, 40, (3, 9))
    vectors = torch.randn(12, 16)[row]
    both = model.user(vectors, kind, gap, torch.tensor([4, 9 + 8]))
    alone = model.user(vectors[:1, :5], kind[:1, :5], gap[:1, :5], torch.tensor([4]))
    torch.testing.assert_close(both[:1], alone)
    torch.testing.assert_close(both[1:], model.user.last(vectors[1:2], kind[1:2], gap[1:2]))


def test_unknown_items_are_placed_where_items_of_like_content_are() -> None:
    """Vectors are a function of category and price here: content alone must find them again."""
    goods = [
        item(f"n{n}", category="tea" if n % 2 else "tools", price_micros=(1 + n) * 1_000_000)
        for n in range(60)
    ]
    content = Content.of(Catalog.of(goods))
    torch.manual_seed(0)
    kinds, dear = torch.randn(2, 16), torch.randn(16)
    price = torch.from_numpy(content.log_price)
    vectors = kinds[torch.arange(60) % 2] + (price - price.mean())[:, None] * dear
    model = InterestNetwork(60, SMALL).eval()
    with torch.no_grad():
        model.identity.weight.copy_(vectors)
        model.known[:50] = 1.0
    model.tower.learn_scales(content, text=True)
    model.describe(content)
    model.learn_content()
    with torch.no_grad():
        found = model.item_vectors()
    torch.testing.assert_close(found[:50], vectors[:50])
    error = (found[50:] - vectors[50:]).pow(2).mean() / vectors[50:].var()
    assert error < 0.05


def test_cosines_over_a_temperature_are_the_scores_if_asked_for() -> None:
    torch.manual_seed(0)
    model = InterestNetwork(12, dataclasses.replace(SMALL, temperature=0.1)).eval()
    model.known.fill_(1.0)
    with torch.no_grad():
        assert torch.allclose(model.item_vectors().norm(dim=1), torch.ones(12))
        users = model.project(torch.randn(5, 16))
        assert torch.allclose(users.norm(dim=1), torch.full((5,), 10.0))


def test_dropout_hides_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer = PooledDropout(0.3)
    redraw(layer)
    x = torch.ones(400, 50)
    one, other = layer(x), layer(x)
    assert (one == 0).float().mean() == pytest.approx(0.3, abs=0.02)
    assert one.mean() == pytest.approx(1.0, abs=0.03)
    assert not torch.equal(one, other)
    assert torch.equal(layer.eval()(x), x)


def test_muon_turns_a_gradient_into_an_orthogonal_step() -> None:
    torch.manual_seed(0)
    found = orthogonal(torch.randn(3, 16, 16) @ torch.diag(torch.logspace(0, -1, 16))).float()
    strength = torch.linalg.svdvals(found)
    assert strength.min() > 0.4
    assert strength.max() < 1.4
    wide = torch.nn.Parameter(torch.zeros(16, 64))
    wide.grad = torch.randn(16, 64)
    Muon([wide], lr=0.1).step()
    pieces = wide.detach().view(16, 4, 16).transpose(0, 1)
    torch.testing.assert_close(
        pieces, -0.1 * orthogonal(wide.grad.view(16, 4, 16).transpose(0, 1)).float(), rtol=0, atol=5e-3
    )


def test_rates_rise_and_fall_over_the_run() -> None:
    model = torch.nn.Linear(4, 4)
    found = optimizers(model, [model.weight], 0.1, 0.02, 0.0)
    levels = []
    for done in (0.0, 0.05, 0.1, 0.55, 1.0):
        set_rates(found, done, 0.1)
        levels.append([group["lr"] for one in found for group in one.param_groups])
    np.testing.assert_allclose(np.array(levels)[:, 0], [0.002, 0.051, 0.1, 0.051, 0.002], rtol=1e-9)
    np.testing.assert_allclose(np.array(levels)[:, 1] / 0.2, np.array(levels)[:, 0], rtol=1e-9)


def test_the_svd_start_puts_items_together_that_are_bought_together() -> None:
    rng = np.random.default_rng(0)
    deeds = [
        (user, int(rng.integers(0, 10)) + 10 * (user % 2), float(day))
        for user in range(40)
        for day in range(20)
    ]
    meetings = Meetings(21)
    meetings.add(Sequences.of(log(deeds)))
    found = identity_vectors(meetings, 4, seed=0)
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    alike = unit[:20] @ unit[:20].T
    assert alike[:10, :10].mean() > alike[:10, 10:].mean() + 0.5
    assert found.std() == pytest.approx(0.05, rel=0.2)
    assert np.abs(found[20]).max() > 0  # an item that never met another one


@pytest.mark.parametrize("day_share", [0.0, 1.0])
@pytest.mark.parametrize("sampled", [False, True])
def test_fitting_learns_what_comes_next(day_share: float, sampled: bool) -> None:
    events = rounds()
    config = dataclasses.replace(SMALL, epochs=20, day_share=day_share, patience=20)
    if sampled:  # small steps, so that not every item is a target of each
        config = dataclasses.replace(config, full_softmax=1, negatives=2, batch_tokens=24, epochs=12)
    before, after = events.before(10 * DAY_MS), events.since(10 * DAY_MS)
    training = fit_network(before, shop(12), config, after, device="cpu")
    reports = list(training)
    assert reports[-1].loss < reports[0].loss
    assert reports[0].events == len(before)
    questions = Questions.of(before, after, config)
    assert questions.gains(training.model, 1).mean() > 0.9  # by chance 1/6


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "gbce", "epochs": 40},
        {"temperature": 0.07},
        {"accumulate": 2, "batch_tokens": 64},
        {"hidden_rate": 0.0},
    ],
)
def test_every_way_to_fit_learns_what_comes_next(changes: dict[str, Any]) -> None:
    events = rounds()
    config = dataclasses.replace(SMALL, **{"epochs": 15, "patience": 40} | changes)
    before, after = events.before(10 * DAY_MS), events.since(10 * DAY_MS)
    training = fit_network(before, shop(12), config, after, device="cpu")
    list(training)
    assert Questions.of(before, after, config).gains(training.model, 1).mean() > 0.9


def test_gradients_of_two_halves_of_a_batch_make_the_step_of_the_whole() -> None:
    events, moved = rounds(), {}
    for accumulate in (1, 2):
        config = dataclasses.replace(SMALL, accumulate=accumulate, batch_tokens=10_000)
        training = fit_network(events, shop(12), config, device="cpu")
        rng = np.random.default_rng(0)
        (batch, _), *more = training.log.batches(0, rng)
        assert not more
        for number in range(accumulate):  # the same one twice: half of it and half of it
            before = training.model.identity.weight.detach().clone()
            training.stepper.step(batch, number, 0.5, rng)
            stays = torch.equal(training.model.identity.weight, before)
            assert stays == (number + 1 < accumulate)
        moved[accumulate] = {name: value.clone() for name, value in training.model.state_dict().items()}
    for name, value in moved[1].items():
        torch.testing.assert_close(moved[2][name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sampled", [False, True])
def test_debiased_scores_say_less_of_what_is_merely_popular(sampled: bool) -> None:
    rng = np.random.default_rng(3)
    row = rng.choice(10, (120, 8), p=[0.55, *[0.05] * 9])  # by chance alone, whatever came before
    events = log([(user, int(row[user, step]), float(step)) for user in range(120) for step in range(8)])
    users = np.arange(120)
    lead = {}
    for debias in (0.0, 1.0):
        config = dataclasses.replace(SMALL, debias=debias, epochs=8, full_softmax=1 if sampled else 5000)
        training = fit_network(events, shop(10), config)
        list(training)
        model = training.model
        vectors = user_vectors(model, events, users, np.full(120, 8 * DAY_MS))
        scores = vectors @ model.item_vectors().detach().numpy().T
        lead[debias] = float((scores[:, 0] - scores[:, 1:].mean(1)).mean())
    assert lead[0.0] == pytest.approx(np.log(11), abs=0.7)
    assert abs(lead[1.0]) < 0.7


def test_a_network_may_look_two_items_ahead() -> None:
    deeds = [(user, (user + day) % 12, float(day)) for user in range(24) for day in range(14)]
    config = dataclasses.replace(SMALL, epochs=15, ahead=2)
    training = fit_network(log(deeds), shop(12), config, device="cpu")
    list(training)
    users, now_ms = np.arange(24), np.full(24, 15 * DAY_MS)
    with torch.no_grad():
        table = training.model.item_vectors().numpy()
    for ahead in (1, 2):
        found = user_vectors(training.model, log(deeds), users, now_ms, ahead=ahead) @ table.T
        assert (found.argmax(1) == (users + 13 + ahead) % 12).mean() > 0.9
    training.model.config = dataclasses.replace(config, answers=2)  # as where the log lags by one
    np.testing.assert_array_equal(
        user_vectors(training.model, log(deeds), users, now_ms),
        user_vectors(training.model, log(deeds), users, now_ms, ahead=2),
    )
    with pytest.raises(ConfigError, match="answers is 3"):
        dataclasses.replace(config, answers=3)


def test_a_budget_of_cpu_time_bounds_the_run() -> None:
    events = rounds()
    config = dataclasses.replace(SMALL, cpu_seconds=1.0)
    began = time.process_time()
    training = fit_network(
        events.before(10 * DAY_MS), shop(12), config, events.since(10 * DAY_MS), device="cpu"
    )
    reports = list(training)
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert training.spent <= time.process_time() - began
    assert training.spent >= 1.0
    assert reports[-1].ndcg > 0.9


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, epochs=3, dropout=0.3, patience=9)
    events = rounds()
    before, after = events.before(10 * DAY_MS), events.since(10 * DAY_MS)
    whole = fit_network(before, shop(12), config, after, device="cpu")
    curve = [report.loss for report in whole]
    first = fit_network(before, shop(12), config, after, device="cpu")
    next(iter(first))
    first.save(tmp_path / "checkpoint.pt")
    second = fit_network(before, shop(12), config, after, device="cpu")
    second.resume(tmp_path / "checkpoint.pt")
    assert [report.epoch for report in second] == [2, 3]
    assert [report.loss for report in second.reports] == curve
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], value, rtol=0, atol=0)
    other = fit_network(before, shop(12), dataclasses.replace(config, dropout=0.1), after, device="cpu")
    with pytest.raises(BundleError, match=r"other \['dropout'\]"):
        other.resume(tmp_path / "checkpoint.pt")


def test_fitting_stops_when_validation_no_longer_improves_and_keeps_the_best() -> None:
    events = rounds(users=6, days=6)
    config = dataclasses.replace(SMALL, epochs=50, patience=3)
    # everybody now buys what nobody ever bought: nothing can be learned for it
    after = log([(user, 11 if user % 2 else 5, 7.0) for user in range(6)])
    before = events.where((events.row != 11) & (events.row != 5))
    training = fit_network(before, shop(12), config, after, device="cpu")
    curve = [report.ndcg for report in training]
    assert len(curve) == int(np.argmax(curve)) + 1 + 3
    assert training._questions is not None
    assert training._questions.ndcg(training.model)[0] == pytest.approx(max(curve))


def test_questions_ask_for_the_first_day_after_the_log_and_count_each_item_once() -> None:
    before = log([(0, 1, 0.0), (0, 2, 1.0), (0, 3, 2.0), (7, 4, 0.0)])
    after = log([(0, 5, 4.1), (0, 5, 4.2), (0, 6, 4.3), (0, 7, 5.5), (9, 1, 4.0)])
    questions = Questions.of(before, after, dataclasses.replace(SMALL, history_length=2))
    assert questions.users.tolist() == [0]
    assert questions.now_ms.tolist() == [int(4.1 * DAY_MS)]
    assert [rows.tolist() for rows in questions.truth] == [[5, 6]]
    scores = np.zeros((1, 12))
    scores[0, [5, 1, 6]] = 3.0, 2.0, 1.0
    best = 1.0 + 1.0 / np.log2(3)
    assert judge(scores, questions.truth).tolist() == [pytest.approx((1.0 + 1.0 / np.log2(4)) / best)]


def test_items_of_the_history_may_be_no_answers() -> None:
    events = rounds(users=5)
    training = fit_network(events, shop(12), SMALL, device="cpu")
    before = log([(0, 1, 0.0), (0, 2, 1.0), (3, 4, 0.0)])
    after = log([(0, 5, 4.1), (3, 6, 4.2)])
    free = Questions.of(before, after, SMALL).scores(training.model)
    found = Questions.of(before, after, SMALL, keep_seen=False).scores(training.model)
    assert np.argwhere(found == -np.inf).tolist() == [[0, 1], [0, 2], [1, 4]]
    np.testing.assert_array_equal(found[found > -np.inf], free[found > -np.inf])
    assert len(Questions.of(before, after, SMALL, most=1)) == 1


def test_items_that_nobody_touched_are_not_pushed_down_by_the_softmax() -> None:
    events = rounds(items=10)  # items 10 and 11 of the shop were never seen
    training = fit_network(events, shop(12), SMALL, device="cpu")
    assert training.model.known.tolist() == [1.0] * 10 + [0.0] * 2
    choice, log_prob = training.stepper.choice(torch.tensor([3]), np.random.default_rng(0))
    assert log_prob is None
    assert choice.tolist() == list(range(10))


def test_the_chance_to_be_in_the_sample_is_what_happens() -> None:
    """Targets drawn as often as in the log: popular items are nearly always among them."""
    deeds = [(user, row, float(row)) for user in range(32) for row in range(12) if user % (row + 1) == 0]
    config = dataclasses.replace(SMALL, full_softmax=1, negatives=3)
    training = fit_network(log(deeds), shop(12), config, device="cpu")
    rng = np.random.default_rng(0)
    share = np.bincount([row for _, row, _ in deeds], minlength=12) / len(deeds)
    among, told = np.zeros(12), np.zeros(12)
    for _ in range(2_000):
        target = torch.from_numpy(rng.choice(12, 8, p=share))
        choice, log_prob = training.stepper.choice(target, rng)
        assert log_prob is not None
        among[choice] += 1 / 2_000
        told[choice] = log_prob.exp()
    np.testing.assert_allclose(told, among, atol=0.06)
    assert np.ptp(told) > 0.3


def test_events_of_items_outside_the_catalog_are_passed_over() -> None:
    events = rounds(users=4)
    unknown = np.where(events.row == 3, -1, events.row)
    marked = fit_network(dataclasses.replace(events, row=unknown), shop(12), SMALL, device="cpu")
    without = fit_network(events.where(events.row != 3), shop(12), SMALL, device="cpu")
    assert next(iter(marked)).loss == next(iter(without)).loss


def test_a_log_without_a_target_is_refused() -> None:
    with pytest.raises(DataError, match="none of the 2 interactions is one of targets"):
        fit_network(log([(0, 1, 0.0), (0, 2, 1.0)], kind=HIDE), shop(12), SMALL)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("width", 0, "width is 0"),
        ("dropout", 1.0, "dropout is 1.0"),
        ("heads", 3, "multiple of heads"),
        ("history_length", 101, "a state keeps 100"),
        ("learning_rate", 0.0, "learning_rate is 0.0"),
        ("cpu_seconds", 0.0, "cpu_seconds is 0.0"),
        ("targets", ("smile",), "targets are"),
    ],
)
def test_a_config_out_of_range_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(SMALL, **{field: value})


def test_codes_are_the_same_everywhere_and_exist_for_what_was_never_seen() -> None:
    assert prefixes("a/b//c/d/e") == ["a", "a/b", "a/b/c", "a/b/c/d"]
    assert code("", 10) == 0
    assert code("Grocery/Milk", CATEGORY_BUCKETS) == code("grocery/milk", CATEGORY_BUCKETS) == 4207
    content = Content.of(shop(4), first=3)
    assert len(content) == 1
    assert content.log_price.tolist() == [pytest.approx(np.log(4_000_000))]
    assert len(Content.of(Catalog.empty())) == 0


def told_by_pictures() -> tuple[InterestNetwork, Content]:
    """A shop where category and picture say the same of all items, and a network that knows most of them."""
    looks = np.random.default_rng(0).normal(size=(3, 8))
    goods = [
        ItemUpdate(item_id=str(n), title="thing", category=f"c{n % 3}", image_embedding=looks[n % 3].tolist())
        for n in range(90)
    ]
    content = Content.of(Catalog.of(goods))
    torch.manual_seed(0)
    model = InterestNetwork(90, SMALL, Widths.of(content)).eval()
    with torch.no_grad():
        model.identity.weight.copy_(torch.randn(3, 16)[torch.arange(90) % 3])
        model.known[:60] = 1.0
    model.tower.learn_scales(content, text=True)
    model.describe(content)
    model.learn_content()
    return model, content


def test_a_part_of_the_content_says_what_it_can_where_another_is_missing() -> None:
    """Both say the same here, so either must do nearly as well alone; without dropout each would say half."""
    model, content = told_by_pictures()
    wanted = model.identity.weight.detach()[60:]
    blank = {
        "image": dataclasses.replace(content, image=np.zeros_like(content.image)),
        "category": dataclasses.replace(content, category=np.zeros_like(content.category)),
    }
    for name, part in {"nothing": content, **blank}.items():
        with torch.no_grad():
            found = model.tower.vectors(part)[60:]
        error = (found - wanted).pow(2).mean() / wanted.var()
        assert error < 0.2, name


def test_missing_content_is_dropped_by_its_mean_over_all_draws() -> None:
    """The equations are those of many copies of the items from which whole parts were taken at random."""
    rng = np.random.default_rng(0)
    x, y, part = rng.normal(size=(40, 5)), rng.normal(size=(40, 2)), np.array([0, 0, 1, 5, 5])
    gram, goal = x.T @ x, x.T @ y
    _drop(gram, goal, part)
    there = rng.random((20_000, 7)) >= DROPPED
    masks = there[:, part].astype(float)
    np.testing.assert_allclose(gram, (masks.T @ masks / len(masks)) * (x.T @ x), atol=0.5)
    np.testing.assert_allclose(goal, masks.mean(0)[:, None] * (x.T @ y), atol=0.5)


def test_what_an_item_says_is_coded_once_and_so_many_values_count() -> None:
    many = [str(n) for n in range(SAID + 5)]
    goods = [
        item("a", title="green tea, Green", attributes={"color": ["red", "blue"], "size": 4}),
        item("b", title="tea", attributes={"color": "red", "tags": many}),
        item("c"),
    ]
    content = Content.of(Catalog.of(goods))
    assert content.words.shape == content.traits.shape == (3, SAID)
    assert np.count_nonzero(content.words, axis=1).tolist() == [2, 1, 2]
    assert np.count_nonzero(content.traits, axis=1).tolist() == [3, SAID, 0]
    assert content.traits[0, 0] == content.traits[1, 0] == code("color=red", TRAIT_BUCKETS)
    assert set(content.words[1]) - {0} <= set(content.words[0])
