"""Jobs start and release to the services of this machine by a layout file, and say what stands in the way."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from raysys.errors import ConfigError
from tuning.serving import ENVIRONMENT, Services, environment


def services(folder: Path, port: int) -> Services:
    return Services(
        folder=folder / "deployments",
        state="sqlite:state.db",
        records=folder / "records",
        pid_file=folder / "serve.pid",
        port=port,
    )


@pytest.fixture
def answering() -> Iterator[int]:
    """A port where bundle `old` seems to serve."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"bundle_id": "old"}).encode())

        def log_message(self, *told: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


def test_what_serves_already_is_left_alone_and_something_else_is_not_run_over(
    answering: int, tmp_path: Path
) -> None:
    ours = services(tmp_path, answering)
    ours.start(Path("bundles/old"))
    assert not ours.layout.exists()
    with pytest.raises(ConfigError, match="make stop"):
        ours.start(Path("bundles/new"))


def test_a_release_changes_the_users_config_and_never_the_arguments(tmp_path: Path) -> None:
    """Changed arguments would replace the replica, a changed user_config is told to it."""
    ours = services(tmp_path, 1)
    layouts = []
    for name in ("first", "second"):
        ours._write(tmp_path / name)
        layouts.append(yaml.safe_load(ours.layout.read_text())["applications"][0])
    assert layouts[0]["args"] == layouts[1]["args"]
    told = [layout["deployments"][0]["user_config"]["bundle"] for layout in layouts]
    assert [Path(path).name for path in told] == ["first", "second"]


def test_the_services_get_serves_own_settings_and_what_is_set_already_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_SERVE_HAPROXY_NBTHREAD", "7")
    monkeypatch.delenv("RAY_SERVE_ENABLE_HA_PROXY", raising=False)
    told = environment()
    assert told["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert told["RAY_SERVE_HAPROXY_NBTHREAD"] == "7"
    assert ENVIRONMENT.exists()


def test_where_nothing_answers_there_is_no_version(tmp_path: Path) -> None:
    assert services(tmp_path, 1).version() is None
