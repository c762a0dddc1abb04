"""The LicenseSpring sandbox as a server: records, remote control, and the command that runs it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from licensing_integration.sandbox.licensespring import LicenseSpringSandbox
from tests.license_servers.licensespring.sandbox_client import APP, METER, Api, order_of

CREATE = "orders/create_order/"


def control(box: LicenseSpringSandbox, path: str, body: Any = None) -> Any:
    url = f"{box.base_url}/_control/{path}"
    answer = requests.get(url, timeout=5) if body is None else requests.post(url, json=body, timeout=5)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_requests_are_recorded_and_counted(box: LicenseSpringSandbox, api: Api) -> None:
    created = api.license()
    api.fetch(created["id"])
    api.search("licenses/", license_key=created["license_key"])
    assert box.request_counts == {
        "POST /api/v1/orders/create_order/": 1,
        "GET /api/v1/licenses/{id}/": 1,
        "GET /api/v1/licenses/": 1,
    }
    assert box.requests[0].body["id"] == "fs-1"
    assert box.requests[1].response == created
    box.clear_requests()
    assert (box.requests, box.request_counts) == ([], {})


def test_what_the_sandbox_hands_out_are_copies(box: LicenseSpringSandbox, api: Api) -> None:
    api.license(metadata={"slot": "x"})
    box.licenses[0]["metadata"]["slot"] = "changed"
    assert box.licenses[0]["metadata"] == {"slot": "x"}


def test_reset_forgets_customers_and_keeps_the_catalogue(box: LicenseSpringSandbox, api: Api) -> None:
    api.order(customer={"email": "ada@example.com", "is_manager": True})
    box.reset()
    assert (box.licenses, box.orders, box.customers, box.users, box.requests) == ([], [], [], [], [])
    assert len(api.search("products/")) == 4
    assert api.post(CREATE, order_of("fs-1")).status_code == 200


def test_another_process_can_control_it(box: LicenseSpringSandbox, api: Api) -> None:
    order = api.order(customer={"email": "ada@example.com", "is_manager": True}, items=[_meter()])
    (created,) = order["order_items"][0]["licenses"]
    assert control(box, "licenses") == [created]
    assert control(box, "orders") == [order]
    assert control(box, "customers") == box.customers
    assert control(box, "users") == box.users
    assert control(box, "requests/count") == {"POST /api/v1/orders/create_order/": 1}
    control(box, "faults", {"kind": "status", "status": 500, "method": "GET"})
    assert control(box, "faults")[0]["fault"]["status"] == 500
    assert [api.get("products/").status_code for _ in range(2)] == [500, 200]
    control(box, "activate", {"license_id": created["id"], "hardware_id": "h"})
    control(box, "consume", {"license_id": created["id"], "amount": 3})
    assert (box.licenses[0]["times_activated"], box.licenses[0]["total_consumptions"]) == (1, 3)
    assert control(box, "options", {"order_is_atomic": True})["order_is_atomic"] is True
    assert control(box, "products", {"short_code": "new"})["short_code"] == "new"
    assert control(box, "features", {"product": "new", "code": "f"})["code"] == "f"
    assert control(box, "custom-fields", {"product": "new", "name": "n"})["name"] == "n"
    control(box, "remove-license", {"license_id": created["id"]})
    assert box.licenses == []
    control(box, "reset", {})
    assert box.orders == []


def _meter() -> dict[str, Any]:
    return {"product_code": METER, "licenses": [{}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("options", {"colour": "red"}),
        ("products", {"short_code": "x", "colour": "red"}),
        ("features", {"product": "nothing", "code": "x"}),
        ("activate", {}),
        ("latency", {"seconds": -1}),
    ],
)
def test_a_wrong_control_request_is_400(box: LicenseSpringSandbox, path: str, body: Any) -> None:
    assert requests.post(f"{box.base_url}/_control/{path}", json=body, timeout=5).status_code == 400
    assert requests.get(f"{box.base_url}/_control/nothing", timeout=5).status_code == 404


def test_of_fifty_equal_orders_at_once_one_is_made(box: LicenseSpringSandbox) -> None:
    def order(number: int) -> int:
        client = Api(box)
        status = client.post(CREATE, order_of("fs-1", reference=str(number))).status_code
        client.session.close()
        return status

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(order, range(50)))
    assert sorted(statuses) == [200] + 49 * [409]
    assert len(box.licenses) == 1


def test_ids_differ_although_the_clock_stands_still(box: LicenseSpringSandbox, api: Api) -> None:
    api.order(items=[{"product_code": APP, "licenses": [{} for _ in range(30)]}])
    assert len({entry["id"] for entry in box.licenses}) == 30


def test_the_command_runs_until_it_is_told_to_stop() -> None:
    command = [sys.executable, "manage.py", "sandbox", "--server", "licensespring", "--port", "0", "--token", "p.k"]
    options = ["--accept-any-product", "--rate-limit", "3"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        base_url = first.split()[2]
        headers = {"Authorization": "Api-Key p.k"}
        body = order_of("fs-1", items=[{"product_code": "anything", "licenses": [{}]}])
        created = requests.post(f"{base_url}/api/v1/{CREATE}", json=body, headers=headers, timeout=5)
        path = f"{base_url}/api/v1/products/"
        statuses = [requests.get(path, headers=headers, timeout=5).status_code for _ in range(3)]
        process.terminate()
        assert process.wait(timeout=10) == 0
    assert first.startswith("LicenseSpring sandbox: ")
    assert "access token: p.k" in first
    assert created.status_code == 200
    assert statuses == [200, 200, 429]
