"""One Serve for the whole suite: its settings, and how a layout is deployed on it.

Imported before anything that imports Ray, which reads its settings then.
"""

import os
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

ROOT = Path(__file__).parents[1]
FOLDER = tempfile.mkdtemp(prefix="rs")
"""Of HAProxy's sockets, whose paths must be short."""


def serve_env() -> dict[str, str]:
    """The settings of `deployments/serve.env`."""
    lines = (ROOT / "deployments" / "serve.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def of_our_own(first_port: int) -> dict[str, str]:
    """Ports and sockets that no demo and no other test run on this machine uses."""
    files = {
        "CONFIG_FILE_LOC": "haproxy.cfg",
        "SOCKET_PATH": "admin.sock",
        "SERVER_STATE_BASE": ".",
        "SERVER_STATE_FILE": "server-state",
        "METRICS_SOCKET_PATH": "metrics.sock",
    }
    own = {f"RAY_SERVE_HAPROXY_{name}": f"{FOLDER}/{file}" for name, file in files.items()}
    ports = (
        "HAPROXY_METRICS_PORT",
        "HAPROXY_STATS_PORT",
        "FALLBACK_PROXY_HTTP_PORT",
        "FALLBACK_PROXY_GRPC_PORT",
        "DIRECT_INGRESS_MIN_HTTP_PORT",
    )
    own |= {f"RAY_SERVE_{name}": str(first_port + place) for place, name in enumerate(ports)}
    return own | {"RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first_port + 99)}


os.environ.update(serve_env() | of_our_own(20_000 + os.getpid() % 90 * 100))


def layout(name: str) -> dict[str, Any]:
    """A Serve file under `deployments/`."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "deployments" / f"{name}.yaml").read_text())
    return config


@dataclass(frozen=True, slots=True)
class Served:
    """A running Serve: where it answers, and what it was started with."""

    url: str
    bundles: tuple[Path, Path]
    state: str
    records: Path
    layout: str
    """The YAML file under `deployments/` that runs."""
    over: Mapping[str, Mapping[str, Any]]
    """Options of deployments, by name, that differ from the file's."""
    args: Mapping[str, Any]
    """Arguments of the applications that the file leaves at their defaults."""

    def release(self, bundle: Path) -> None:
        """What `serve run` does with the layout's file once its `user_config` has changed."""
        from ray.serve.context import _get_global_client
        from ray.serve.schema import ServeDeploySchema

        config = layout(self.layout)
        for app in config["applications"]:
            app["args"] |= {"state": self.state, "records": str(self.records), **self.args}
            if "bundle" in app["args"]:
                app["args"]["bundle"] = str(self.bundles[0])
            for deployment in app["deployments"]:
                if "user_config" in deployment:
                    deployment["user_config"] = {"bundle": str(bundle)}
                deployment |= self.over.get(deployment["name"], {})
        _get_global_client().deploy_apps(ServeDeploySchema.model_validate(config), _blocking=False)
        self._roll_out([app["name"] for app in config["applications"]])
        for app in config["applications"]:
            self._wait(app["route_prefix"].rstrip("/"))

    def _roll_out(self, names: Sequence[str]) -> None:
        """Wait until no replica of before answers any more, whose state is another."""
        from ray import serve

        for _ in range(1200):
            told = serve.status().applications
            if all(name in told and told[name].status == "RUNNING" for name in names):
                return
            time.sleep(0.1)
        pytest.fail(f"{self.layout}.yaml does not come up: {serve.status()}")

    def _wait(self, prefix: str) -> None:
        for _ in range(600):
            try:
                if httpx.get(f"{self.url}{prefix}/health").status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        pytest.fail(f"{prefix or '/'} of {self.layout}.yaml does not serve")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
