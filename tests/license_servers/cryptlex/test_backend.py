"""The Cryptlex backend against the strict sandbox: the common contract, and what is peculiar to Cryptlex."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState
from licensing_integration.exceptions import (
    ConfigurationProblem,
    PermanentRemoteError,
    TransientRemoteError,
    UnsupportedOperation,
)
from licensing_integration.license_servers.base import SLOT_METADATA_KEY, Convergence
from licensing_integration.license_servers.cryptlex.backend import CryptlexBackend
from licensing_integration.license_servers.cryptlex.client import CryptlexClient
from licensing_integration.license_servers.cryptlex.values import to_wire
from licensing_integration.license_servers.registry import backend_choices, build_backend
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.http_server import HttpRequest, HttpServer
from tests.license_servers.contract import NEXT_YEAR, SECOND, Feature, LicenseServerContract, new_customer, new_slot
from tests.license_servers.cryptlex.openapi_contract import assert_valid_request

TOKEN = "sandbox-token"
SLOT = "fastspring/subscription/abc/main/1"


@dataclass
class CryptlexHarness:
    """See ``tests.license_servers.contract.Harness``."""

    box: CryptlexSandbox
    backend: CryptlexBackend
    client: CryptlexClient  # somebody else's hands
    product_id: str
    other_product_id: str
    template_id: str
    server: str = "main"
    vendor_key: str = "fastspring_subscription_id"
    secrets: Sequence[str] = (TOKEN,)
    features: frozenset[Feature] = field(default_factory=lambda: frozenset(Feature))

    def backend_with_token(self, token: str) -> CryptlexBackend:
        return CryptlexBackend(name="main", base_url=self.box.base_url, access_token=token)

    def call_count(self) -> int:
        return len(self.box.requests)

    def license_ids(self) -> list[str]:
        return [entry["id"] for entry in self.box.licenses]

    def user_emails(self) -> list[str]:
        return [entry["email"] for entry in self.box.users]

    def make_license(self, *, product_id: str, metadata: Mapping[str, str], **members: object) -> str:
        entries = [{"key": key, "value": value, "viewPermissions": []} for key, value in metadata.items()]
        created = self.client.create_license({"productId": product_id, "metadata": entries, **members})
        return str(created["id"])

    def change_by_hand(self, license_id: str, *, activations: int) -> None:
        self.client.update_license(license_id, body={"allowedActivations": activations})

    def remove(self, license_id: str) -> None:
        self.client.delete_license(license_id)

    def fail_next(self, *, status: int, retry_after: float | None = None) -> None:
        self.box.faults.add(kind="status", status=status, retry_after=None if retry_after is None else int(retry_after))

    def commit_then_drop_next(self, *, method: str) -> None:
        self.box.faults.add(kind="commit_then_drop", method=method)

    def calls(self) -> list[tuple[str, str]]:
        return [(request.method, request.template) for request in self.box.requests]

    def license(self, license_id: str) -> dict[str, Any]:
        return next(entry for entry in self.box.licenses if entry["id"] == license_id)


@pytest.fixture
def harness() -> Iterator[CryptlexHarness]:
    """Every request of a test is checked against the OpenAPI description when the test is over."""
    with CryptlexSandbox(access_token=TOKEN, products=[], templates=[]) as box:
        template = box.add_template(name="Monthly", interval="P1M")
        product = box.add_product(name="App", template_id=template["id"])
        other = box.add_product(name="Other", template_id=template["id"])
        backend = CryptlexBackend(name="main", base_url=box.base_url, access_token=TOKEN)
        client = CryptlexClient("somebody", base_url=box.base_url, access_token=TOKEN)
        yield CryptlexHarness(
            box=box,
            backend=backend,
            client=client,
            product_id=product["id"],
            other_product_id=other["id"],
            template_id=template["id"],
        )
        exchanges = box.requests
        backend.close()
        client.close()
    for request in exchanges:
        assert_valid_request(request.method, request.path, request.raw_query, request.body)


@pytest.fixture
def desired(harness: CryptlexHarness) -> DesiredLicense:
    return DesiredLicense(
        state=LicenseState.ACTIVE,
        server="main",
        product_id=harness.product_id,
        template_id=harness.template_id,
        customer=new_customer(),
        expiry=ExpiryMode.INTERVAL,
        vendor_metadata={"fastspring_subscription_id": "sub-1"},
        metadata={"plan": "gold", "empty": ""},
    )


@contextmanager
def behind(box: CryptlexSandbox, *, change: Callable[[HttpRequest], HttpRequest]) -> Iterator[CryptlexBackend]:
    """A backend whose requests are changed on their way to the sandbox: the server understands something else."""
    server = HttpServer(application=lambda request: box._receive(change(request)))
    port = server.start(host="127.0.0.1", port=0)
    backend = CryptlexBackend(name="main", base_url=f"http://127.0.0.1:{port}", access_token=TOKEN)
    yield backend
    backend.close()
    server.stop()


def without_date(request: HttpRequest) -> HttpRequest:
    if request.method != "POST":
        return request
    members = {name: value for name, value in json.loads(request.body).items() if name != "expiresAt"}
    return replace(request, body=json.dumps(members).encode())


def without_renewal(request: HttpRequest) -> HttpRequest:
    if not request.path.endswith("/renew"):
        return request
    return replace(request, method="GET", path=request.path.removesuffix("/renew"))


def without_filters(request: HttpRequest) -> HttpRequest:
    return replace(request, query="page=1&limit=100") if request.method == "GET" else request


class TestContract(LicenseServerContract):
    @pytest.fixture
    def harness(self, harness: CryptlexHarness) -> CryptlexHarness:
        return harness


# Issuing


def test_a_new_license_for_a_new_customer_takes_two_calls(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    user_id = harness.backend.ensure_user(desired.customer)
    harness.backend.issue(desired, slot=SLOT, user_id=user_id)
    assert harness.calls() == [("POST", "/v3/users"), ("POST", "/v3/licenses")]


def test_one_call_carries_everything_a_license_needs(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    entitlement_set = harness.box.add_entitlement_set(name="pro", product_ids=[harness.product_id])
    user_id = harness.backend.ensure_user(desired.customer)
    wanted = replace(
        desired,
        expiry=ExpiryMode.PAID_THROUGH,
        expires_at=NEXT_YEAR,
        interval="P1Y",
        activations=0,
        floating_clients=4,
        entitlement_set_id=entitlement_set["id"],
        max_release_version="2.1",
        state=LicenseState.SUSPENDED,
    )
    harness.backend.issue(wanted, slot=SLOT, user_id=user_id)
    body = harness.box.requests[-1].body
    metadata = body.pop("metadata")
    assert body == {
        "productId": harness.product_id,
        "licenseTemplateId": harness.template_id,
        "userId": user_id,
        "expiresAt": NEXT_YEAR.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "subscriptionInterval": "P1Y",
        "allowedActivations": 0,
        "allowedFloatingClients": 4,
        "entitlementSetId": entitlement_set["id"],
        "maxAllowedReleaseVersion": "2.1",
        "suspended": True,
    }
    assert metadata == [
        {"key": "plan", "value": "gold", "viewPermissions": []},
        {"key": "fastspring_subscription_id", "value": "sub-1", "viewPermissions": []},
        {"key": SLOT_METADATA_KEY, "value": SLOT, "viewPermissions": []},
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"expiry": ExpiryMode.INTERVAL, "interval": "P1Y", "expires_at": NEXT_YEAR}, {"subscriptionInterval": "P1Y"}),
        ({"expiry": ExpiryMode.INTERVAL, "interval": ""}, {}),
        ({"expiry": ExpiryMode.INTERVAL, "periods": 3, "expires_at": NEXT_YEAR}, {"expiresAt": to_wire(NEXT_YEAR)}),
        ({"expiry": ExpiryMode.TEMPLATE, "expires_at": NEXT_YEAR}, {}),
        ({"expiry": ExpiryMode.TEMPLATE, "interval": "P6M"}, {"subscriptionInterval": "P6M"}),
        ({"expiry": ExpiryMode.PERPETUAL, "interval": "P1Y"}, {"subscriptionInterval": ""}),
        ({"expiry": ExpiryMode.PAID_THROUGH, "expires_at": None}, {}),
    ],
)
def test_only_the_members_of_the_expiry_mode_are_sent(
    harness: CryptlexHarness, desired: DesiredLicense, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    harness.backend.issue(replace(desired, template_id="", **changes), slot=SLOT, user_id="")
    body = harness.box.requests[-1].body
    del body["metadata"]
    assert body == {"productId": harness.product_id, **expected}


@pytest.mark.parametrize("expiry", [ExpiryMode.PAID_THROUGH, ExpiryMode.INTERVAL])
def test_a_date_the_server_did_not_take_over_is_corrected(
    harness: CryptlexHarness, desired: DesiredLicense, expiry: ExpiryMode
) -> None:
    """Whether a date or an interval wins on creation is undocumented; here the interval wins."""
    wanted = replace(desired, expiry=expiry, expires_at=NEXT_YEAR, periods=2)
    with behind(harness.box, change=without_date) as backend:
        snapshot = backend.issue(wanted, slot=SLOT, user_id="")
    assert snapshot.expires_at == NEXT_YEAR
    assert harness.calls() == [("POST", "/v3/licenses"), ("PATCH", "/v3/licenses/{id}/expires-at")]


def test_a_failed_correction_makes_the_caller_look_for_the_license(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    harness.box.faults.add(kind="status", method="PATCH", status=400)
    wanted = replace(desired, expiry=ExpiryMode.PAID_THROUGH, expires_at=NEXT_YEAR)
    with behind(harness.box, change=without_date) as backend, pytest.raises(TransientRemoteError) as failure:
        backend.issue(wanted, slot=SLOT, user_id="")
    assert failure.value.may_have_succeeded
    assert len(harness.backend.find(slot=SLOT, desired=wanted)) == 1


@pytest.mark.parametrize("changes", [{"state": LicenseState.ABSENT}, {"product_id": ""}])
def test_what_cannot_be_issued_makes_no_call(
    harness: CryptlexHarness, desired: DesiredLicense, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="product"):
        harness.backend.issue(replace(desired, **changes), slot=SLOT, user_id="")
    assert harness.calls() == []


# Finding


def test_an_own_license_is_found_with_one_call_and_page_and_limit(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    harness.backend.issue(desired, slot=SLOT, user_id="")
    harness.box.clear_requests()
    assert len(harness.backend.find(slot=SLOT, desired=desired)) == 1
    (request,) = harness.box.requests
    assert request.query == {
        "metadata.key[eq]": SLOT_METADATA_KEY,
        "metadata.value[eq]": SLOT,
        "page": "1",
        "limit": "100",
    }


def test_key_and_value_must_stand_in_the_same_entry(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    harness.make_license(
        product_id=harness.product_id, metadata={SLOT_METADATA_KEY: "another/slot", "note": SLOT, "x": "sub-1"}
    )
    harness.make_license(
        product_id=harness.product_id, metadata={"fastspring_subscription_id": "sub-2", "reference": "sub-1"}
    )
    assert harness.backend.find(slot=SLOT, desired=desired) == []


@pytest.mark.parametrize("value", ["subscription_empty", "transaction_empty", "", "  "])
def test_a_placeholder_or_empty_vendor_id_matches_nothing_and_makes_no_call(
    harness: CryptlexHarness, desired: DesiredLicense, value: str
) -> None:
    if value:
        harness.make_license(product_id=harness.product_id, metadata={"fastspring_subscription_id": value})
    harness.box.clear_requests()
    wanted = replace(desired, vendor_metadata={"fastspring_subscription_id": value})
    assert harness.backend.find(slot=SLOT, desired=wanted) == []
    assert [request.query.get("metadata.key[eq]") for request in harness.box.requests] == [SLOT_METADATA_KEY]


def test_without_a_product_the_vendors_licenses_are_not_searched(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    harness.make_license(product_id=harness.product_id, metadata=desired.vendor_metadata)
    harness.box.clear_requests()
    assert harness.backend.find(slot=SLOT, desired=replace(desired, product_id="")) == []
    assert len(harness.box.requests) == 1


def test_vendor_licenses_come_oldest_first_without_those_of_other_slots(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    vendor = {"fastspring_subscription_id": "sub-1"}
    younger = harness.make_license(product_id=harness.product_id, metadata=vendor)
    older = harness.make_license(product_id=harness.product_id, metadata=vendor, createdAt="2020-01-01T00:00:00Z")
    harness.make_license(product_id=harness.product_id, metadata={**vendor, SLOT_METADATA_KEY: "another/slot"})
    found = harness.backend.find(slot=SLOT, desired=desired)
    assert [snapshot.license_id for snapshot in found] == [older, younger]


def test_the_subscription_id_is_stronger_than_the_order_id(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    """Two subscriptions of one product in one order: the order id alone would find both."""
    own = {"fastspring_order_id": "order-1", "fastspring_subscription_id": "subscription_empty"}
    other = {"fastspring_order_id": "order-1", "fastspring_subscription_id": "sub-2"}
    harness.make_license(product_id=harness.product_id, metadata=other)
    license_id = harness.make_license(product_id=harness.product_id, metadata=own)
    wanted = replace(desired, vendor_metadata={"fastspring_order_id": "order-1", "fastspring_subscription_id": "sub-1"})
    assert [found.license_id for found in harness.backend.find(slot=SLOT, desired=wanted)] == [license_id]


def test_licenses_beyond_the_first_page_are_found(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    for _ in range(101):
        harness.make_license(product_id=harness.product_id, metadata={"fastspring_subscription_id": "sub-1"})
    harness.box.clear_requests()
    assert len(harness.backend.find(slot=SLOT, desired=desired)) == 101
    assert [request.query["page"] for request in harness.box.requests] == ["1", "1", "2"]


# Users


def test_a_user_is_created_with_names_and_a_long_random_password(harness: CryptlexHarness) -> None:
    customer = Customer(email="Ada@Example.com", first_name="Ada", last_name="Lovelace", company="Example GmbH")
    harness.backend.ensure_user(customer)
    harness.backend.ensure_user(Customer(email="grace@example.com"))
    first, second = (request.body for request in harness.box.requests)
    passwords = {first.pop("password"), second.pop("password")}
    assert len(passwords) == 2
    assert all(len(password) >= 24 for password in passwords)
    assert first == {
        "email": "ada@example.com",
        "firstName": "Ada",
        "lastName": "Lovelace",
        "company": "Example GmbH",
        "role": "user",
    }
    assert second == {"email": "grace@example.com", "firstName": "grace", "role": "user"}


@pytest.mark.parametrize("status", [409, 400])
def test_a_taken_address_leads_to_exactly_that_user_who_stays_unchanged(harness: CryptlexHarness, status: int) -> None:
    harness.box.options.duplicate_user_status = status
    harness.client.create_user({"email": "Ada@Example.com", "firstName": "Augusta", "password": "long enough password"})
    harness.box.clear_requests()
    user_id = harness.backend.ensure_user(Customer(email="ada@example.com", first_name="Ada"))
    assert harness.calls() == [("POST", "/v3/users"), ("GET", "/v3/users")]
    assert harness.box.requests[1].query["email[eq]"] == "ada@example.com"
    (user,) = harness.box.users
    assert user["id"] == user_id
    assert user["firstName"] == "Augusta"


def test_a_user_with_another_address_is_never_taken(harness: CryptlexHarness) -> None:
    """However loosely the server matches addresses."""
    customer = new_customer()
    harness.backend.ensure_user(new_customer())
    user_id = harness.backend.ensure_user(customer)
    with behind(harness.box, change=without_filters) as backend:
        assert backend.ensure_user(customer) == user_id


def test_another_refusal_of_a_user_is_not_taken_for_a_duplicate(harness: CryptlexHarness) -> None:
    harness.box.faults.add(kind="status", status=400, message="User quota exhausted.")
    with pytest.raises(PermanentRemoteError, match="User quota exhausted"):
        harness.backend.ensure_user(new_customer())
    assert harness.calls() == [("POST", "/v3/users")]


def test_a_user_that_exists_but_is_not_listed_yet_is_tried_again(harness: CryptlexHarness) -> None:
    customer = new_customer()
    harness.backend.ensure_user(customer)
    harness.box.visibility_delay = 60
    with pytest.raises(TransientRemoteError) as failure:
        harness.backend.ensure_user(customer)
    assert customer.email not in str(failure.value)


# Converging


def issued_by(harness: CryptlexHarness, desired: DesiredLicense) -> Any:
    snapshot = harness.backend.issue(desired, slot=new_slot(), user_id="")
    harness.box.clear_requests()
    return snapshot


def converge(harness: CryptlexHarness, observed: Any, **arguments: Any) -> Convergence:
    return harness.backend.converge(observed, **{"user_id": "", "is_retry": False, **arguments})


def test_state_and_limits_go_in_one_call(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    entitlement_set = harness.box.add_entitlement_set(name="pro", product_ids=[harness.product_id])
    observed = issued_by(harness, desired)
    wanted = replace(
        desired,
        state=LicenseState.SUSPENDED,
        activations=7,
        floating_clients=2,
        entitlement_set_id=entitlement_set["id"],
        max_release_version="3.0",
    )
    done = converge(harness, observed, applied=desired, desired=wanted)
    assert harness.calls() == [("PATCH", "/v3/licenses/{id}")]
    assert harness.box.requests[0].body == {
        "suspended": True,
        "allowedActivations": 7,
        "allowedFloatingClients": 2,
        "entitlementSetId": entitlement_set["id"],
        "maxAllowedReleaseVersion": "3.0",
    }
    assert done.verbs == ("suspended",)


def test_the_date_is_set_before_a_suspension_is_lifted(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    applied = replace(
        desired, state=LicenseState.SUSPENDED, expiry=ExpiryMode.PAID_THROUGH, expires_at=NEXT_YEAR, activations=1
    )
    observed = issued_by(harness, applied)
    wanted = replace(applied, state=LicenseState.ACTIVE, expires_at=NEXT_YEAR + timedelta(days=31))
    done = converge(harness, observed, applied=applied, desired=wanted)
    assert harness.calls() == [("PATCH", "/v3/licenses/{id}/expires-at"), ("PATCH", "/v3/licenses/{id}")]
    assert harness.box.requests[1].body == {"suspended": False}
    assert done.verbs == ("renewed", "reinstated")


def test_a_suspension_comes_before_a_new_date(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    applied = replace(desired, expiry=ExpiryMode.PAID_THROUGH, expires_at=NEXT_YEAR)
    observed = issued_by(harness, applied)
    wanted = replace(applied, state=LicenseState.SUSPENDED, expires_at=NEXT_YEAR + timedelta(days=31))
    converge(harness, observed, applied=applied, desired=wanted)
    assert harness.calls() == [("PATCH", "/v3/licenses/{id}"), ("PATCH", "/v3/licenses/{id}/expires-at")]


def test_reinstating_lifts_a_revocation_as_well(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    applied = replace(desired, state=LicenseState.SUSPENDED)
    observed = issued_by(harness, applied)
    harness.client.update_license(observed.license_id, body={"revoked": True})
    seen = harness.backend.fetch(observed.license_id)
    done = converge(harness, seen, applied=applied, desired=desired)
    assert done.snapshot is not None
    assert done.snapshot.state is LicenseState.ACTIVE


def test_a_state_the_server_did_not_take_over_is_noted(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    """Revoked by hand after we last looked: not undone blindly, but said."""
    applied = replace(desired, state=LicenseState.SUSPENDED)
    observed = issued_by(harness, applied)
    harness.client.update_license(observed.license_id, body={"revoked": True})
    done = converge(harness, observed, applied=applied, desired=desired)
    assert any("revoked" in note for note in done.notes)


def test_a_license_becomes_perpetual(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    observed = issued_by(harness, desired)
    wanted = replace(desired, expiry=ExpiryMode.PERPETUAL)
    done = converge(harness, observed, applied=desired, desired=wanted)
    assert harness.box.requests[0].body == {"expiresAt": None}
    assert done.snapshot is not None
    assert done.snapshot.expires_at is None
    assert converge(harness, done.snapshot, applied=wanted, desired=wanted).verbs == ()


def test_another_customer_gets_the_license_only_when_the_customer_changed(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    observed = issued_by(harness, desired)
    user_id = harness.backend.ensure_user(new_customer())
    harness.box.clear_requests()
    same = replace(desired, customer=replace(desired.customer, first_name="Renamed"))
    assert converge(harness, observed, applied=desired, desired=same, user_id=user_id).verbs == ()
    other = replace(desired, customer=new_customer())
    done = converge(harness, observed, applied=desired, desired=other, user_id=user_id)
    assert done.verbs == ("changed",)
    assert [request.body for request in harness.box.requests] == [{"userId": user_id}]


def test_another_template_is_only_noted(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    observed = issued_by(harness, desired)
    done = converge(harness, observed, applied=desired, desired=replace(desired, template_id="another"))
    assert done.verbs == ()
    assert any("template" in note for note in done.notes)
    assert harness.calls() == []


def test_access_is_taken_away_even_when_the_product_no_longer_fits(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    observed = issued_by(harness, desired)
    wanted = replace(desired, product_id=harness.other_product_id, state=LicenseState.SUSPENDED, activations=9)
    done = converge(harness, observed, applied=desired, desired=wanted)
    assert done.verbs == ("suspended",)
    assert harness.box.requests[0].body == {"suspended": True}
    with pytest.raises(UnsupportedOperation, match="another product"):
        converge(harness, observed, applied=wanted, desired=replace(wanted, state=LicenseState.ACTIVE))


@pytest.mark.parametrize("is_other_server", [True, False])
def test_a_license_that_cannot_become_another_follows_what_is_paid_for(
    harness: CryptlexHarness, desired: DesiredLicense, is_other_server: bool
) -> None:
    """The end date and nothing else: sizes may mean something else there."""
    dated = replace(desired, expiry=ExpiryMode.PAID_THROUGH, expires_at=NEXT_YEAR)
    observed = issued_by(harness, dated)
    elsewhere: dict[str, Any] = {"server": "other"} if is_other_server else {"product_id": harness.other_product_id}
    wanted = replace(dated, **elsewhere, expires_at=NEXT_YEAR + timedelta(days=31), activations=9)
    with pytest.raises(UnsupportedOperation, match="It was renewed all the same") as failure:
        converge(harness, observed, applied=dated, desired=wanted)
    assert failure.value.is_partial
    assert harness.calls() == [("PATCH", "/v3/licenses/{id}/expires-at")]
    # Without access it does not matter any more what product it is of; where it is, does.
    with pytest.raises(UnsupportedOperation, match="It was suspended") if is_other_server else nullcontext():
        converge(harness, observed, applied=dated, desired=replace(dated, **elsewhere, state=LicenseState.SUSPENDED))
    assert harness.calls()[1:] == [("PATCH", "/v3/licenses/{id}")]


def test_renewals_of_a_license_that_cannot_become_another_are_made_once(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    """Nothing of a refused attempt is recorded, so the next one has to see that it renewed."""
    observed = issued_by(harness, desired)
    wanted = replace(desired, product_id=harness.other_product_id, periods=2)
    ends = []
    for is_retry in (False, True):
        with pytest.raises(UnsupportedOperation, match="renewed all the same"):
            converge(harness, observed, applied=desired, desired=wanted, is_retry=is_retry)
        ends.append(harness.box.licenses[0]["expiresAt"])
    assert ends[0] == ends[1]


def test_a_value_no_longer_asked_for_is_kept_and_noted(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    applied = replace(desired, activations=5)
    observed = issued_by(harness, applied)
    done = converge(harness, observed, applied=applied, desired=replace(desired, activations=None))
    assert harness.calls() == []
    assert any("allowedActivations" in note for note in done.notes)


def test_a_404_for_something_else_than_the_license_is_not_taken_for_its_end(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    observed = issued_by(harness, desired)
    harness.box.faults.add(kind="status", method="PATCH", status=404, message="Entitlement set not found.")
    with pytest.raises(PermanentRemoteError, match="Entitlement set"):
        converge(harness, observed, applied=desired, desired=replace(desired, entitlement_set_id="missing"))


# Renewing by interval


def test_a_renewal_is_one_call(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    observed = issued_by(harness, desired)
    done = converge(harness, observed, applied=desired, desired=replace(desired, periods=2))
    assert harness.calls() == [("POST", "/v3/licenses/{id}/renew")]
    assert done.verbs == ("renewed",)


def test_fewer_periods_never_shorten(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    applied = replace(desired, periods=3)
    observed = issued_by(harness, applied)
    assert converge(harness, observed, applied=applied, desired=desired).verbs == ()
    assert converge(harness, observed, applied=applied, desired=desired, is_retry=True).verbs == ()
    assert harness.calls() == []


def test_an_adopted_license_keeps_the_date_of_the_server(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    observed = issued_by(harness, desired)
    done = converge(harness, observed, applied=None, desired=replace(desired, periods=24))
    assert done.verbs == ()
    assert harness.calls() == []


def test_an_adopted_license_that_missed_renewals_gets_what_is_paid(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    observed = issued_by(harness, desired)
    for _ in range(2):
        done = converge(harness, observed, applied=None, desired=replace(desired, periods=9, expires_at=NEXT_YEAR))
        assert done.snapshot is not None
        assert done.snapshot.expires_at == NEXT_YEAR


def test_an_adopted_license_is_never_shortened_in_interval_mode(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    observed = issued_by(harness, desired)
    wanted = replace(desired, expires_at=observed.expires_at - timedelta(days=20))
    assert converge(harness, observed, applied=None, desired=wanted).verbs == ()
    assert harness.calls() == []


@pytest.mark.parametrize(("interval", "calls"), [("P1M", 0), ("P1D", 1)])
def test_a_small_difference_is_only_overlooked_where_intervals_are_long(
    harness: CryptlexHarness, desired: DesiredLicense, interval: str, calls: int
) -> None:
    observed = issued_by(harness, replace(desired, interval=interval))
    wanted = replace(desired, interval=interval, expires_at=observed.expires_at + timedelta(hours=20))
    converge(harness, observed, applied=None, desired=wanted)
    assert len(harness.calls()) == calls


def test_after_a_trial_the_license_goes_on_from_what_is_paid(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    trial = replace(desired, expiry=ExpiryMode.PAID_THROUGH, expires_at=NEXT_YEAR, periods=0)
    observed = issued_by(harness, trial)
    wanted = replace(desired, expires_at=NEXT_YEAR + timedelta(days=31), periods=1)
    for is_retry in (False, True):
        done = converge(harness, observed, applied=trial, desired=wanted, is_retry=is_retry)
        assert done.verbs == ("renewed",)
        assert done.snapshot is not None
        assert done.snapshot.expires_at == NEXT_YEAR + timedelta(days=31)
    assert set(harness.calls()) == {("PATCH", "/v3/licenses/{id}/expires-at")}


def test_a_date_that_falls_to_the_template_is_kept_and_noted(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    applied = replace(desired, expiry=ExpiryMode.PAID_THROUGH, expires_at=NEXT_YEAR)
    observed = issued_by(harness, applied)
    done = converge(harness, observed, applied=applied, desired=replace(desired, expiry=ExpiryMode.TEMPLATE))
    assert done.verbs == ()
    assert any("template" in note for note in done.notes)


def test_periods_counted_under_another_expiry_mode_are_not_made_up_for(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    applied = replace(desired, expiry=ExpiryMode.PAID_THROUGH, expires_at=NEXT_YEAR)
    observed = issued_by(harness, applied)
    done = converge(harness, observed, applied=applied, desired=replace(desired, periods=12))
    assert done.verbs == ()


@pytest.mark.parametrize("interval", ["P1M", "P1D", "PT1H"])
def test_a_retry_sees_whether_the_renewal_was_made(
    harness: CryptlexHarness, desired: DesiredLicense, interval: str
) -> None:
    applied = replace(desired, interval=interval)
    observed = issued_by(harness, applied)
    wanted = replace(applied, periods=2)
    made_up = converge(harness, observed, applied=applied, desired=wanted, is_retry=True)
    assert harness.calls() == [("GET", "/v3/licenses/{id}"), ("PATCH", "/v3/licenses/{id}/expires-at")]
    assert made_up.verbs == ("renewed",)
    harness.box.clear_requests()
    seen = converge(harness, observed, applied=applied, desired=wanted, is_retry=True)
    assert harness.calls() == [("GET", "/v3/licenses/{id}")]
    assert seen.verbs == ("renewed",)
    assert seen.snapshot == made_up.snapshot


def test_a_retry_never_shortens_what_somebody_extended(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    observed = issued_by(harness, desired)
    harness.client.set_expires_at(observed.license_id, expires_at="2099-01-01T00:00:00Z")
    done = converge(harness, observed, applied=desired, desired=replace(desired, periods=2), is_retry=True)
    assert done.snapshot is not None
    assert done.snapshot.expires_at == datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture
def dormant(harness: CryptlexHarness, desired: DesiredLicense) -> DesiredLicense:
    """Terms of a license whose first period begins with its activation."""
    template = harness.box.add_template(name="From activation", interval="P1M", subscriptionStartTrigger="activation")
    return replace(desired, template_id=template["id"])


def test_a_license_that_waits_for_activation_is_not_renewed(harness: CryptlexHarness, dormant: DesiredLicense) -> None:
    observed = issued_by(harness, dormant)
    assert observed.expires_at is None
    done = converge(harness, observed, applied=dormant, desired=replace(dormant, periods=2))
    assert done.verbs == ()
    assert any("activated" in note for note in done.notes)
    assert harness.calls() == [("GET", "/v3/licenses/{id}")]


def test_a_license_activated_since_we_last_looked_is_renewed(harness: CryptlexHarness, dormant: DesiredLicense) -> None:
    observed = issued_by(harness, dormant)
    harness.box.activate(observed.license_id)
    done = converge(harness, observed, applied=dormant, desired=replace(dormant, periods=2))
    assert done.verbs == ("renewed",)
    again = converge(harness, observed, applied=dormant, desired=replace(dormant, periods=2), is_retry=True)
    assert again.snapshot == done.snapshot


def test_a_lost_renewal_of_a_license_activated_meanwhile_is_made_up_for(
    harness: CryptlexHarness, dormant: DesiredLicense
) -> None:
    observed = issued_by(harness, dormant)
    harness.box.activate(observed.license_id)
    before = harness.license(observed.license_id)["expiresAt"]
    for _ in range(2):
        done = converge(harness, observed, applied=dormant, desired=replace(dormant, periods=2), is_retry=True)
        assert done.snapshot is not None
        assert done.snapshot.expires_at is not None
        gained = done.snapshot.expires_at - datetime.fromisoformat(before)
        assert timedelta(days=27) <= gained <= timedelta(days=32)


def test_a_renewal_that_does_not_move_the_date_is_replaced_by_setting_it(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    observed = issued_by(harness, desired)
    with behind(harness.box, change=without_renewal) as backend:
        done = backend.converge(
            observed, applied=desired, desired=replace(desired, periods=3), user_id="", is_retry=False
        )
    assert done.snapshot is not None
    assert done.snapshot.expires_at is not None
    assert timedelta(days=58) <= done.snapshot.expires_at - observed.expires_at <= timedelta(days=63)
    assert harness.calls() == [("GET", "/v3/licenses/{id}"), ("PATCH", "/v3/licenses/{id}/expires-at")]


def test_a_new_interval_is_set_before_renewing(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    observed = issued_by(harness, desired)
    done = converge(harness, observed, applied=desired, desired=replace(desired, interval="P1Y", periods=2))
    assert harness.calls() == [("PATCH", "/v3/licenses/{id}/subscription"), ("POST", "/v3/licenses/{id}/renew")]
    assert done.snapshot is not None
    assert done.snapshot.expires_at is not None
    assert done.snapshot.expires_at - observed.expires_at >= timedelta(days=365)


def test_a_date_within_a_second_counts_as_the_same(harness: CryptlexHarness, desired: DesiredLicense) -> None:
    applied = replace(desired, expiry=ExpiryMode.PAID_THROUGH, expires_at=NEXT_YEAR)
    observed = issued_by(harness, applied)
    near = replace(applied, expires_at=NEXT_YEAR + SECOND / 2)
    assert converge(harness, observed, applied=None, desired=near).verbs == ()
    far = replace(applied, expires_at=NEXT_YEAR + 2 * SECOND)
    assert converge(harness, observed, applied=None, desired=far).verbs == ("renewed",)


# Access, links, registry


def test_a_good_token_has_no_problems(harness: CryptlexHarness) -> None:
    assert harness.backend.check_access() == []


def test_a_bad_token_is_one_problem(harness: CryptlexHarness) -> None:
    (problem,) = harness.backend_with_token("wrong-token").check_access()
    assert "401" in problem
    assert "wrong-token" not in problem


def test_each_missing_permission_is_a_problem_that_names_it(harness: CryptlexHarness) -> None:
    harness.box.permissions = frozenset({"license:read", "license:write", "product:read"})
    problems = harness.backend.check_access()
    assert len(problems) == 2
    assert "user:read" in problems[0]
    assert "licenseTemplate:read" in problems[1]


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.cryptlex.com", "https://app.cryptlex.com/licenses/lic-1"),
        ("https://api.cryptlex.com/", "https://app.cryptlex.com/licenses/lic-1"),
        ("https://api.eu.cryptlex.com", ""),
        ("https://cryptlex-api.example.com", ""),
    ],
)
def test_the_dashboard_is_linked_where_its_address_is_known(base_url: str, url: str) -> None:
    backend = CryptlexBackend(name="main", base_url=base_url, access_token=TOKEN)
    assert backend.dashboard_url("lic-1") == url


def test_the_registry_builds_backends_by_slug() -> None:
    arguments: dict[str, Any] = {"name": "main", "base_url": "https://api.cryptlex.com", "access_token": TOKEN}
    assert isinstance(build_backend("cryptlex", **arguments), CryptlexBackend)
    assert ("cryptlex", "Cryptlex") in backend_choices()
    with pytest.raises(ConfigurationProblem, match="cryptlex"):
        build_backend("criptlex", **arguments)
    with pytest.raises(ConfigurationProblem, match="access token"):
        build_backend("cryptlex", **{**arguments, "access_token": " "})


def test_a_renewal_that_comes_late_adds_nothing_where_the_date_already_covers_it(
    harness: CryptlexHarness, desired: DesiredLicense
) -> None:
    """Several periods were known when the license was issued; the charge of an earlier one arrives afterwards."""
    template = harness.box.add_template(name="Late", interval="P1M")["id"]
    applied = replace(desired, template_id=template, expiry=ExpiryMode.INTERVAL, periods=2, expires_at=NEXT_YEAR)
    observed = issued_by(harness, applied)
    done = converge(harness, observed, applied=applied, desired=replace(applied, periods=3))
    assert done.verbs == ()
    assert done.snapshot is not None
    assert done.snapshot.expires_at == NEXT_YEAR
