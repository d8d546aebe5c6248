"""An application tells what it can do and what it did, in the words of its own structs."""

import asyncio
import re
from typing import Any, cast

import httpx
import pytest

from deployments.compose import compose
from deployments.http import Reply, Request
from deployments.live import LiveBundle
from deployments.openapi import BODIES, document
from raysys.state.memory import MemoryStore


async def answer(request: Request) -> Reply:
    return Reply({"told": request.tail})


ROUTES = {
    ("POST", "/rank"): answer,
    ("POST", "/ads/decide"): answer,
    ("POST", "/events"): answer,
    ("GET", "/events/users/*"): answer,
    ("GET", "/version"): answer,
    ("GET", "/health"): answer,
}


def calls(*asked: tuple[str, str], prefix: str = "", keys: tuple[str, ...] = ()) -> list[httpx.Response]:
    """The answers of one application to several calls."""

    async def all_of_them() -> list[httpx.Response]:
        app = compose(ROUTES, LiveBundle(MemoryStore(), None), prefix=prefix, api_keys=keys)
        transport = httpx.ASGITransport(cast(Any, app))
        async with httpx.AsyncClient(transport=transport, base_url="http://raysys") as client:
            return [await client.request(method, path) for method, path in asked]

    return asyncio.run(all_of_them())


def test_answers_are_counted_by_route_and_no_user_id_becomes_a_label() -> None:
    page = calls(
        ("POST", "/rank"), ("POST", "/rank"), ("GET", "/events/users/ann"), ("GET", "/x"), ("GET", "/metrics")
    )[-1].text
    assert 'raysys_http_answers_total{route="/rank",status="200"} 2.0' in page
    assert 'raysys_http_answers_total{route="/events/users/*",status="200"} 1.0' in page
    assert 'raysys_http_answers_total{route="other",status="404"} 1.0' in page
    assert "raysys_bundle_serves 0.0" in page
    assert "ann" not in re.sub("[a-z]*_[a-z_]*", "", page)


def test_a_user_id_may_hold_a_slash_and_other_letters() -> None:
    for path, user in (("a/b", "a/b"), ("a%2Fb", "a/b"), ("%C3%A9", "é")):
        assert calls(("GET", f"/events/users/{path}"))[0].json() == {"told": user}
    asked = (("GET", "/events/users/"), ("POST", "/events/users/ann"))
    assert [reply.status_code for reply in calls(*asked)] == [404, 405]


def test_a_dialect_tells_its_errors_in_its_own_body() -> None:
    assert set(calls(("GET", "/v2/rerank"))[0].json()) == {"message", "detail", "id"}
    assert set(calls(("GET", "/rank"))[0].json()) == {"error"}


def test_an_application_at_a_prefix_has_only_what_is_below_it() -> None:
    asked = [("POST", "/events"), ("GET", "/events/version"), ("POST", "/rank"), ("GET", "/version")]
    assert [reply.status_code for reply in calls(*asked, prefix="/events")] == [200, 200, 404, 404]
    paths = calls(("GET", "/events/openapi.json"), prefix="/events")[0].json()["paths"]
    assert set(paths) == {
        "/events",
        "/events/users/{user_id}",
        *(f"/events/{name}" for name in ("version", "health", "metrics", "openapi.json")),
    }
    assert all(operation["summary"] for path in paths.values() for operation in path.values())


def test_metrics_and_the_document_ask_for_a_key_like_every_route_but_health() -> None:
    asked = [("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/version"), ("GET", "/health")]
    assert [reply.status_code for reply in calls(*asked, keys=("k",))] == [401, 401, 401, 200]


@pytest.mark.parametrize("path", sorted(BODIES))
def test_the_document_describes_each_body_and_every_reference_in_it_leads_somewhere(path: str) -> None:
    told = document([("POST", path)])
    operation = told["paths"][path.replace("*", "{model}")]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]
    for name in re.findall("#/components/schemas/([A-Za-z_]+)", str(told)):
        assert name in told["components"]["schemas"]


def test_a_bug_is_a_500_whose_log_says_where_and_names_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(request: Request) -> Reply:
        raise KeyError(request.tail)

    async def work() -> httpx.Response:
        app = compose({("GET", "/events/users/*"): breaks}, LiveBundle(MemoryStore(), None))
        transport = httpx.ASGITransport(cast(Any, app))
        async with httpx.AsyncClient(transport=transport, base_url="http://raysys") as client:
            return await client.get("/events/users/ann", headers={"x-request-id": "r-1"})

    response = asyncio.run(work())
    assert (response.status_code, response.headers["x-request-id"]) == (500, "r-1")
    (record,) = caplog.records
    assert record.__dict__["request_id"] == "r-1"
    assert record.__dict__["error"] == "KeyError"
    assert any("breaks" in frame for frame in record.__dict__["where"])
    assert "ann" not in caplog.text


def test_parts_that_were_missing_and_what_waits_are_on_the_page_of_metrics() -> None:
    live = LiveBundle(MemoryStore(), None)
    live.meters.degraded(["encoder", "state"])
    live.meters.degraded(["state"])
    live.meters.watch("raysys_reads_held", "told twice", lambda: 1.0)
    live.meters.watch("raysys_reads_held", "told twice", lambda: 2.0)
    page = asyncio.run(live.meters.page(Request("/metrics", "", b""))).body.decode()
    assert 'raysys_degraded_total{part="state"} 2.0' in page
    assert 'raysys_degraded_total{part="encoder"} 1.0' in page
    assert "raysys_reads_held 2.0" in page
