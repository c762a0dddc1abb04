"""The Cryptlex sandbox as a server: records, remote control, connections, and the command that runs it."""

from __future__ import annotations

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from tests.license_servers.cryptlex.sandbox_client import PRODUCT, TOKEN, Api, metadata, pairs


def test_requests_are_recorded_and_counted(box: CryptlexSandbox, api: Api) -> None:
    created = api.license(metadata=metadata(slot="x"))
    api.search("/v3/licenses", {"metadata.value[eq]": "x"})
    api.get(f"/v3/licenses/{created['id']}")
    first, second, third = box.requests
    assert (first.method, first.path, first.status, first.body["productId"]) == ("POST", "/v3/licenses", 201, PRODUCT)
    assert first.response == created
    assert second.query == {"metadata.value[eq]": "x"}
    assert third.template == "/v3/licenses/{id}"
    assert box.request_counts == {"POST /v3/licenses": 1, "GET /v3/licenses": 1, "GET /v3/licenses/{id}": 1}
    box.clear_requests()
    assert (box.requests, box.request_counts) == ([], {})


def test_what_the_sandbox_hands_out_are_copies(box: CryptlexSandbox, api: Api) -> None:
    api.license(metadata=metadata(slot="x"))
    box.licenses[0]["metadata"][0]["value"] = "changed"
    assert pairs(box.licenses[0]) == {"slot": "x"}


def test_reset_forgets_customers_and_keeps_the_catalogue(box: CryptlexSandbox, api: Api) -> None:
    api.license(userId=api.user()["id"])
    box.latency = 0.01
    box.reset()
    assert (box.licenses, box.users, box.requests, box.latency) == ([], [], [], 0.0)
    assert api.get(f"/v3/products/{PRODUCT}").json()["totalLicenses"] == 0


def test_another_process_can_control_it(box: CryptlexSandbox, api: Api) -> None:
    def control(path: str, body: Any = None) -> Any:
        url = f"{box.base_url}/_control/{path}"
        answer = requests.get(url, timeout=5) if body is None else requests.post(url, json=body, timeout=5)
        assert answer.status_code == 200, answer.text
        return answer.json()

    created = api.license(userId=api.user()["id"])
    assert control("licenses") == [created]
    assert control("users") == box.users
    assert control("requests/count") == {"POST /v3/users": 1, "POST /v3/licenses": 1}
    control("faults", {"kind": "status", "status": 500, "method": "GET", "path": "/v3/me"})
    assert control("faults")[0]["fault"]["status"] == 500
    assert [api.get("/v3/me").status_code for _ in range(2)] == [500, 200]
    control("faults", {"random": {"rate": 1, "kinds": ["status"], "seed": 1}})
    assert api.get("/v3/me").status_code == 500
    control("faults", {"clear": True})
    control("latency", {"seconds": 0.01})
    control("visibility-delay", {"seconds": 5})
    assert (box.latency, box.visibility_delay) == (0.01, 5.0)
    assert control("options", {"rate_limit": [100, 5]})["rate_limit"] == [100, 5]
    assert control("templates", {"id": "t", "interval": "P1Y"})["subscriptionInterval"] == "P1Y"
    assert control("products", {"id": "p", "template_id": "t"})["licenseTemplateId"] == "t"
    control("requests/clear", {})
    assert box.requests == []
    control("reset", {})
    assert box.licenses == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"kind": "explode"}),
        ("faults", {"kind": "status", "colour": "red"}),
        ("latency", {"seconds": -1}),
        ("latency", {}),
        ("options", {"colour": "red"}),
    ],
)
def test_a_wrong_control_request_is_400(box: CryptlexSandbox, path: str, body: Any) -> None:
    assert requests.post(f"{box.base_url}/_control/{path}", json=body, timeout=5).status_code == 400


def test_many_threads_at_once_lose_nothing(box: CryptlexSandbox) -> None:
    def create(number: int) -> int:
        client = Api(box)
        status = client.post("/v3/licenses", {"productId": PRODUCT, "metadata": metadata(slot=str(number))}).status_code
        client.session.close()
        return status

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(create, range(100))) == [201] * 100
    assert sorted(int(pairs(entry)["slot"]) for entry in box.licenses) == list(range(100))


def test_one_connection_serves_many_requests_also_sent_ahead_and_in_pieces(box: CryptlexSandbox) -> None:
    head = f"GET /v3/me HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer {TOKEN}\r\n"
    raw = f"{head}\r\n{head}Connection: close\r\n\r\n".encode()
    assert _exchange(box, raw[:30], raw[30:]).count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"G" * 70_000, b"431"),
    ],
)
def test_what_is_no_usable_http_is_refused(box: CryptlexSandbox, raw: bytes, status: bytes) -> None:
    assert _exchange(box, raw).split(b" ")[1] == status


def _exchange(box: CryptlexSandbox, *pieces: bytes) -> bytes:
    """Send the pieces, read until the server closes."""
    host, port = box.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


def test_a_taken_port_is_reported_and_a_stopped_sandbox_can_start_again(box: CryptlexSandbox) -> None:
    port = int(box.base_url.rsplit(":", 1)[1])
    other = CryptlexSandbox()
    with pytest.raises(OSError, match="in use"):
        other.start(port=port)
    other.start()
    other.stop()
    other.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{other.base_url}/v3/status", timeout=5)
    other.start()
    assert requests.get(f"{other.base_url}/v3/status", timeout=5).status_code == 200
    other.stop()


def test_the_command_runs_until_it_is_told_to_stop() -> None:
    command = [sys.executable, "manage.py", "sandbox", "--port", "0", "--token", "t", "--accept-any-product"]
    with subprocess.Popen([*command, "--rate-limit", "3"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        base_url = first.split()[2]
        headers = {"Authorization": "Bearer t"}
        created = requests.post(f"{base_url}/v3/licenses", json={"productId": "p"}, headers=headers, timeout=5)
        statuses = [requests.get(f"{base_url}/v3/me", headers=headers, timeout=5).status_code for _ in range(3)]
        process.terminate()
        assert process.wait(timeout=10) == 0
    assert "access token: t" in first
    assert created.status_code == 201
    assert statuses == [200, 200, 429]
