"""The LicenseSpring backend with a sandbox behind it, as the contract and the tests of what is peculiar need it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.license_servers.licensespring.backend import LicenseSpringBackend
from licensing_integration.license_servers.licensespring.client import LicenseSpringClient
from licensing_integration.license_servers.licensespring.values import licenses_of
from licensing_integration.sandbox.http_server import HttpRequest, HttpServer
from licensing_integration.sandbox.licensespring import LicenseSpringOptions, LicenseSpringSandbox, RecordedRequest
from licensing_integration.sandbox.moments import utc_now
from tests.license_servers.contract import Feature
from tests.license_servers.licensespring.openapi_contract import assert_valid_request

KEY = "prefix.key-of-this-test"
SLOT = "fastspring/subscription/abc/main/1"
PRO, APP, TEAM = "pro", "app", "team"
PRODUCTS: tuple[dict[str, Any], ...] = (
    {
        "short_code": PRO,
        "name": "Pro",
        "default_license_type": "subscription",
        "allow_trial": True,
        "max_activations": 2,
        "features": (
            {"code": "reports"},
            {"code": "export"},
            {"code": "render", "feature_type": "consumption", "max_consumption": 50},
        ),
        "custom_fields": (
            {"name": "Serial", "default_value": "0"},
            {"name": "Edition", "default_value": "home", "allowed_values": ("home", "studio")},
        ),
        "policies": {"studio": {"max_activations": 25}},
    },
    {"short_code": APP, "name": "App"},
    {
        "short_code": TEAM,
        "name": "Team",
        "authorization_method": "user",
        "default_license_type": "subscription",
        "max_license_users": 3,
    },
)


@dataclass
class LicenseSpringHarness:
    """See ``tests.license_servers.contract.Harness``."""

    box: LicenseSpringSandbox
    backend: LicenseSpringBackend
    client: LicenseSpringClient  # somebody else's hands
    server: str = "main"
    product_id: str = PRO
    other_product_id: str = APP
    template_id: str = ""
    vendor_key: str = "fastspring_subscription_id"
    secrets: Sequence[str] = (KEY,)
    features: frozenset[Feature] = frozenset()
    past: list[RecordedRequest] = field(default_factory=list)

    def backend_with_token(self, token: str) -> LicenseSpringBackend:
        return LicenseSpringBackend(name="main", base_url=self.box.base_url, access_token=token)

    def call_count(self) -> int:
        return len(self.box.requests)

    def license_ids(self) -> list[str]:
        return [str(entry["id"]) for entry in self.box.licenses]

    def user_emails(self) -> list[str]:
        return [entry["email"] for entry in self.box.customers]

    def make_license(self, *, product_id: str, metadata: Mapping[str, str], **members: Any) -> str:
        """What LicenseSpring's own integration makes: the subscription's id stands on the order's item."""
        item: dict[str, Any] = {"product_code": product_id, "licenses": [members]}
        if self.vendor_key in metadata:
            item["subscription_id"] = metadata[self.vendor_key]
        order = self.client.create_order({"id": f"fs-{uuid.uuid4().hex}", "append": False, "items": [item]})
        return str(next(licenses_of(order))["id"])

    def change_by_hand(self, license_id: str, *, activations: int) -> None:
        self.change(license_id, max_activations=activations)

    def change(self, license_id: str, **members: Any) -> None:
        self.client.update_license(license_id, body=members)

    def remove(self, license_id: str) -> None:
        self.box.remove_license(int(license_id))

    def fail_next(self, *, status: int, retry_after: float | None = None) -> None:
        self.box.faults.add(kind="status", status=status, retry_after=None if retry_after is None else int(retry_after))

    def commit_then_drop_next(self, *, method: str) -> None:
        self.box.faults.add(kind="commit_then_drop", method=method)

    def calls(self) -> list[tuple[str, str]]:
        return [(request.method, short(request)) for request in self.box.requests]

    def license(self, license_id: str) -> dict[str, Any]:
        return next(entry for entry in self.box.licenses if str(entry["id"]) == license_id)

    def issue(self, desired: DesiredLicense, *, slot: str = SLOT) -> LicenseSnapshot:
        """Issue, and forget the calls it took."""
        snapshot = self.backend.issue(desired, slot=slot, user_id=desired.customer.email)
        self.forget_calls()
        return snapshot

    def forget_calls(self) -> None:
        self.past += self.box.requests
        self.box.clear_requests()


@contextmanager
def running(
    *, options: LicenseSpringOptions | None = None, clock: Callable[[], datetime] = utc_now
) -> Iterator[LicenseSpringHarness]:
    """A sandbox with a backend. Every request is checked against the OpenAPI document at the end."""
    with LicenseSpringSandbox(api_key=KEY, products=PRODUCTS, options=options, clock=clock) as box:
        backend = LicenseSpringBackend(name="main", base_url=box.base_url, access_token=KEY)
        client = LicenseSpringClient("somebody", base_url=box.base_url, access_token=KEY)
        harness = LicenseSpringHarness(box=box, backend=backend, client=client)
        yield harness
        exchanges = [*harness.past, *box.requests]
        backend.close()
        client.close()
    for request in exchanges:
        assert_valid_request(request.method, request.path, request.raw_query, request.body)


def short(request: RecordedRequest) -> str:
    """The path without what all have in common."""
    return request.template.removeprefix("/api/v1/").strip("/")


@contextmanager
def behind(
    box: LicenseSpringSandbox, *, change: Callable[[HttpRequest], HttpRequest]
) -> Iterator[LicenseSpringBackend]:
    """A backend whose requests are changed on their way to the sandbox: the server understands something else."""
    server = HttpServer(application=lambda request: box._receive(change(request)))
    port = server.start(host="127.0.0.1", port=0)
    backend = LicenseSpringBackend(name="main", base_url=f"http://127.0.0.1:{port}", access_token=KEY)
    yield backend
    backend.close()
    server.stop()
