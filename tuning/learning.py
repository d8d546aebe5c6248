"""Reinforcement learning of the choice of a profile, by RLlib's PPO or DQN, in the fitted simulator."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import ray
import torch
from gymnasium.spaces import Box, Discrete
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.dqn.torch.default_dqn_torch_rl_module import DefaultDQNTorchRLModule
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchCategorical
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModule, RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.tune.registry import register_env
from torch import Tensor, nn

from raysys.behavior.simulator import Choose, Simulator
from raysys.errors import ConfigError
from raysys.policy.export import Layers, linear_layers, softened
from raysys.types import Floats, Ints
from tuning.shadow import AgainstIncumbent

Begin = dict[str, Floats]
"""The arrays of an actor, by torch's names."""
INCUMBENT_LOGIT = 2.0
"""Without a rule to begin at, the incumbent is preferred by so much."""
IMITATION_STEPS, IMITATION_RATE = 300, 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningConfig:
    """How the choice of a profile is learned."""

    algorithm: Literal["ppo", "dqn"] = "ppo"
    env_steps: int = 100_000
    """Pages shown in all."""
    envs: int = 128
    """Sessions side by side."""
    draws: int = 8
    """Of the chance at a page, over which its reward is a mean."""
    hidden: int = 32
    """Width of the network's two tanh layers."""
    rate: float = 5e-3
    gamma: float = 0.99
    lambda_: float = 0.7
    batch: int = 4096
    """Pages between two updates of PPO."""
    minibatch: int = 512
    epochs: int = 8
    entropy: float = 0.0
    begin: float = 0.9
    """PPO: the chance of a page's segment's profile where learning begins; 0 begins at the incumbent."""
    value_temperature: float = 0.02
    """DQN: profiles are drawn from a softmax over values divided by this, in units of reward."""

    def __post_init__(self) -> None:
        if self.algorithm not in ("ppo", "dqn"):
            raise ConfigError(f"algorithm is {self.algorithm!r}, expected ppo or dqn")
        if not 0.0 <= self.begin < 1.0:
            raise ConfigError(f"begin is {self.begin}, expected a chance from 0 to below 1")
        if self.env_steps < 1 or self.draws < 1:
            raise ConfigError(f"env_steps is {self.env_steps}, draws {self.draws}; both must be 1 or more")


class ProfileModule(TorchRLModule, ValueFunctionAPI):  # type: ignore[misc]
    """Logits of A profiles from a context (B, F), and the value of the context, in networks of their own."""

    def setup(self) -> None:
        hidden = self.model_config["hidden"]
        self.actor = _tanh_network(self.observation_space.shape[0], hidden, self.action_space.n)
        self.critic = _tanh_network(self.observation_space.shape[0], hidden, 1)
        self.action_dist_cls = TorchCategorical
        if (begin := self.model_config.get("actor")) is not None:
            self.actor.load_state_dict({name: torch.from_numpy(array) for name, array in begin.items()})
            return
        with torch.no_grad():
            self.actor[-1].weight.zero_()
            self.actor[-1].bias.zero_()
            self.actor[-1].bias[0] = INCUMBENT_LOGIT

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        return {Columns.ACTION_DIST_INPUTS: self.actor(batch[Columns.OBS])}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        value: Tensor = self.critic(batch[Columns.OBS]).squeeze(-1)
        return value


def _tanh_network(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, out)
    )


def imitated(contexts: Floats, profiles: Ints, actions: int, config: LearningConfig, seed: int) -> Begin:
    """An actor that chooses `profiles` (n,) in `contexts` (n, F) with the chance `config.begin`.

    Any other of the A `actions` has an equal share of the rest, so that learning tries them all.
    """
    torch.manual_seed(seed)
    actor = _tanh_network(contexts.shape[1], config.hidden, actions)
    wished = np.full((len(profiles), actions), (1.0 - config.begin) / max(actions - 1, 1), np.float32)
    wished[np.arange(len(profiles)), profiles] = config.begin
    seen, target = torch.from_numpy(contexts), torch.from_numpy(wished)
    optimizer = torch.optim.Adam(actor.parameters(), IMITATION_RATE)
    for _ in range(IMITATION_STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(actor(seen), target).backward()
        optimizer.step()
    return {name: value.detach().numpy() for name, value in actor.state_dict().items()}


def module_spec(config: LearningConfig, width: int, actions: int, begin: Begin | None = None) -> RLModuleSpec:
    """The network of an algorithm, for contexts of `width` F and A `actions`; `begin` is PPO's actor."""
    spaces = {
        "observation_space": Box(-np.inf, np.inf, (width,), np.float32),
        "action_space": Discrete(actions),
    }
    if config.algorithm == "ppo":
        model = {"hidden": config.hidden, "actor": begin}
        return RLModuleSpec(module_class=ProfileModule, model_config=model, **spaces)
    return RLModuleSpec(module_class=DefaultDQNTorchRLModule, model_config=_dqn_model(config), **spaces)


def _dqn_model(config: LearningConfig) -> dict[str, Any]:
    plain = DefaultModelConfig(
        fcnet_hiddens=[config.hidden, config.hidden], fcnet_activation="tanh", head_fcnet_hiddens=[]
    )
    return vars(plain) | {
        "double_q": True,
        "dueling": False,
        "num_atoms": 1,
        "v_min": 0.0,
        "v_max": 0.0,
        "epsilon": [(0, 1.0), (config.env_steps // 2, 0.05)],
    }


def exported(module: RLModule, config: LearningConfig) -> Layers:
    """The layers whose softmax is the learned choice of a profile."""
    state = {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}
    if config.algorithm == "ppo":
        return linear_layers(state, "actor")
    layers = linear_layers(state, "encoder.net.mlp", "af.net.mlp")
    return softened(layers, config.value_temperature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where learning stands after one iteration."""

    env_steps: int
    gain: float
    """Mean gain over the incumbent of the sessions lately ended, exploration included."""
    layers: Layers
    """The policy as it stands."""


def learn(
    simulator: Simulator, config: LearningConfig, seed: int, rule: Choose | None = None
) -> Iterator[Progress]:
    """Learn which profile to choose, yielding at the start and after every iteration; Ray must run.

    Args:
        simulator: profile 0 of its bank is the incumbent that others must beat.
        rule: where PPO begins, by imitation; without one it begins at the incumbent.
    """
    if not simulator.allowed.all():
        raise ConfigError("learning expects a bank that every surface may use")
    name, handle = f"ranking-{uuid4().hex[:8]}", ray.put(simulator)
    register_env(
        name,
        lambda given: AgainstIncumbent(ray.get(handle), given["num_envs"], given["seed"], config.draws),
    )
    begin = None
    if rule is not None and config.algorithm == "ppo" and config.begin > 0.0:
        begin = imitated(*_played(simulator, rule, seed), len(simulator.weights), config, seed)
    algorithm = _algorithm(name, config, simulator, seed, begin)
    try:
        steps = 0
        yield Progress(env_steps=0, gain=np.nan, layers=exported(algorithm.get_module(), config))
        while steps < config.env_steps:
            result = algorithm.train()
            steps = int(result["num_env_steps_sampled_lifetime"])
            gain = float(result["env_runners"].get("episode_return_mean", np.nan))
            yield Progress(env_steps=steps, gain=gain, layers=exported(algorithm.get_module(), config))
    finally:
        algorithm.stop()


def _played(simulator: Simulator, rule: Choose, seed: int) -> tuple[Floats, Ints]:
    """Contexts (n, F) that a rule meets in the simulator, and the profiles (n,) that it chooses."""
    met: list[tuple[Floats, Ints]] = []

    def choose(contexts: Floats, surfaces: Ints) -> Ints:
        met.append((contexts, rule(contexts, surfaces)))
        return met[-1][1]

    simulator.play(choose, simulator.sessions[:2000], seed)
    return np.concatenate([contexts for contexts, _ in met]), np.concatenate([chosen for _, chosen in met])


def _algorithm(
    name: str, config: LearningConfig, simulator: Simulator, seed: int, begin: Begin | None
) -> Algorithm:
    plain: Any = PPOConfig() if config.algorithm == "ppo" else DQNConfig()
    width, actions = simulator.situations.context.shape[1], len(simulator.weights)
    made = (
        plain.environment(name, env_config={"seed": seed}, disable_env_checking=True)
        .env_runners(
            num_env_runners=0,
            num_envs_per_env_runner=config.envs,
            gym_env_vectorize_mode="vector_entry_point",
            rollout_fragment_length="auto" if config.algorithm == "ppo" else 1,
        )
        .learners(num_learners=0)
        .rl_module(rl_module_spec=module_spec(config, width, actions, begin))
        .debugging(seed=seed, log_level="ERROR")
    )
    if config.algorithm == "ppo":
        made.training(
            lr=config.rate, gamma=config.gamma, lambda_=config.lambda_, vf_clip_param=1e9,
            train_batch_size_per_learner=config.batch, minibatch_size=config.minibatch,
            num_epochs=config.epochs, entropy_coeff=config.entropy, clip_param=0.2,
        )  # fmt: skip
    else:
        made.training(
            lr=config.rate, gamma=config.gamma, train_batch_size_per_learner=256, n_step=1,
            double_q=True, dueling=False, num_atoms=1,
            epsilon=[(0, 1.0), (config.env_steps // 2, 0.05)],
            target_network_update_freq=config.env_steps // 50,
            num_steps_sampled_before_learning_starts=config.env_steps // 10,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 50_000},
        )  # fmt: skip
        made.reporting(min_sample_timesteps_per_iteration=config.batch)
    return made.build_algo()
