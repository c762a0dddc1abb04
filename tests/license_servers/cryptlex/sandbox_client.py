"""A plain client of the Cryptlex sandbox, and short ways to write and read what tests need."""

from __future__ import annotations

from typing import Any

import requests

from licensing_integration.sandbox.cryptlex import CryptlexSandbox

PRODUCT = "6d1f2f5e-2a1e-4a53-9f0e-3f7f7c1c5a10"
MONTHLY = "0b0f5a3a-6f1e-4d52-8b6c-0a1d2c3b4e01"
PERPETUAL = "0b0f5a3a-6f1e-4d52-8b6c-0a1d2c3b4e02"
NOBODY = "00000000-0000-4000-8000-000000000000"
KEY = "5F1C7A-90B3D2-44E18C-0A6B7F-C1D2E3-F40516"
TOKEN = "token-of-this-test"


class Api:
    """A plain client: no meaning, no retries."""

    def __init__(self, box: CryptlexSandbox) -> None:
        self.box = box
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {box.access_token}"

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, f"{self.box.base_url}{path}", timeout=5, **options)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.send("GET", path, params=params)

    def search(self, path: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self.send("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.send("POST", path, json=body)

    def patch(self, path: str, body: Any) -> requests.Response:
        return self.send("PATCH", path, json=body)

    def delete(self, path: str) -> requests.Response:
        return self.send("DELETE", path)

    def license(self, **members: Any) -> dict[str, Any]:
        answer = self.post("/v3/licenses", {"productId": PRODUCT, **members})
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def user(self, email: str = "ada@example.com", **members: Any) -> dict[str, Any]:
        body = {"email": email, "firstName": "Ada", "password": "correct-horse", **members}
        answer = self.post("/v3/users", body)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created


def metadata(**entries: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in entries.items()]


def pairs(resource: dict[str, Any]) -> dict[str, str]:
    return {entry["key"]: entry["value"] for entry in resource["metadata"]}


def refused(answer: requests.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    message: str = answer.json()["message"]
    return message
