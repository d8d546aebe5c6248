"""The policy as plain arrays: a small network that turns context into a profile."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from raysys.errors import BundleError, ConfigError
from raysys.policy.context import CONTEXT
from raysys.types import SURFACES, Bools, Floats, Surface


@dataclass(frozen=True, slots=True)
class Choice:
    """The profile chosen for one query, with the odds of choosing it."""

    profile: int
    prob: float
    weights: Floats
    """(S,) weights of the signals."""


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max())
    return np.asarray(shifted / shifted.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Chooses one of A profiles for a context; profile 0 is the incumbent."""

    signals: tuple[str, ...]
    weights: Floats
    """(A, S) weights of the signals, a row for each profile."""
    temperature: float
    """Of the draw; 0 never explores."""
    allowed: Bools
    """(3, A) which profiles a surface may use, in the order of SURFACES."""
    layers: tuple[tuple[Floats, Floats], ...] = ()
    """Weight (in, out) and bias (out,) of each layer, tanh between; none for a constant policy."""

    def __post_init__(self) -> None:
        actions = len(self.weights)
        if self.weights.shape != (actions, len(self.signals)):
            raise ConfigError(f"weights are {self.weights.shape}, expected (A, {len(self.signals)})")
        if self.allowed.shape != (len(SURFACES), actions) or not self.allowed.any(axis=1).all():
            raise ConfigError(
                f"allowed is {self.allowed.shape}, expected (3, {actions}), one profile or more a surface"
            )
        if not 0.0 <= self.temperature < np.inf:
            raise ConfigError(f"temperature is {self.temperature}, must be 0 or more")

    @classmethod
    def constant(cls, signals: tuple[str, ...], weights: Floats, temperature: float) -> Self:
        """One profile (S,) for everybody."""
        return cls(
            signals=signals,
            weights=np.asarray(weights, np.float32)[None, :],
            temperature=temperature,
            allowed=np.ones((len(SURFACES), 1), bool),
        )

    @property
    def id(self) -> str:
        """12 hex of all arrays: equal policies have equal ids."""
        digest = hashlib.sha256(json.dumps([self.signals, self.temperature]).encode())
        for array in (self.weights, self.allowed, *(a for layer in self.layers for a in layer)):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:12]

    def logits(self, context: Floats) -> Floats:
        """Logits (..., A) of every profile for contexts (..., F)."""
        if not self.layers:
            return np.zeros((*context.shape[:-1], len(self.weights)), np.float32)
        hidden = context
        for weight, bias in self.layers[:-1]:
            hidden = np.tanh(hidden @ weight + bias)
        weight, bias = self.layers[-1]
        return np.asarray(hidden @ weight + bias)

    def choose(self, context: Floats, surface: Surface, noise: Floats) -> Choice:
        """Draw a profile from the softmax over those allowed (Gumbel-max).

        Args:
            context: (F,) of `context_vector`.
            surface: where the ranking will be shown; limits the profiles.
            noise: (A,) standard Gumbel noise that belongs to the query; zeros choose the likeliest.
        """
        logits = self._allowed_logits(context, surface)
        profile = int(np.argmax(logits + noise))
        return Choice(profile, float(_softmax(logits)[profile]), self.weights[profile])

    def probs(self, context: Floats, surface: Surface) -> Floats:
        """Odds (A,) of choosing each profile for the context (F,); 0 for one not allowed."""
        return _softmax(self._allowed_logits(context, surface))

    def _allowed_logits(self, context: Floats, surface: Surface) -> Floats:
        return np.where(self.allowed[SURFACES.index(surface)], self.logits(context), -np.inf)

    def save(self, folder: Path) -> None:
        """Write the policy's arrays into `folder`, which must not exist yet."""
        folder.mkdir()
        head = {"signals": self.signals, "temperature": self.temperature, "layers": len(self.layers)}
        (folder / "policy.json").write_text(json.dumps(head | {"context": CONTEXT}))
        np.save(folder / "weights.npy", self.weights, allow_pickle=False)
        np.save(folder / "allowed.npy", self.allowed, allow_pickle=False)
        for number, (weight, bias) in enumerate(self.layers):
            np.save(folder / f"layer{number}_weight.npy", weight, allow_pickle=False)
            np.save(folder / f"layer{number}_bias.npy", bias, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved policy; it must have been learned on the context that this version computes."""
        head = json.loads((folder / "policy.json").read_text())
        if tuple(head["context"]) != CONTEXT:
            raise BundleError(
                f"{folder}: the policy expects the context {head['context']}, this version computes"
                f" {list(CONTEXT)}; learn the policy again"
            )

        def array(name: str) -> Floats:
            loaded: Floats = np.load(folder / f"{name}.npy", allow_pickle=False)
            return loaded

        return cls(
            signals=tuple(head["signals"]),
            weights=array("weights"),
            temperature=head["temperature"],
            allowed=array("allowed").astype(bool),
            layers=tuple((array(f"layer{n}_weight"), array(f"layer{n}_bias")) for n in range(head["layers"])),
        )
