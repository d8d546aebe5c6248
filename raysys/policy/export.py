"""From a learned network to a policy of plain arrays, which serving reads without torch."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from raysys.errors import ConfigError
from raysys.policy.scorer import Policy
from raysys.types import Bools, Floats

Layers = tuple[tuple[Floats, Floats], ...]
"""Weight (in, out) and bias (out,) of each layer."""


def linear_layers(state: Mapping[str, Floats], *prefixes: str) -> Layers:
    """The linear layers whose names begin with one of `prefixes`, in that order and then by number.

    Args:
        state: arrays by name as torch keeps them: `<prefix>.<number>.weight` is (out, in), its bias (out,).

    Raises:
        ConfigError: a prefix names no layer, or the layers do not fit together.
    """
    layers = []
    for prefix in prefixes:
        names = [name for name in state if name.startswith(f"{prefix}.") and name.endswith(".weight")]
        if not names:
            raise ConfigError(f"the network has no layer {prefix!r}; it has {sorted(state)}")
        for name in sorted(names, key=lambda name: int(name.split(".")[-2])):
            bias = state[name.removesuffix("weight") + "bias"]
            layers.append((np.ascontiguousarray(state[name].T, np.float32), np.asarray(bias, np.float32)))
    for (first, _), (second, _) in pairwise(layers):
        if first.shape[1] != second.shape[0]:
            raise ConfigError(f"a layer gives {first.shape[1]} numbers, the next takes {second.shape[0]}")
    return tuple(layers)


def softened(layers: Layers, temperature: float) -> Layers:
    """Layers whose logits are divided by `temperature`.

    For a network of action values: a softmax over values / temperature, so that every profile has
    a known chance, where a bare maximum has none.
    """
    if not temperature > 0:
        raise ConfigError(f"temperature is {temperature}, must be above 0")
    *rest, (weight, bias) = layers
    scale = np.float32(temperature)
    return (*rest, (weight / scale, bias / scale))


def learned_policy(
    signals: tuple[str, ...], weights: Floats, allowed: Bools, temperature: float, layers: Layers
) -> Policy:
    """The policy that chooses one of the profiles (A, S) by these layers; `temperature` is the draw's.

    Raises:
        ConfigError: the last layer does not give one logit for each profile.
    """
    if layers and layers[-1][0].shape[1] != len(weights):
        raise ConfigError(
            f"the network chooses between {layers[-1][0].shape[1]} profiles, the bank has {len(weights)}"
        )
    return Policy(
        signals=signals,
        weights=np.asarray(weights, np.float32),
        temperature=temperature,
        allowed=allowed,
        layers=layers,
    )
