"""The LicenseSpring sandbox: limits, and the faults it commits on request."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from licensing_integration.sandbox.licensespring import LicenseSpringOptions, LicenseSpringSandbox
from tests.license_servers.clock import Clock
from tests.license_servers.licensespring.sandbox_client import API_KEY, Api, order_of, refused

CREATE = "orders/create_order/"


def test_the_limit_is_the_accounts_and_its_window_rolls(
    box: LicenseSpringSandbox, api: Api, options: LicenseSpringOptions, clock: Clock
) -> None:
    options.rate_limit = (2, 60)
    assert api.get("products/").status_code == 200
    clock.advance(seconds=50)
    api.license()
    assert "50" not in refused(api.post(CREATE, order_of("fs-9")), 429)
    other = requests.get(f"{box.base_url}/api/v1/products/", headers={"Authorization": "Api-Key other"}, timeout=5)
    assert other.status_code == 429
    assert len(box.licenses) == 1
    clock.advance(seconds=10)  # the first request has left the window, the second has not
    assert [api.get("products/").status_code for _ in range(2)] == [200, 429]


def test_how_a_limit_is_told_is_not_certain(api: Api, options: LicenseSpringOptions) -> None:
    options.rate_limit = (0, 60)
    assert "Retry-After" not in api.get("products/").headers
    options.retry_after_sent, options.throttle_status = True, 403
    answer = api.get("products/")
    assert "throttled" in refused(answer, 403)
    assert answer.headers["Retry-After"] == "60"


def test_floods_are_stopped_by_key_and_by_address(
    box: LicenseSpringSandbox, api: Api, options: LicenseSpringOptions, clock: Clock
) -> None:
    options.flood_guards = True

    def count_admitted(key: str) -> int:
        api.session.headers["Authorization"] = f"Api-Key {key}"
        return [api.get("products/").status_code for _ in range(55)].count(429)

    assert count_admitted(API_KEY) == 5  # 50 per second
    clock.advance(seconds=1)
    assert [count_admitted(API_KEY) for _ in range(1)] == [5]
    assert count_admitted("another") == 5
    clock.advance(seconds=1)
    assert count_admitted(API_KEY) >= 15  # 200 per 10 seconds


@pytest.mark.parametrize("status", [400, 401, 403, 409, 429, 500, 502, 503])
def test_a_programmed_status_is_answered_once_and_nothing_is_done(
    box: LicenseSpringSandbox, api: Api, status: int
) -> None:
    box.faults.add(method="POST", path=f"/api/v1/{CREATE}", kind="status", status=status)
    answer = api.post(CREATE, order_of("fs-1"))
    assert refused(answer, status) == "The sandbox was told to fail."
    assert "Retry-After" not in answer.headers
    assert (box.orders, box.licenses) == ([], [])
    assert api.post(CREATE, order_of("fs-1")).status_code == 200


def test_faults_can_send_codes_headers_and_pages_of_a_proxy(box: LicenseSpringSandbox, api: Api) -> None:
    box.faults.add(kind="status", status=429, retry_after=7)
    box.faults.add(kind="status", status=500, code="internal_error", message="Oops")
    box.faults.add(kind="status", status=502, raw_body="<html>")
    assert api.get("products/").headers["Retry-After"] == "7"
    assert api.get("products/").json() == {"status": 500, "code": "internal_error", "message": "Oops"}
    assert api.get("products/").text == "<html>"
    assert api.get("products/").status_code == 200


def test_an_order_may_be_there_although_the_answer_says_no(box: LicenseSpringSandbox, api: Api) -> None:
    box.faults.add(method="POST", path=f"/api/v1/{CREATE}", kind="commit_then_status")
    refused(api.post(CREATE, order_of("fs-1")), 500)
    refused(api.post(CREATE, order_of("fs-1")), 409)
    assert len(api.search("licenses/", order__store_id="fs-1")) == 1


@pytest.mark.parametrize(("kind", "licenses"), [("drop", 0), ("commit_then_drop", 1)])
def test_a_dropped_connection_may_hide_an_order(box: LicenseSpringSandbox, api: Api, kind: str, licenses: int) -> None:
    box.faults.add(method="POST", kind=kind)
    with pytest.raises(requests.ConnectionError):
        api.post(CREATE, order_of("fs-1"))
    assert len(box.licenses) == licenses
    assert [(record.method, record.status) for record in box.requests] == [("POST", 0)]


def test_an_order_can_be_made_after_the_client_has_given_up(box: LicenseSpringSandbox, api: Api) -> None:
    box.faults.add(method="POST", kind="commit_then_delay", seconds=30)
    with pytest.raises(requests.ReadTimeout):
        api.session.post(f"{box.base_url}/api/v1/{CREATE}", json=order_of("fs-1"), timeout=0.2)
    assert len(box.licenses) == 1


def test_faults_are_picked_by_template(box: LicenseSpringSandbox, api: Api) -> None:
    created = api.license()
    fault = box.faults.add(kind="status", method="GET", path="/api/v1/licenses/{id}/", times=2, skip=1)
    path = f"licenses/{created['id']}/"
    assert [api.get(path).status_code for _ in range(4)] == [200, 500, 500, 200]
    assert api.get("licenses/").status_code == 200
    assert fault.hits == 2


def test_random_faults_repeat_with_the_same_seed(box: LicenseSpringSandbox, api: Api) -> None:
    def accidents(seed: int) -> list[int]:
        box.faults.random(rate=0.3, kinds=["status"], seed=seed, status=500)
        return [api.get("products/").status_code for _ in range(40)]

    first: Any = accidents(1)
    assert 4 <= first.count(500) <= 20
    assert accidents(1) == first
    box.faults.random(rate=0)
    assert api.get("products/").status_code == 200
