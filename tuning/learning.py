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

from raysys.behavior.environment import Info, RankingEnv
from raysys.behavior.simulator import Simulator
from raysys.behavior.walk import Walk
from raysys.errors import ConfigError
from raysys.policy.export import Layers, linear_layers, softened
from raysys.types import Bools, Floats, Ints

INCUMBENT_LOGIT = 2.0
"""At the start the incumbent is preferred by so much: learning begins at the best constant profile."""
FAR = 2**31
"""Further apart than the environment's seeds: chance that no episode ever meets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningConfig:
    """How the choice of a profile is learned."""

    algorithm: Literal["ppo", "dqn"] = "ppo"
    env_steps: int = 60_000
    """Pages shown in all."""
    envs: int = 128
    """Sessions side by side."""
    draws: int = 8
    """Of the chance at a page, over which its reward is a mean."""
    hidden: int = 32
    """Width of the network's two tanh layers."""
    rate: float = 1e-3
    gamma: float = 0.99
    lambda_: float = 0.95
    batch: int = 4096
    """Pages between two updates of PPO."""
    minibatch: int = 512
    epochs: int = 8
    entropy: float = 0.003
    value_temperature: float = 0.02
    """DQN: profiles are drawn from a softmax over values divided by this, in units of reward."""

    def __post_init__(self) -> None:
        if self.algorithm not in ("ppo", "dqn"):
            raise ConfigError(f"algorithm is {self.algorithm!r}, expected ppo or dqn")
        if self.env_steps < 1 or self.draws < 1:
            raise ConfigError(f"env_steps is {self.env_steps}, draws {self.draws}; both must be 1 or more")


class AgainstIncumbent(RankingEnv):
    """The environment with what the incumbent would have earned, by the same chance, taken off.

    An incumbent's shadow goes through the same session under the same random numbers, so an
    episode's return is the gain over it. What is taken off does not depend on the actions: the
    policy gradient keeps its expectation and loses most of its variance (input-driven
    baselines, Mao et al. 2018). For the same end a page's reward is a mean over `draws` of the
    chance at that page; the session goes on by the first of them.
    """

    def __init__(self, simulator: Simulator, num_envs: int, seed: int = 0, draws: int = 1) -> None:
        super().__init__(simulator, num_envs, seed)
        self._draws = draws

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Floats, Info]:
        observation, info = super().reset(seed=seed, options=options)
        self._shadow = self._walk.only(np.ones(self.num_envs, np.bool_))
        self._gone = np.zeros(self.num_envs, np.bool_)
        return observation, info

    def step(self, actions: Ints) -> tuple[Floats, Floats, Bools, Bools, Info]:
        begun = self._over.copy()
        more = self._again(self._walk, self._permitted(np.asarray(actions)))
        taken = self._as_incumbent(begun)
        observation, reward, over, never, info = super().step(actions)
        reward = np.where(begun, 0.0, (reward + more) / self._draws)
        behind = over & ~self._gone
        taken[behind] += self._rest(self._shadow.only(behind))
        self._shadow.begin(begun, self._walk.row[begun], self._walk.seed[begun])
        self._gone[begun] = False
        return observation, reward - taken, over, never, info

    def _as_incumbent(self, begun: Bools) -> Floats:
        """What the shadows earn (B,) on their next page, 0 where there is none."""
        profiles = self._incumbent(self._shadow)
        more = self._again(self._shadow, profiles)
        page = self._simulator.step(self._shadow, profiles)
        earned = np.where(begun | self._gone, 0.0, (page.reward + more) / self._draws)
        self._gone |= page.over
        return earned

    def _again(self, walk: Walk, profiles: Ints) -> Floats:
        """The sum of rewards (B,) of the next page of `walk` over all draws but the first."""
        others, size = self._draws - 1, len(walk.row)
        if not others:
            return np.zeros(size)
        many = walk.only(np.tile(np.arange(size), others))
        many.seed = many.seed + FAR * np.repeat(np.arange(1, others + 1), size)
        page = self._simulator.step(many, np.tile(profiles, others))
        return np.asarray(page.reward.reshape(others, size).sum(axis=0))

    def _incumbent(self, walk: Walk) -> Ints:
        return np.asarray(self._first[self._simulator.surfaces(walk)])

    def _rest(self, walk: Walk) -> Floats:
        """What the incumbent earns (B,) from here to the end of each session."""
        earned, left = np.zeros(len(walk.row)), np.arange(len(walk.row))
        while len(left):
            page = self._simulator.step(walk, self._incumbent(walk))
            earned[left] += page.reward
            left, walk = left[~page.over], walk.only(~page.over)
        return earned


class ProfileModule(TorchRLModule, ValueFunctionAPI):  # type: ignore[misc]
    """Logits of A profiles from a context (B, F), and the value of the context, in networks of their own."""

    def setup(self) -> None:
        hidden = self.model_config["hidden"]
        self.actor = _tanh_network(self.observation_space.shape[0], hidden, self.action_space.n)
        self.critic = _tanh_network(self.observation_space.shape[0], hidden, 1)
        self.action_dist_cls = TorchCategorical
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


def module_spec(config: LearningConfig, width: int, actions: int) -> RLModuleSpec:
    """The network of an algorithm, for contexts of `width` F and A `actions`."""
    spaces = {
        "observation_space": Box(-np.inf, np.inf, (width,), np.float32),
        "action_space": Discrete(actions),
    }
    if config.algorithm == "ppo":
        return RLModuleSpec(module_class=ProfileModule, model_config={"hidden": config.hidden}, **spaces)
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


def learn(simulator: Simulator, config: LearningConfig, seed: int) -> Iterator[Progress]:
    """Learn which profile to choose, yielding after every iteration; Ray must run.

    Profile 0 of the simulator's bank is the incumbent that others must beat.
    """
    if not simulator.allowed.all():
        raise ConfigError("learning expects a bank that every surface may use")
    name, handle = f"ranking-{uuid4().hex[:8]}", ray.put(simulator)
    register_env(
        name,
        lambda given: AgainstIncumbent(ray.get(handle), given["num_envs"], given["seed"], config.draws),
    )
    algorithm = _algorithm(name, config, simulator, seed)
    try:
        steps = 0
        while steps < config.env_steps:
            result = algorithm.train()
            steps = int(result["num_env_steps_sampled_lifetime"])
            gain = float(result["env_runners"].get("episode_return_mean", np.nan))
            yield Progress(env_steps=steps, gain=gain, layers=exported(algorithm.get_module(), config))
    finally:
        algorithm.stop()


def _algorithm(name: str, config: LearningConfig, simulator: Simulator, seed: int) -> Algorithm:
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
        .rl_module(rl_module_spec=module_spec(config, width, actions))
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
            target_network_update_freq=2_000, num_steps_sampled_before_learning_starts=2_000,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 50_000},
        )  # fmt: skip
        made.reporting(min_sample_timesteps_per_iteration=config.batch)
    return made.build_algo()
