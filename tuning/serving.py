"""Starting, releasing to and asking the services of this machine, from a job."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysys.errors import ConfigError

ENVIRONMENT = Path(__file__).parents[1] / "deployments" / "serve.env"
TEMPLATE = """\
# Written by tuning.serving: the layout of deployments/local.yaml with the bundle that is released.
proxy_location: HeadOnly
http_options: {{host: 127.0.0.1, port: {port}, keep_alive_timeout_s: 75}}
logging_config: {{encoding: JSON, enable_access_log: false}}
applications:
  - name: raysys
    route_prefix: /
    import_path: deployments.app:build
    args: {args}
    deployments:
      - name: raysys
        user_config: {bundle}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The all-in-one application on this machine."""

    folder: Path
    """Where its layout, its log and the number of its process are kept."""
    state: str
    records: Path
    pid_file: Path
    port: int = 8000

    @property
    def layout(self) -> Path:
        return self.folder / "serve.yaml"

    def start(self, bundle: Path, *, patience_s: float = 180.0) -> None:
        """Start in the background and wait until the bundle serves; nothing if it does already.

        Raises:
            ConfigError: the port is taken by something else, or nothing serves in time.
        """
        said = self.version()
        if said is not None and said.get("bundle_id") == bundle.name:
            return
        if said is not None:
            raise ConfigError(f"something else answers at port {self.port} already; `make stop` first")
        self._write(bundle)
        log = (self.folder / "serve.log").open("wb")
        command = [str(Path(sys.executable).with_name("serve")), "run", str(self.layout)]
        process = subprocess.Popen(
            command, env=self._environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.pid_file.write_text(str(process.pid))
        self._wait(bundle.name, patience_s, process)

    def release(self, bundle: Path, *, patience_s: float = 60.0) -> None:
        """Let the running services take another bundle; they serve on while they load it."""
        self._write(bundle)
        serve = str(Path(sys.executable).with_name("serve"))
        command = [serve, "run", "--address", "auto", "--non-blocking", str(self.layout)]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ConfigError(f"serve run failed: {done.stderr[-500:]}")
        self._wait(bundle.name, patience_s)

    def version(self) -> Mapping[str, Any] | None:
        """What `/version` says; None if nothing answers."""
        try:
            return self.get("/version")
        except (urllib.error.HTTPError, json.JSONDecodeError):
            return {}
        except OSError:
            return None

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return json.loads(answer.read())

    def _environment(self) -> dict[str, str]:
        """With a folder of its own for Ray's notes, where a release finds the Ray of these services."""
        return environment() | {"RAY_TMPDIR": str(Path(tempfile.gettempdir()) / f"raysys{self.port}")}

    def _write(self, bundle: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        first = self.folder / "first"
        if not first.exists():
            first.write_text(str(bundle.resolve()))
        # the arguments must stay what they were, or Serve replaces the replica instead of telling it
        args = {"bundle": first.read_text(), "state": self.state, "records": str(self.records.resolve())}
        told = {"bundle": str(bundle.resolve())}
        text = TEMPLATE.format(port=self.port, args=json.dumps(args), bundle=json.dumps(told))
        self.layout.write_text(text)

    def _wait(
        self, bundle_id: str, patience_s: float, process: subprocess.Popen[bytes] | None = None
    ) -> None:
        end = time.monotonic() + patience_s
        said: Mapping[str, Any] | None = None
        while time.monotonic() < end:
            said = self.version()
            if said and said.get("bundle_id") == bundle_id:
                return
            if process is not None and process.poll() is not None:
                break
            time.sleep(0.5)
        log = self.folder / "serve.log"
        raise ConfigError(f"bundle {bundle_id} does not serve; /version says {said}; see {log}")


def environment() -> dict[str, str]:
    """This process's environment with Serve's own settings, which must exist before Ray starts."""
    told = dict(os.environ)
    for line in ENVIRONMENT.read_text().splitlines():
        name, _, value = line.partition("=")
        if value and not name.startswith("#"):
            told.setdefault(name.strip(), value.strip())
    return told
