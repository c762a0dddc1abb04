"""The Cryptlex sandbox: rate limit, latency and the faults it commits on request.

Numbers in comments are those of the list of open questions about the service; each test says how the sandbox answers.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from licensing_integration.sandbox.cryptlex import CryptlexSandbox, SandboxOptions
from tests.license_servers.clock import Clock
from tests.license_servers.cryptlex.sandbox_client import NOBODY, PRODUCT, Api, metadata, refused


def test_every_answer_tells_the_rate_limit(api: Api) -> None:
    headers = api.get("/v3/me").headers
    assert headers["X-Rate-Limit-Limit"] == "5s"
    assert headers["X-Rate-Limit-Remaining"] == "50"
    assert headers["X-Rate-Limit-Reset"] == "2026-01-31T09:30:05.1234560Z"


def test_too_many_requests_in_a_window_are_429_until_it_ends(  # 17
    box: CryptlexSandbox, api: Api, clock: Clock
) -> None:
    box.options.rate_limit = (2, 5)
    assert api.get("/v3/me").headers["X-Rate-Limit-Remaining"] == "1"
    api.license()
    clock.advance(seconds=1.5)
    answer = api.post("/v3/licenses", {"productId": PRODUCT})
    refused(answer, 429)
    assert answer.headers["Retry-After"] == "4"
    assert answer.headers["X-Rate-Limit-Reset"] == "2026-01-31T09:30:05.1234560Z"
    box.options.retry_after_sent = False
    assert "Retry-After" not in api.get("/v3/me").headers
    assert len(box.licenses) == 1
    clock.advance(seconds=3.5)
    assert api.get("/v3/me").status_code == 200


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 502, 503])
def test_a_programmed_status_is_answered_once_and_nothing_is_done(box: CryptlexSandbox, api: Api, status: int) -> None:
    box.faults.add(method="POST", path="/v3/licenses", kind="status", status=status)
    assert api.get("/v3/licenses").status_code == 200
    answer = api.session.post(f"{box.base_url}/v3/licenses", json={"productId": PRODUCT}, timeout=5)
    assert answer.status_code == status
    assert box.licenses == []
    assert not [name for name in answer.headers if name.startswith(("X-Rate", "Retry"))]
    assert api.license()


def test_faults_can_send_headers_and_pages_of_a_proxy(box: CryptlexSandbox, api: Api) -> None:
    box.faults.add(kind="status", status=429, retry_after=7)
    box.faults.add(kind="status", status=429, reset_in=3)
    box.faults.add(kind="status", status=500, raw_body="<html>")
    assert api.get("/v3/me").headers["Retry-After"] == "7"
    assert api.get("/v3/me").headers["X-Rate-Limit-Reset"] == "2026-01-31T09:30:03.1234560Z"
    assert api.get("/v3/me").text == "<html>"
    assert api.get("/v3/me").status_code == 200


def test_a_fault_can_come_after_the_commit(box: CryptlexSandbox, api: Api) -> None:  # 18
    box.faults.add(method="POST", path="/v3/licenses", kind="commit_then_status")
    refused(api.post("/v3/licenses", {"productId": PRODUCT, "metadata": metadata(slot="x")}), 500)
    assert len(api.search("/v3/licenses", {"metadata.value[eq]": "x"})) == 1


@pytest.mark.parametrize(("kind", "licenses"), [("drop", 0), ("commit_then_drop", 1)])
def test_a_dropped_connection_may_hide_a_commit(box: CryptlexSandbox, api: Api, kind: str, licenses: int) -> None:
    box.faults.add(method="POST", path="/v3/licenses", kind=kind)
    with pytest.raises(requests.ConnectionError):
        api.post("/v3/licenses", {"productId": PRODUCT})
    assert len(box.licenses) == licenses
    assert [(record.method, record.status) for record in box.requests] == [("POST", 0)]
    assert api.license()


def test_a_delayed_request_is_carried_out_although_the_client_has_gone(box: CryptlexSandbox, api: Api) -> None:
    box.faults.add(method="POST", kind="delay", seconds=0.2)
    with pytest.raises(requests.ReadTimeout):
        api.session.post(f"{box.base_url}/v3/licenses", json={"productId": PRODUCT}, timeout=0.05)
    assert box.licenses == []
    _wait_until(lambda: len(box.licenses) == 1)


def test_a_commit_can_precede_the_delay(box: CryptlexSandbox, api: Api) -> None:
    box.faults.add(method="POST", kind="commit_then_delay", seconds=30)
    with pytest.raises(requests.ReadTimeout):
        api.session.post(f"{box.base_url}/v3/licenses", json={"productId": PRODUCT}, timeout=0.2)
    assert len(box.licenses) == 1


def _wait_until(is_true: Any) -> None:
    pause = threading.Event()
    for _ in range(500):
        if is_true():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen within five seconds")


def test_faults_are_picked_by_method_template_pattern_and_count(box: CryptlexSandbox, api: Api) -> None:
    created = api.license()
    url = f"/v3/licenses/{created['id']}"
    by_template = box.faults.add(kind="status", method="GET", path="/v3/licenses/{id}", times=2, skip=1)
    by_pattern = box.faults.add(kind="status", status=500, path="/v3/users*", times=None)
    assert [api.get(url).status_code for _ in range(4)] == [200, 500, 500, 200]
    assert [api.get(path).status_code for path in ("/v3/users", f"/v3/users/{NOBODY}", "/v3/me")] == [500, 500, 200]
    assert (by_template.hits, by_pattern.hits) == (2, 2)
    assert box.faults.pending == [by_pattern]
    box.faults.clear()
    assert api.get("/v3/users").status_code == 200


def test_random_faults_repeat_with_the_same_seed(box: CryptlexSandbox, api: Api) -> None:
    def accidents(seed: int) -> list[int]:
        box.faults.random(rate=0.3, kinds=["status"], seed=seed, status=500)
        return [api.get("/v3/me").status_code for _ in range(40)]

    first = accidents(1)
    assert 4 <= first.count(500) <= 20
    assert accidents(1) == first
    assert accidents(2) != first
    box.faults.random(rate=0)
    assert api.get("/v3/me").status_code == 200


def test_an_unknown_kind_of_fault_is_refused(box: CryptlexSandbox) -> None:
    with pytest.raises(ValueError, match="explode"):
        box.faults.add(kind="explode")


def test_latency_delays_each_request_but_not_the_others(box: CryptlexSandbox) -> None:
    box.latency = 0.3
    started = datetime.now(UTC)
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda _: _status_alone(box), range(10)))
    elapsed = (datetime.now(UTC) - started).total_seconds()
    assert statuses == [200] * 10
    assert 0.3 <= elapsed < 2


def _status_alone(box: CryptlexSandbox) -> int:
    return requests.get(f"{box.base_url}/v3/status", timeout=5).status_code


def test_the_rate_limit_can_be_set_from_the_start() -> None:
    with CryptlexSandbox(options=SandboxOptions(rate_limit=(1, 5))) as box:
        assert [_status_alone(box) for _ in range(2)] == [200, 429]
