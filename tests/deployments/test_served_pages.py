"""What an operator asks a running replica."""

import httpx

from tests.conftest import Served


def test_a_running_replica_shows_its_document_its_version_and_its_counts(served: Served) -> None:
    assert "/rank" in httpx.get(f"{served.url}/openapi.json").json()["paths"]
    assert httpx.get(f"{served.url}/version").json()["bundle_id"]
    assert httpx.post(f"{served.url}/rank", content=b"{").status_code == 400
    page = httpx.get(f"{served.url}/metrics").text
    assert 'raysys_http_answers_total{route="/rank",status="400"}' in page
