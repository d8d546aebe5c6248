"""Rows of a large table: what moves, and that it moves as it would in a small one."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from raysys.interest.exchange import Exchange
from raysys.interest.optimizer import BETAS, RowAdamW
from raysys.interest.questions import Questions
from raysys.interest.table import TableGradient
from raysys.interest.train import Training, fit_network
from raysys.types import DAY_MS
from tests.fakes import shop
from tests.interest.test_network import SMALL, rounds


def sparse(rows: list[int], grads: torch.Tensor, size: int) -> torch.Tensor:
    return torch.sparse_coo_tensor(
        torch.tensor([rows]), grads, (size, grads.shape[1]), is_coalesced=True, check_invariants=True
    )


@given(seed=st.integers(0, 2**31 - 1), decay=st.sampled_from([0.0, 0.1]), steps=st.integers(1, 6))
@settings(max_examples=20)
def test_where_every_row_is_touched_the_rows_move_as_adamw_moves_them(
    seed: int, decay: float, steps: int
) -> None:
    torch.manual_seed(seed)
    lazy = nn.Parameter(torch.randn(7, 3))
    dense = nn.Parameter(lazy.detach().clone())
    mine = RowAdamW(lazy, lr=0.05, weight_decay=decay)
    its = torch.optim.AdamW([dense], lr=0.05, betas=BETAS, weight_decay=decay)
    for _ in range(steps):
        grads = torch.randn(7, 3)
        lazy.grad, dense.grad = sparse(list(range(7)), grads, 7), grads
        mine.step()
        its.step()
    torch.testing.assert_close(lazy, dense)


def test_without_decay_the_rows_move_as_sparse_adam_moves_them() -> None:
    torch.manual_seed(0)
    mine, its = (nn.Parameter(torch.ones(9, 4)) for _ in range(2))
    optimizer = RowAdamW(mine, lr=0.05)
    other = torch.optim.SparseAdam([its], lr=0.05, betas=BETAS)
    for rows in ([0, 4, 8], [4, 5], [0], [4, 8]):
        mine.grad = sparse(rows, torch.randn(len(rows), 4), 9)
        its.grad = mine.grad.clone()
        optimizer.step()
        other.step()
    torch.testing.assert_close(mine, its)
    assert torch.equal(mine[1], torch.ones(4))  # nobody touched it


@pytest.mark.parametrize("lazy", [False, True])
def test_the_gradients_of_all_batches_of_a_step_are_added_up(lazy: bool) -> None:
    weight = nn.Parameter(torch.zeros(6, 2))
    table = TableGradient(weight, Exchange(), lazy=lazy)
    for rows, factor in (([1, 3], 1.0), ([0, 3, 5], 10.0)):
        (table.read(torch.tensor(rows)).sum() * factor).backward()
    clipped = table.hand_over()
    assert clipped.grad is not None
    clipped.grad.mul_(0.5)  # what clipping does must reach the table's gradient
    assert weight.grad is not None
    assert weight.grad.is_sparse == lazy
    found = weight.grad.to_dense() if lazy else weight.grad
    assert found[:, 0].tolist() == [5.0, 0.5, 0.0, 5.5, 0.0, 5.0]
    table.forget()
    assert weight.grad is None or not weight.grad.any()


def test_a_large_table_learns_what_a_small_one_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """All twelve items are in every sample here, so that every row is touched in every step."""
    config = dataclasses.replace(SMALL, epochs=6, full_softmax=1, negatives=12, accumulate=2)
    events = rounds()
    before, after = events.before(10 * DAY_MS), events.since(10 * DAY_MS)
    fitted: list[Training] = []
    for large in (False, True):
        if large:
            monkeypatch.setattr("raysys.interest.step.LAZY", 2)
        fitted.append(fit_network(before, shop(12), config, after, device="cpu"))
    small, wide = ([report.loss for report in training] for training in fitted)
    assert len(fitted[1].stepper.optimizers) == len(fitted[0].stepper.optimizers) + 1
    np.testing.assert_allclose(wide, small, rtol=1e-3)


def test_a_large_table_learns_what_comes_next_from_small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raysys.interest.step.LAZY", 2)
    monkeypatch.setattr("raysys.interest.initial.LARGE", 2)
    config = dataclasses.replace(SMALL, epochs=12, full_softmax=1, negatives=2, batch_tokens=24, patience=20)
    events = rounds()
    before, after = events.before(10 * DAY_MS), events.since(10 * DAY_MS)
    training = fit_network(before, shop(12), config, after, device="cpu")
    list(training)
    assert Questions.of(before, after, config).gains(training.model, 1).mean() > 0.9
