"""The files that start raysys say what the code understands, and agree with one another."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from deployments.replica import Args, check_nodes, note_on_ingress, parse_args
from raysys.errors import ConfigError
from tests.serving import ROOT, layout, serve_env

FOLDER = ROOT / "deployments"
LAYOUTS = ("local", "surfaces", "cluster")


def kuberay() -> tuple[dict[str, Any], dict[str, Any]]:
    """The service of kuberay.yaml, and its volume claim."""
    service, claim = yaml.safe_load_all((FOLDER / "kuberay.yaml").read_text())
    return service, claim


def containers() -> list[dict[str, Any]]:
    """Every container of the cluster in kuberay.yaml."""
    cluster = kuberay()[0]["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"]["containers"][0] for group in groups]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_a_serve_config_whose_builders_take_its_arguments(name: str) -> None:
    config = ServeDeploySchema.model_validate(layout(name))
    for app in config.applications:
        module, _, builder = app.import_path.partition(":")
        built = getattr(__import__(module, fromlist=[builder]), builder)(app.args)
        deployment = built._bound_deployment
        assert [deployment.name] == [told.name for told in app.deployments]
        released = [told.user_config for told in app.deployments if isinstance(told.user_config, dict)]
        assert released == [{"bundle": app.args["bundle"]} for _ in released]
        assert bool(released) == ("bundle" in app.args)


@pytest.mark.parametrize("name", ["surfaces", "cluster"])
def test_the_four_applications_share_one_state_and_have_routes_of_their_own(name: str) -> None:
    apps = layout(name)["applications"]
    assert [app["route_prefix"] for app in apps] == ["/", "/ads", "/feed", "/events"]
    assert len({(app["args"]["state"], app["args"]["records"]) for app in apps}) == 1
    assert len({app["args"]["bundle"] for app in apps if "bundle" in app["args"]}) == 1


def test_only_what_is_open_to_other_machines_asks_for_its_own_resource() -> None:
    assert {name: layout(name)["http_options"]["host"] for name in LAYOUTS} == {
        "local": "127.0.0.1",
        "surfaces": "127.0.0.1",
        "cluster": "0.0.0.0",
    }
    assert all(app["args"]["resources"] for app in layout("cluster")["applications"])


@pytest.mark.parametrize("surface", ["app", "search", "ads", "feed", "events"])
def test_a_replica_is_bounded_watched_and_replaced_without_a_gap(surface: str) -> None:
    build = __import__(f"deployments.{surface}", fromlist=["build"]).build
    deployment = build({"bundle": "b"})._bound_deployment
    options = deployment._deployment_config
    assert options.max_ongoing_requests > 0
    assert options.max_queued_requests > 0
    assert (options.backpressure_config.status_code, options.backpressure_config.retry_after_s) == (429, 1)
    assert options.health_check_period_s == 1
    assert options.max_surge_percent == 100
    assert deployment.ray_actor_options["num_cpus"] == Args().num_cpus


@pytest.mark.parametrize(
    ("args", "named"),
    [({"bundel": "x"}, "bundel"), ({"budget_ms": "soon"}, "budget_ms"), ({"resources": 3}, "resources")],
)
def test_a_wrong_argument_is_named(args: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_args(args)


def test_a_command_line_gives_texts() -> None:
    assert parse_args({"bundle": "b", "budget_ms": "250", "num_cpus": "0.5"}).budget_ms == 250


def test_a_search_without_a_bundle_is_refused() -> None:
    from deployments.search import build

    with pytest.raises(ConfigError, match="bundle is missing"):
        build({})


def test_a_sqlite_file_belongs_to_one_node() -> None:
    head = {"Alive": True, "Resources": {"CPU": 4.0, "raysys_state": 1.0}}
    worker, gone = {"Alive": True, "Resources": {"CPU": 4.0}}, {"Alive": False, "Resources": {"CPU": 4.0}}
    check_nodes("sqlite:x", {}, [head, gone])
    check_nodes("sqlite:x", {"raysys_state": 0.001}, [head, worker])
    check_nodes("memory:", {}, [head, worker])
    with pytest.raises(ConfigError, match="2 nodes may run this replica"):
        check_nodes("sqlite:x", {}, [head, worker])


def test_without_haproxy_one_line_says_so() -> None:
    assert note_on_ingress(serve_env()) is None
    note = note_on_ingress({})
    assert note is not None
    assert "serve.env" in note
    assert "\n" not in note


def test_a_shell_reads_serve_env_as_it_stands() -> None:
    command = f"set -eua; env -i true; . {shlex.quote(str(FOLDER / 'serve.env'))}; env"
    shown = subprocess.run(["/bin/sh", "-c", command], env={}, capture_output=True, text=True, check=True)
    read = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    assert serve_env().items() <= read.items()


def test_kuberay_runs_the_cluster_layout_with_the_settings_of_serve_env() -> None:
    service, claim = kuberay()
    assert yaml.safe_load(service["spec"]["serveConfigV2"]) == layout("cluster")
    for container in containers():
        told = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert serve_env().items() <= told.items()
    head = service["spec"]["rayClusterConfig"]["headGroupSpec"]
    (volume,) = head["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    resources = json.loads(json.loads(head["rayStartParams"]["resources"]))
    wanted = layout("cluster")["applications"][0]["args"]["resources"]
    assert all(resources[name] >= amount for name, amount in wanted.items())
    workers = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert all("resources" not in group["rayStartParams"] for group in workers)


def test_the_image_copies_what_is_there_and_starts_what_a_shell_can_read() -> None:
    lines = [
        line for line in (FOLDER / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")
    ]
    steps = [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]
    assert steps[0] == ("FROM", "python:3.11-slim")
    for source in (part for word, rest in steps if word == "COPY" for part in rest.split()[:-1]):
        assert (ROOT / source).exists(), source
    entry, command = (json.loads(dict(steps)[word]) for word in ("ENTRYPOINT", "CMD"))
    for script in (entry[2], command[2]):
        subprocess.run(["/bin/sh", "-n", "-c", script], check=True)
    assert "deployments/cluster.yaml" in command[2]
    probe = entry[2].replace("/app/", f"{ROOT}/")
    shown = subprocess.run(
        ["/bin/sh", "-c", probe, "raysys", "env"], env={}, capture_output=True, text=True, check=True
    )
    assert "RAY_SERVE_ENABLE_HA_PROXY=1" in shown.stdout
    assert {word for word, _ in steps} >= {"USER", "HEALTHCHECK", "EXPOSE"}


def test_no_file_of_a_deployment_names_a_registry() -> None:
    for path in sorted(Path(FOLDER).glob("*")):
        if path.suffix in (".yaml", ".env") or path.name == "Dockerfile":
            assert "://" not in path.read_text().replace("http://127.0.0.1", ""), path
