"""An exported policy is the network that was learned, to the last digit that matters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.errors import ConfigError
from raysys.policy.context import CONTEXT
from raysys.policy.export import Layers, learned_policy, linear_layers, softened
from raysys.signals import SIGNALS
from raysys.types import Floats

ARMS = 5
BANK = np.eye(ARMS, len(SIGNALS))
EVERYWHERE = np.ones((3, ARMS), np.bool_)


def contexts(seed: int, size: int = 64) -> Floats:
    return np.random.default_rng(seed).normal(size=(size, len(CONTEXT))).astype(np.float32)


def probs(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_the_policy_equals_rllibs_own_forward_pass_without_a_running_ray(algorithm: str) -> None:
    import torch
    from ray.rllib.core.columns import Columns

    from tuning.learning import LearningConfig, exported, module_spec

    config = LearningConfig(algorithm=algorithm, value_temperature=0.5)  # type: ignore[arg-type]
    torch.manual_seed(7)
    module = module_spec(config, len(CONTEXT), ARMS).build()
    with torch.no_grad():
        for parameter in module.parameters():  # a fresh head is zero and would prove nothing
            parameter.normal_(0.0, 0.5)
    policy = learned_policy(SIGNALS, BANK, EVERYWHERE, 0.1, exported(module, config))
    seen = contexts(3)
    batch = {Columns.OBS: torch.from_numpy(seen)}
    with torch.no_grad():
        if algorithm == "ppo":
            theirs = module.forward_inference(batch)[Columns.ACTION_DIST_INPUTS].numpy()
        else:
            theirs = module.compute_q_values(batch)["qf_preds"].numpy() / 0.5
    np.testing.assert_allclose(probs(policy.logits(seen)), probs(theirs), atol=1e-6)
    assert np.ptp(probs(theirs), axis=0).max() > 0.1  # contexts really differ
    np.testing.assert_allclose(policy.probs(seen[0], "feed"), probs(theirs)[0], atol=1e-6)


def test_learning_begins_at_the_incumbent() -> None:
    from tuning.learning import INCUMBENT_LOGIT, LearningConfig, exported, module_spec

    config = LearningConfig()
    layers = exported(module_spec(config, len(CONTEXT), ARMS).build(), config)
    policy = learned_policy(SIGNALS, BANK, EVERYWHERE, 0.1, layers)
    np.testing.assert_array_equal(policy.logits(contexts(1)), np.tile([INCUMBENT_LOGIT, 0, 0, 0, 0], (64, 1)))


def test_learning_may_begin_at_a_rule_and_leaves_every_profile_a_chance() -> None:
    from tuning.learning import LearningConfig, exported, imitated, module_spec

    config = LearningConfig(begin=0.8)
    seen = contexts(2, 400)
    ruled = (seen[:, 0] > 0).astype(np.int64)
    begin = imitated(seen, ruled, ARMS, config, seed=0)
    module = module_spec(config, len(CONTEXT), ARMS, begin).build()
    found = probs(learned_policy(SIGNALS, BANK, EVERYWHERE, 0.1, exported(module, config)).logits(seen))
    right = found[np.arange(400), ruled]
    assert right.mean() == pytest.approx(0.8, abs=0.05)
    assert (found.argmax(axis=1) == ruled).mean() > 0.95
    assert found[:, 2:].mean() == pytest.approx(0.05, abs=0.02)


def state() -> dict[str, Floats]:
    """A network of two layers as torch names them; ten layers on, numbers sort before letters do."""
    return {
        "net.2.weight": np.array([[1.0, 2.0]]),
        "net.2.bias": np.array([0.5]),
        "net.10.weight": np.array([[3.0], [4.0]]),
        "net.10.bias": np.array([0.0, 1.0]),
    }


def test_layers_are_turned_around_and_come_in_the_order_of_their_numbers() -> None:
    (first, bias), (second, _) = linear_layers(state(), "net")
    np.testing.assert_array_equal(first, [[1.0], [2.0]])
    np.testing.assert_array_equal(bias, [0.5])
    np.testing.assert_array_equal(second, [[3.0, 4.0]])


@given(temperature=st.floats(0.01, 10.0))
def test_softening_divides_the_logits_and_nothing_else(temperature: float) -> None:
    rng = np.random.default_rng(0)
    layers: Layers = ((rng.normal(size=(3, 4)), rng.normal(size=4)), (rng.normal(size=(4, 2)), np.ones(2)))
    *rest, (weight, bias) = softened(layers, temperature)
    assert rest == [layers[0]]
    np.testing.assert_allclose(weight * temperature, layers[1][0], rtol=1e-5)
    np.testing.assert_allclose(bias * temperature, 1.0, rtol=1e-5)


def test_what_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="no layer 'actor'; it has"):
        linear_layers(state(), "actor")
    with pytest.raises(ConfigError, match="gives 1 numbers, the next takes 2"):
        linear_layers(state() | {"net.10.weight": np.ones((2, 2))}, "net")
    with pytest.raises(ConfigError, match="between 2 profiles, the bank has 5"):
        learned_policy(SIGNALS, BANK, EVERYWHERE, 0.1, linear_layers(state(), "net"))
    with pytest.raises(ConfigError, match="temperature is 0"):
        softened(linear_layers(state(), "net"), 0.0)
