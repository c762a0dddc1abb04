"""A plain client of the LicenseSpring sandbox, and short ways to write and read what tests need."""

from __future__ import annotations

from typing import Any

import requests

from licensing_integration.sandbox.licensespring import LicenseSpringSandbox

APP, PRO, TEAM, METER = "app", "pro", "team", "meter"
KEY = "K7QX-M2RT-9WZB-4HND"
API_KEY = "prefix.key-of-this-test"
NOBODY = 1_000_000_000_000_000
ROOT = "/api/v1"

PRODUCTS: tuple[dict[str, Any], ...] = (
    {
        "short_code": APP,
        "name": "App",
        "features": (
            {"code": "reports"},
            {"code": "export"},
            {"code": "render", "feature_type": "consumption", "max_consumption": 50},
        ),
        "custom_fields": (
            {"name": "Serial", "default_value": "0"},
            {"name": "Edition", "default_value": "home", "allowed_values": ("home", "studio")},
        ),
        "policies": {"studio": {"max_activations": 25, "license_type": "time-limited", "valid_duration": "1y"}},
    },
    {
        "short_code": PRO,
        "name": "Pro",
        "default_license_type": "subscription",
        "allow_trial": True,
        "trial_days": 14,
        "max_activations": 2,
    },
    {
        "short_code": TEAM,
        "name": "Team",
        "authorization_method": "user",
        "default_license_type": "subscription",
        "max_license_users": 3,
    },
    {"short_code": METER, "name": "Meter", "default_license_type": "consumption", "max_consumptions": 100},
)


class Api:
    """A plain client: no meaning, no retries, and no redirects."""

    def __init__(self, box: LicenseSpringSandbox) -> None:
        self.box = box
        self.orders = 0
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Api-Key {box.api_key}"

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        url = path if path.startswith("http") else f"{self.box.base_url}{ROOT}/{path}"
        return self.session.request(method, url, timeout=5, allow_redirects=False, **options)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.send("GET", path, params=params)

    def page(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self.get(path, **params)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        return page

    def search(self, path: str, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page(path, **params)["results"]
        return found

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.send("POST", path, json=body)

    def patch(self, path: str, body: Any) -> requests.Response:
        return self.send("PATCH", path, json=body)

    def delete(self, path: str) -> requests.Response:
        return self.send("DELETE", path)

    def done(self, answer: requests.Response, status: int = 200) -> Any:
        assert answer.status_code == status, answer.text
        return answer.json()

    def order(self, **members: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.done(self.post("orders/create_order/", order_of(self.next_id(), **members)))
        return made

    def next_id(self) -> str:
        self.orders += 1
        return f"fs-{self.orders}"

    def license(self, product: str = APP, *, item: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
        """One license, ordered alone."""
        wanted = {"product_code": product, "licenses": [members], **(item or {})}
        order = self.order(items=[wanted])
        made: dict[str, Any] = order["order_items"][0]["licenses"][0]
        return made

    def fetch(self, license_id: int) -> dict[str, Any]:
        found: dict[str, Any] = self.done(self.get(f"licenses/{license_id}/"))
        return found

    def change(self, license_id: int, **members: Any) -> dict[str, Any]:
        changed: dict[str, Any] = self.done(self.patch(f"licenses/{license_id}/", members))
        return changed

    def seat(self, email: str = "ada@example.com", **members: Any) -> dict[str, Any]:
        """A license of the user-based product."""
        return self.license(TEAM, users=[{"email": email}], **members)


def order_of(order_id: str, **members: Any) -> dict[str, Any]:
    return {"id": order_id, "items": [{"product_code": APP, "licenses": [{}]}], **members}


def refused(answer: requests.Response, status: int = 400) -> str:
    """The sentence of an error, whatever form the body has."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    for name in ("detail", "message"):
        if name in body:
            return str(body[name])
    (name, texts), *_ = body.items()
    return f"{name}: {texts[0]}"


def refused_as(answer: requests.Response, code: str, status: int = 400) -> str:
    """The sentence of an order that was refused with this code."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    return str(body["message"])
