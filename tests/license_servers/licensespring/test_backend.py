"""The LicenseSpring backend against the strict sandbox: the common contract, issuing and finding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState, LicenseType
from licensing_integration.exceptions import (
    ConfigurationProblem,
    CredentialsRejected,
    InvalidTerm,
    PermanentRemoteError,
    TransientRemoteError,
    UnsupportedOperation,
)
from licensing_integration.license_servers.base import SLOT_METADATA_KEY
from licensing_integration.license_servers.licensespring import backend as module
from licensing_integration.license_servers.licensespring.client import MOST_PAGES
from licensing_integration.license_servers.licensespring.orders import order_id_of, order_number
from licensing_integration.license_servers.registry import backend_choices, build_backend
from licensing_integration.sandbox.http_server import HttpRequest, HttpServer, Reply
from licensing_integration.sandbox.licensespring import LicenseSpringOptions
from tests.license_servers.clock import Clock
from tests.license_servers.contract import NEXT_YEAR, LicenseServerContract, new_customer, new_slot
from tests.license_servers.licensespring.harness import (
    APP,
    KEY,
    PRO,
    SLOT,
    TEAM,
    LicenseSpringHarness,
    behind,
    running,
)

LAST_SECOND = NEXT_YEAR.replace(hour=23, minute=59, second=59)
DAY = f"{NEXT_YEAR:%Y-%m-%d}"
BUYER = Customer(
    email="ada@customer.example", first_name="Ada", last_name="Example", company="Example Ltd", external_id="acc-1"
)
NEW_ORDER = [("GET", "products"), ("GET", "orders/generate_license"), ("POST", "orders/create_order")]
AGAIN = NEW_ORDER[1:]


@pytest.fixture
def options() -> LicenseSpringOptions:
    return LicenseSpringOptions()


@pytest.fixture
def harness(options: LicenseSpringOptions) -> Iterator[LicenseSpringHarness]:
    with running(options=options) as harness:
        yield harness


@pytest.fixture
def old_orders(options: LicenseSpringOptions) -> Iterator[LicenseSpringHarness]:
    """The same, with a server whose clock stands still long ago."""
    with running(options=options, clock=Clock()) as harness:
        yield harness


@pytest.fixture
def desired() -> DesiredLicense:
    return DesiredLicense(
        state=LicenseState.ACTIVE,
        server="main",
        product_id=PRO,
        customer=BUYER,
        expiry=ExpiryMode.PAID_THROUGH,
        expires_at=NEXT_YEAR,
        vendor_metadata={"fastspring_subscription_id": "sub-1"},
        metadata={"plan": "gold", "empty": ""},
    )


def body_of(harness: LicenseSpringHarness) -> dict[str, Any]:
    order = next(request for request in harness.box.requests if request.path.endswith("/create_order/"))
    body: dict[str, Any] = order.body
    return body


def license_of(harness: LicenseSpringHarness) -> dict[str, Any]:
    """The license of the order that was sent, without key and metadata."""
    ((wanted,),) = [item["licenses"] for item in body_of(harness)["items"]]
    return {name: value for name, value in wanted.items() if name not in {"key", "metadata"}}


class TestContract(LicenseServerContract):
    end = LAST_SECOND

    @pytest.fixture
    def harness(self, harness: LicenseSpringHarness) -> LicenseSpringHarness:
        return harness


# Issuing


def test_a_new_license_takes_a_key_and_an_order(harness: LicenseSpringHarness, desired: DesiredLicense) -> None:
    user_id = harness.backend.ensure_user(desired.customer)
    snapshot = harness.backend.issue(desired, slot=SLOT, user_id=user_id)
    assert harness.calls() == NEW_ORDER
    assert snapshot.key == body_of(harness)["items"][0]["licenses"][0]["key"]
    assert snapshot.user_id == user_id


def test_the_product_is_asked_for_once_in_a_while(harness: LicenseSpringHarness, desired: DesiredLicense) -> None:
    harness.issue(desired)
    harness.issue(desired, slot=new_slot())
    harness.backend.issue(desired, slot=new_slot(), user_id="")
    assert harness.calls() == AGAIN


def test_a_products_settings_are_not_believed_for_ever(
    harness: LicenseSpringHarness, desired: DesiredLicense, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PRODUCT_SECONDS", -1.0)
    harness.issue(desired)
    harness.backend.issue(desired, slot=new_slot(), user_id="")
    assert harness.calls() == NEW_ORDER


def test_one_order_carries_everything_a_license_needs(harness: LicenseSpringHarness, desired: DesiredLicense) -> None:
    wanted = replace(
        desired,
        state=LicenseState.SUSPENDED,
        is_trial=True,
        template_id="studio",
        activations=7,
        floating_clients=4,
        is_floating_cloud=True,
        grace_hours=48,
        is_maintained=True,
        maintenance_duration="1y",
        max_consumptions=9,
        features=("export", "reports"),
        custom_fields={"Serial": "222"},
        is_customer_manager=True,
    )
    snapshot = harness.backend.issue(wanted, slot=SLOT, user_id="")
    assert harness.calls() == NEW_ORDER
    body = body_of(harness)
    assert license_of(harness) == {
        "license_type": "subscription",
        "is_trial": True,
        "validity_period": DAY,
        "policy_code": "studio",
        "is_floating_cloud": True,
        "floating_users": 4,
        "max_activations": 7,
        "allow_grace_period": True,
        "grace_period": 48,
        "enable_maintenance_period": True,
        "maintenance_duration": "1y",
        "max_consumptions": 9,
        "product_features": [{"code": "export"}, {"code": "reports"}],
        "custom_fields": [{"name": "Serial", "value": "222"}],
        "enabled": False,
    }
    item = body.pop("items")[0]
    assert item.pop("licenses")[0]["metadata"] == {
        "plan": "gold",
        "fastspring_subscription_id": "sub-1",
        SLOT_METADATA_KEY: SLOT,
    }
    assert item == {"product_code": PRO, "subscription_id": "sub-1"}
    assert body == {
        "id": order_id_of(SLOT),
        "append": False,
        "customer": {
            "email": "ada@customer.example",
            "first_name": "Ada",
            "last_name": "Example",
            "company_name": "Example Ltd",
            "reference": "acc-1",
            "is_manager": True,
        },
    }
    assert snapshot.state is LicenseState.SUSPENDED
    assert snapshot.is_trial
    assert snapshot.features == ("export", "reports")
    assert (snapshot.activations, snapshot.floating_clients) == (7, 4)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"license_type": "subscription", "is_trial": False, "validity_period": DAY}),
        (
            {"license_type": LicenseType.TIME_LIMITED, "valid_duration": "1y"},
            {"license_type": "time-limited", "is_trial": False, "validity_period": DAY},
        ),
        ({"expires_at": None}, {}),
        ({"expiry": ExpiryMode.PERPETUAL}, {"license_type": "perpetual"}),
        ({"expiry": ExpiryMode.PERPETUAL, "valid_duration": "1y", "grace_hours": 5}, {"license_type": "perpetual"}),
        (
            {"expiry": ExpiryMode.PERPETUAL, "license_type": LicenseType.CONSUMPTION, "max_consumptions": 5},
            {"license_type": "consumption", "max_consumptions": 5},
        ),
        ({"expiry": ExpiryMode.TEMPLATE}, {}),
        ({"expiry": ExpiryMode.TEMPLATE, "is_trial": True}, {"is_trial": True}),
        ({"expiry": ExpiryMode.TEMPLATE, "valid_duration": "2w"}, {}),  # the product's licenses are subscriptions
        (
            {"expiry": ExpiryMode.TEMPLATE, "license_type": LicenseType.TIME_LIMITED, "valid_duration": "2w"},
            {"license_type": "time-limited", "valid_duration": "2w"},
        ),
        (
            {"expiry": ExpiryMode.TEMPLATE, "license_type": LicenseType.TIME_LIMITED, "interval": "P6M"},
            {"license_type": "time-limited", "valid_duration": "6m"},
        ),
        (
            {"expiry": ExpiryMode.INTERVAL, "interval": "P1Y"},
            {"license_type": "subscription", "is_trial": False, "validity_period": DAY},
        ),
        (
            {"expiry": ExpiryMode.INTERVAL, "interval": "PT48H", "expires_at": None},
            {"license_type": "time-limited", "valid_duration": "2d"},
        ),
        ({"expiry": ExpiryMode.INTERVAL, "interval": "", "expires_at": None}, {}),
    ],
)
def test_only_the_members_of_the_expiry_mode_are_sent(
    harness: LicenseSpringHarness, desired: DesiredLicense, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    harness.backend.issue(replace(desired, **changes), slot=SLOT, user_id="")
    assert license_of(harness) == expected
    assert harness.calls() == NEW_ORDER


@pytest.mark.parametrize("interval", ["PT36H", "P3M10D", "P0D", "soon"])
def test_an_interval_without_a_word_for_it_is_a_configuration_problem(
    harness: LicenseSpringHarness, desired: DesiredLicense, interval: str
) -> None:
    wanted = replace(desired, expiry=ExpiryMode.INTERVAL, expires_at=None, interval=interval)
    with pytest.raises(InvalidTerm, match=interval):
        harness.backend.issue(wanted, slot=SLOT, user_id="")
    assert harness.license_ids() == []


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2031, 2, 14, tzinfo=UTC), "2031-02-14"),
        (datetime(2031, 2, 14, 0, 0, 1, tzinfo=UTC), "2031-02-14"),
        (datetime(2031, 2, 14, 23, 59, 59, tzinfo=UTC), "2031-02-14"),
        (datetime.fromisoformat("2031-02-15T01:00:00+02:00"), "2031-02-14"),
        (datetime.fromisoformat("2031-02-14T22:00:00-05:00"), "2031-02-15"),
    ],
)
def test_a_license_is_valid_through_the_day_of_its_end_in_utc(
    harness: LicenseSpringHarness, desired: DesiredLicense, moment: datetime, day: str
) -> None:
    snapshot = harness.backend.issue(replace(desired, expires_at=moment), slot=SLOT, user_id="")
    assert license_of(harness)["validity_period"] == day
    assert snapshot.expires_at is not None
    assert moment <= snapshot.expires_at < moment + timedelta(days=1)


@pytest.mark.parametrize("shown", ["date", "datetime"])
def test_an_end_date_is_read_in_either_form(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense, shown: Any
) -> None:
    options.expiry_shown = shown
    assert harness.issue(desired).expires_at == LAST_SECOND


def test_an_end_date_the_server_lost_is_corrected(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    options.expiry_lost = True
    assert harness.backend.issue(desired, slot=SLOT, user_id="").expires_at == LAST_SECOND
    assert harness.calls() == [*NEW_ORDER, ("PATCH", "licenses/{id}")]
    assert harness.box.requests[-1].body == {"is_trial": False, "validity_period": DAY}


def without_enabled(request: HttpRequest) -> HttpRequest:
    if not request.path.endswith("/create_order/"):
        return request
    body = json.loads(request.body)
    body["items"][0]["licenses"][0].pop("enabled", None)
    return replace(request, body=json.dumps(body).encode())


def test_a_license_made_enabled_although_it_should_not_be_is_disabled(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    with behind(harness.box, change=without_enabled) as backend:
        snapshot = backend.issue(replace(desired, state=LicenseState.SUSPENDED), slot=SLOT, user_id="")
    assert snapshot.state is LicenseState.SUSPENDED
    assert not harness.license(snapshot.license_id)["enabled"]


def test_a_failed_correction_makes_the_caller_look_for_the_license(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    options.expiry_lost = True
    harness.box.faults.add(kind="status", method="PATCH", status=400)
    with pytest.raises(TransientRemoteError) as failure:
        harness.backend.issue(desired, slot=SLOT, user_id="")
    assert failure.value.may_have_succeeded
    assert len(harness.backend.find(slot=SLOT, desired=desired)) == 1


def test_the_end_of_a_subscription_is_noted_on_a_new_license(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    """An order cannot say it: the note of a license is set by a change."""
    wanted = replace(desired, end_date_note=NEXT_YEAR.date())
    assert harness.backend.issue(wanted, slot=SLOT, user_id="").note == f"End Date: {DAY}"
    assert harness.box.requests[-1].body == {"note": f"End Date: {DAY}"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"activations": 0}, {"allow_unlimited_activations": True}),
        ({"floating_clients": 2}, {"is_floating_cloud": True, "floating_users": 2}),
        ({"floating_clients": 3}, {"is_floating_cloud": True, "floating_users": 3, "max_activations": 3}),
        (
            {"floating_clients": 8, "activations": 5},
            {"is_floating_cloud": True, "floating_users": 8, "max_activations": 8},
        ),
        (
            {"floating_clients": 8, "activations": 20},
            {"is_floating_cloud": True, "floating_users": 8, "max_activations": 20},
        ),
        (
            {"floating_clients": 8, "activations": 0},
            {"is_floating_cloud": True, "floating_users": 8, "allow_unlimited_activations": True},
        ),
        (
            {"floating_clients": 8, "template_id": "studio"},
            {"policy_code": "studio", "floating_users": 8},
        ),
        ({"users": 5}, {}),  # the product is key-based
        ({"users": 5, "activations": 5}, {"max_activations": 5}),
        (
            {"floating_clients": 2, "template_id": "studio", "is_floating_cloud": True},
            {"policy_code": "studio", "is_floating_cloud": True, "floating_users": 2},
        ),
        ({"grace_hours": 0}, {"allow_grace_period": False, "grace_period": 0}),
        ({"is_maintained": False, "maintenance_duration": "1y"}, {"enable_maintenance_period": False}),
        ({"maintenance_duration": "1y"}, {"enable_maintenance_period": True, "maintenance_duration": "1y"}),
    ],
)
def test_sizes_and_switches(
    harness: LicenseSpringHarness, desired: DesiredLicense, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    """There cannot be more simultaneous users than activations: the activations are raised, never a policy's."""
    harness.backend.issue(replace(desired, **changes), slot=SLOT, user_id="")
    sent = license_of(harness)
    for name in ("license_type", "is_trial", "validity_period"):
        del sent[name]
    assert sent == expected


@pytest.mark.parametrize(
    ("is_manager", "expected"), [(None, {"is_manager": True}), (True, {"is_manager": True}), (False, {})]
)
def test_a_user_based_license_has_a_user_and_no_key(
    harness: LicenseSpringHarness, desired: DesiredLicense, is_manager: bool | None, expected: dict[str, bool]
) -> None:
    wanted = replace(desired, product_id=TEAM, activations=5, users=5, is_customer_manager=is_manager)
    snapshot = harness.backend.issue(wanted, slot=SLOT, user_id="")
    assert harness.calls() == [NEW_ORDER[0], NEW_ORDER[2]]
    sent = body_of(harness)["items"][0]["licenses"][0]
    assert "key" not in sent
    assert sent["users"] == [{"email": BUYER.email, "is_manager": bool(expected)}]
    assert sent["max_license_users"] == 5
    assert "max_activations" not in sent
    assert body_of(harness)["customer"].get("is_manager") is (True if expected else None)
    assert (snapshot.key, snapshot.users) == ("", 5)


def test_a_customer_without_address_is_left_out(harness: LicenseSpringHarness, desired: DesiredLicense) -> None:
    harness.backend.issue(replace(desired, customer=Customer(first_name="Ada")), slot=SLOT, user_id="")
    assert "customer" not in body_of(harness)


@pytest.mark.parametrize("changes", [{"state": LicenseState.ABSENT}, {"product_id": ""}])
def test_what_cannot_be_issued_makes_no_call(
    harness: LicenseSpringHarness, desired: DesiredLicense, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="product"):
        harness.backend.issue(replace(desired, **changes), slot=SLOT, user_id="")
    assert harness.calls() == []


def test_a_product_nobody_knows_is_refused_in_the_servers_words(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    with pytest.raises(PermanentRemoteError, match="product") as failure:
        harness.backend.issue(replace(desired, product_id="nothing"), slot=SLOT, user_id="")
    assert failure.value.status == 404


# The order's id


@pytest.mark.parametrize("slot", [SLOT, "s", "stripe/order/" + "x" * 300 + "/ä/1", "//", "a b\nc"])
def test_an_order_id_is_short_ascii_and_always_the_same(slot: str) -> None:
    order_id = order_id_of(slot)
    assert order_id == order_id_of(slot)
    assert order_id.isascii()
    assert order_id.replace("-", "").isalnum()
    assert len(f"{order_id}.99") <= 64
    assert order_number(order_id, first_id=order_id) == 1
    assert order_number(f"{order_id}.2", first_id=order_id) == 2
    assert order_number(f"{order_id}2", first_id=order_id) is None


def test_slots_that_look_alike_have_different_orders() -> None:
    slots = ["a/b/1", "a-b/1", "A/b/1", f"{'x' * 80}/1", f"{'x' * 80}/2"]
    assert len({order_id_of(slot) for slot in slots}) == len(slots)
    assert order_id_of("fastspring/order/O-1/app/1").startswith("li-fastspring-order-O-1-app-1-")


@pytest.mark.parametrize("name", ["client_order_id", "store_id", "both"])
@pytest.mark.parametrize("items", ["order_items", "back_office_order_items"])
@pytest.mark.parametrize("status", [200, 201])
def test_the_answer_to_an_order_is_read_in_every_known_form(
    harness: LicenseSpringHarness,
    options: LicenseSpringOptions,
    desired: DesiredLicense,
    name: Any,
    items: Any,
    status: int,
) -> None:
    options.order_id_name, options.order_items_name, options.order_status = name, items, status
    assert harness.backend.issue(desired, slot=SLOT, user_id="").key
    assert harness.calls() == NEW_ORDER


def test_an_answer_that_shows_no_license_is_looked_up(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    options.order_items_name = "somewhere_else"  # type: ignore[assignment]
    snapshot = harness.backend.issue(desired, slot=SLOT, user_id="")
    assert harness.calls() == [*NEW_ORDER, ("GET", "licenses")]
    assert [snapshot.license_id] == harness.license_ids()


def test_an_answer_without_license_that_is_not_listed_yet_may_have_succeeded(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    options.order_items_name = "somewhere_else"  # type: ignore[assignment]
    harness.box.visibility_delay = 60
    with pytest.raises(TransientRemoteError) as failure:
        harness.backend.issue(desired, slot=SLOT, user_id="")
    assert failure.value.may_have_succeeded


# The same order again


def test_an_order_that_exists_is_adopted_and_brought_up_to_date(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    first = harness.issue(desired)
    later = replace(desired, expires_at=NEXT_YEAR + timedelta(days=31), activations=9)
    again = harness.backend.issue(later, slot=SLOT, user_id="")
    assert again.license_id == first.license_id
    assert again.key == first.key
    assert again.activations == 9
    assert again.expires_at == LAST_SECOND + timedelta(days=31)
    assert len(harness.box.orders) == 1
    assert harness.calls() == [*AGAIN, ("GET", "licenses"), ("PATCH", "licenses/{id}")]


@pytest.mark.parametrize("kind", ["drop", "commit_then_drop", "commit_then_status"])
def test_an_order_without_a_clear_answer_leads_to_one_license(
    harness: LicenseSpringHarness, desired: DesiredLicense, kind: str
) -> None:
    members = {"status": 504} if kind == "commit_then_status" else {}
    harness.box.faults.add(kind=kind, method="POST", **members)
    with pytest.raises(TransientRemoteError) as failure:
        harness.backend.issue(desired, slot=SLOT, user_id="")
    assert failure.value.may_have_succeeded
    found = harness.backend.find(slot=SLOT, desired=desired)
    assert len(found) == (0 if kind == "drop" else 1)
    assert SLOT in {value for snapshot in found for value in snapshot.metadata.values()} or kind == "drop"
    snapshot = harness.backend.issue(desired, slot=SLOT, user_id="")
    assert harness.license_ids() == [snapshot.license_id]


def test_an_order_whose_license_is_not_listed_yet_is_left_for_later(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    harness.box.visibility_delay = 60
    harness.issue(desired)
    with pytest.raises(TransientRemoteError, match=order_id_of(SLOT)) as failure:
        harness.backend.issue(desired, slot=SLOT, user_id="")
    assert failure.value.may_have_succeeded
    assert len(harness.license_ids()) == 1


def refuse_once(harness: LicenseSpringHarness, desired: DesiredLicense) -> None:
    """The server keeps the order of a license that it refuses."""
    with pytest.raises(PermanentRemoteError, match="not supported") as failure:
        harness.backend.issue(replace(desired, features=("nothing",)), slot=SLOT, user_id="")
    assert failure.value.status == 400
    harness.forget_calls()


def test_an_order_that_was_kept_without_its_license_is_followed_by_another(
    old_orders: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    harness = old_orders
    refuse_once(harness, desired)
    snapshot = harness.backend.issue(desired, slot=SLOT, user_id="")
    first_id = order_id_of(SLOT)
    assert [order["client_order_id"] for order in harness.box.orders] == [first_id, f"{first_id}.2"]
    assert [hit.license_id for hit in harness.backend.find(slot=SLOT, desired=desired)] == [snapshot.license_id]
    assert harness.backend.issue(desired, slot=SLOT, user_id="").license_id == snapshot.license_id
    assert len(harness.license_ids()) == 1


def test_a_second_order_may_be_refused_as_well(old_orders: LicenseSpringHarness, desired: DesiredLicense) -> None:
    refuse_once(old_orders, desired)
    refuse_once(old_orders, desired)
    old_orders.backend.issue(desired, slot=SLOT, user_id="")
    assert [order["client_order_id"][-2:] for order in old_orders.box.orders][1:] == [".2", ".3"]


def test_a_young_order_without_license_may_still_get_it(harness: LicenseSpringHarness, desired: DesiredLicense) -> None:
    refuse_once(harness, desired)
    with pytest.raises(TransientRemoteError, match="may still get") as failure:
        harness.backend.issue(desired, slot=SLOT, user_id="")
    assert failure.value.retry_after is not None
    assert 200 < failure.value.retry_after <= 300
    assert harness.license_ids() == []


def licenses_unlisted(request: HttpRequest) -> HttpRequest:
    is_list = request.path == "/api/v1/licenses/"
    return replace(request, query="order__store_id__startswith=nothing") if is_list else request


def test_an_order_that_shows_its_license_is_not_followed_by_another(
    old_orders: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    """However late the list of licenses is."""
    old_orders.issue(desired)
    with (
        behind(old_orders.box, change=licenses_unlisted) as backend,
        pytest.raises(TransientRemoteError, match="not listed yet"),
    ):
        backend.issue(desired, slot=SLOT, user_id="")
    assert len(old_orders.license_ids()) == 1


def test_an_atomic_order_leaves_nothing_behind(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    options.order_is_atomic = True
    refuse_once(harness, desired)
    harness.backend.issue(desired, slot=SLOT, user_id="")
    assert harness.calls() == AGAIN


@pytest.mark.parametrize("shape", ["code", "detail", "errors", "fields"])
def test_every_form_of_refusal_is_told_in_the_servers_words(
    old_orders: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense, shape: Any
) -> None:
    """Also 409 is known by its status alone."""
    options.order_error_shape = shape
    refuse_once(old_orders, desired)
    assert old_orders.backend.issue(desired, slot=SLOT, user_id="")


def test_a_refusal_does_not_repeat_the_values_it_is_about(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    def answer(request: HttpRequest) -> Reply:
        body = {"errors": [{"message": "No such name.", "value": "Example"}]}
        return Reply(status=400, body=json.dumps(body).encode())

    server = HttpServer(application=answer)
    port = server.start(host="127.0.0.1", port=0)
    backend = build_backend("licensespring", name="main", base_url=f"http://127.0.0.1:{port}", access_token=KEY)
    with pytest.raises(PermanentRemoteError, match="No such name") as failure:
        backend.issue(desired, slot=SLOT, user_id="")
    server.stop()
    assert "Example" not in str(failure.value)


@pytest.mark.parametrize("missing_slash", ["redirect", "not_found"])
def test_every_path_ends_in_a_slash(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense, missing_slash: Any
) -> None:
    """A write that is redirected would lose its body; nothing is followed."""
    options.missing_slash = missing_slash
    harness.backend.issue(desired, slot=SLOT, user_id="")
    assert all(request.path.endswith("/") for request in harness.box.requests)
    with (
        behind(harness.box, change=lambda request: replace(request, path=request.path.rstrip("/"))) as backend,
        pytest.raises(PermanentRemoteError) as failure,
    ):
        backend.list_products()
    assert failure.value.status in (301, 404)
    harness.box.clear_requests()  # they were not ours


def test_trials_only_where_the_product_allows_them(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    wanted = replace(desired, product_id=APP, is_trial=True)
    with pytest.raises(PermanentRemoteError, match="trial"):
        harness.backend.issue(wanted, slot=SLOT, user_id="")
    options.trial_needs_product = False
    assert harness.issue(wanted, slot=new_slot()).is_trial


# Finding


def test_an_own_license_is_found_with_one_call(harness: LicenseSpringHarness, desired: DesiredLicense) -> None:
    harness.issue(desired)
    assert len(harness.backend.find(slot=SLOT, desired=desired)) == 1
    (request,) = harness.box.requests
    assert request.query == {
        "order__store_id__startswith": order_id_of(SLOT),
        "order_by": "created_at",
        "limit": "100",
        "offset": "0",
    }


@pytest.mark.parametrize("ignored", [(), ("order__store_id__startswith", "subscription_id")])
def test_filters_that_are_ignored_find_nothing_wrong(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense, ignored: tuple[str, ...]
) -> None:
    """A small account is read whatever the server makes of the filter, so that nothing has to wait for a person."""
    options.ignored_filters, options.page_cap = ignored, 3
    vendor = harness.make_license(product_id=PRO, metadata={"fastspring_subscription_id": "sub-1"})
    harness.make_license(product_id=PRO, metadata={"fastspring_subscription_id": "sub-10"})
    slots = [new_slot() for _ in range(8)]
    licenses = [harness.issue(desired, slot=slot).license_id for slot in slots]
    for slot, license_id in zip(slots, licenses, strict=True):
        assert [hit.license_id for hit in harness.backend.find(slot=slot, desired=desired)] == [license_id]
    assert [hit.license_id for hit in harness.backend.find(slot=SLOT, desired=desired)] == [vendor]


@pytest.fixture
def crowd(harness: LicenseSpringHarness, options: LicenseSpringOptions) -> None:
    """Licenses of others, more than are read without a filter."""
    for number in range(3 * MOST_PAGES + 1):
        harness.make_license(product_id=PRO, metadata={"fastspring_subscription_id": f"other-{number}"})
    options.page_cap = 3
    harness.forget_calls()


@pytest.mark.parametrize(("ignored", "pages"), [("order__store_id__startswith", 1), ("subscription_id", 2)])
@pytest.mark.usefixtures("crowd")
def test_a_look_that_would_read_the_whole_account_is_given_up(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense, ignored: str, pages: int
) -> None:
    """It must not say that there is no license: the next step would be to make a second one."""
    options.ignored_filters = (ignored,)
    with pytest.raises(UnsupportedOperation, match=f'ignored the filter "{ignored}"') as failure:
        harness.backend.find(slot=SLOT, desired=desired)
    assert len(harness.calls()) == pages
    assert not failure.value.is_partial
    if ignored == "subscription_id":
        assert (
            f"the subscription sub-1 in LicenseSpring. If there is one, give its order the id {order_id_of(SLOT)}"
            in (str(failure.value))
        )


@pytest.mark.usefixtures("crowd")
def test_the_order_a_person_names_after_the_slot_is_taken_over(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    """The way out that the message tells."""
    options.ignored_filters = ("subscription_id",)
    order = {"id": order_id_of(SLOT), "append": False, "items": [{"product_code": PRO, "licenses": [{}]}]}
    harness.client.create_order(order)
    (found,) = harness.backend.find(slot=SLOT, desired=desired)
    assert found.metadata[SLOT_METADATA_KEY] == SLOT


@pytest.mark.usefixtures("crowd")
def test_an_order_that_exists_and_cannot_be_looked_up_is_never_made_again(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    """The attempt is not noted as one that certainly changed nothing: its license may be there."""
    harness.issue(desired)
    options.ignored_filters = ("order__store_id__startswith",)
    with pytest.raises(UnsupportedOperation) as failure:
        harness.backend.issue(desired, slot=SLOT, user_id="")
    assert failure.value.is_partial
    assert len(harness.license_ids()) == 3 * MOST_PAGES + 2


@pytest.mark.usefixtures("crowd")
def test_a_filter_that_matches_loosely_is_not_taken_for_ignored(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    options.ignored_filters, options.loose_filters = (), ("subscription_id",)
    vendor = [
        harness.make_license(product_id=PRO, metadata={"fastspring_subscription_id": name})
        for name in [*(f"sub-1{number}" for number in range(3 * MOST_PAGES)), "sub-1"]
    ]
    assert [hit.license_id for hit in harness.backend.find(slot=SLOT, desired=desired)] == vendor[-1:]


def test_licenses_beyond_the_first_page_are_found(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    options.page_cap, options.next_origin = 20, "http://127.0.0.1:9"
    for _ in range(41):
        harness.make_license(product_id=PRO, metadata={"fastspring_subscription_id": "sub-1"})
    harness.forget_calls()
    assert len(harness.backend.find(slot=SLOT, desired=desired)) == 41
    assert [request.query["offset"] for request in harness.box.requests] == ["0", "0", "20", "40"]


def test_vendor_licenses_come_oldest_first_without_those_of_other_slots(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    vendor = {"fastspring_subscription_id": "sub-1"}
    older = harness.make_license(product_id=PRO, metadata=vendor)
    younger = harness.make_license(product_id=PRO, metadata=vendor)
    harness.issue(desired, slot=new_slot())  # another unit of the same subscription
    found = harness.backend.find(slot=SLOT, desired=desired)
    assert [hit.license_id for hit in found] == [older, younger]


def test_a_license_without_our_mark_is_known_by_its_order(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    """Somebody may empty the metadata, and it is not sure that answers show it."""
    snapshot = harness.issue(desired)
    harness.change(snapshot.license_id, metadata={})
    (found,) = harness.backend.find(slot=SLOT, desired=desired)
    assert found.metadata == {SLOT_METADATA_KEY: SLOT}
    assert harness.backend.find(slot=new_slot(), desired=desired) == []


def test_a_product_is_known_by_its_whole_short_code(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    options.ignored_filters = ("short_code",)
    wanted = replace(desired, product_id=TEAM)
    assert harness.backend.issue(wanted, slot=SLOT, user_id="").key == ""


@pytest.mark.parametrize("metadata", [{}, {"fastspring_order_id": "sub-1"}, {"fastspring_subscription_id": " "}])
def test_without_a_subscription_the_vendors_licenses_cannot_be_found(
    harness: LicenseSpringHarness, desired: DesiredLicense, metadata: dict[str, str]
) -> None:
    harness.make_license(product_id=PRO, metadata={"fastspring_subscription_id": "sub-1"})
    harness.forget_calls()
    assert harness.backend.find(slot=SLOT, desired=replace(desired, vendor_metadata=metadata)) == []
    assert harness.calls() == [("GET", "licenses")]


def test_a_subscription_that_reaches_no_license_finds_none(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    options.subscription_id_kept = False
    harness.make_license(product_id=PRO, metadata={"fastspring_subscription_id": "sub-1"})
    assert harness.backend.find(slot=SLOT, desired=desired) == []
    snapshot = harness.issue(desired)
    assert [hit.license_id for hit in harness.backend.find(slot=SLOT, desired=desired)] == [snapshot.license_id]


# Access, lists


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_told(harness: LicenseSpringHarness, options: LicenseSpringOptions, status: int) -> None:
    options.bad_key_status = status
    backend = harness.backend_with_token("no-such-key")
    problems = backend.check_access()
    backend.close()
    assert len(problems) == 3
    assert all(str(status) in problem and "no-such-key" not in problem for problem in problems)


def test_a_right_key_is_fine(harness: LicenseSpringHarness) -> None:
    assert harness.backend.check_access() == []
    assert {request.query["limit"] for request in harness.box.requests} == {"1"}


def test_no_key_at_all_opens_no_connection() -> None:
    with pytest.raises(ConfigurationProblem, match="Management API key"):
        build_backend("licensespring", name="main", base_url="https://saas.example", access_token=" ")


@pytest.mark.parametrize(("status", "is_told"), [(429, True), (429, False), (403, True), (403, False)])
def test_too_many_requests_are_waited_for_whatever_the_status(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, status: int, is_told: bool
) -> None:
    options.rate_limit, options.throttle_status, options.retry_after_sent = (1, 40.0), status, is_told
    waits: list[float] = []
    backend = build_backend(
        "licensespring", name="main", base_url=harness.box.base_url, access_token=KEY, on_rate_limited=waits.append
    )
    backend.list_products()
    with pytest.raises(TransientRemoteError) as failure:
        backend.list_products()
    assert not failure.value.may_have_succeeded
    assert waits == [failure.value.retry_after]
    assert waits[0] > (4 if status == 429 and not is_told else 30)


def test_a_missing_permission_is_no_throttling(harness: LicenseSpringHarness) -> None:
    harness.fail_next(status=403)
    with pytest.raises(CredentialsRejected):
        harness.backend.list_products()


def test_products_are_listed_by_short_code_and_kind(harness: LicenseSpringHarness) -> None:
    harness.box.add_product(short_code="old", is_archived=True)
    assert [(product.id, product.name) for product in harness.backend.list_products()] == [
        (PRO, "Pro (pro, key-based)"),
        (APP, "App (app, key-based)"),
        (TEAM, "Team (team, user-based)"),
    ]


def test_policies_cannot_be_listed_and_there_is_no_address_in_the_portal(harness: LicenseSpringHarness) -> None:
    assert harness.backend.list_templates() is None
    assert harness.backend.dashboard_url("1234") == ""
    assert harness.calls() == []


def test_what_has_no_equivalent_is_told_without_a_call(harness: LicenseSpringHarness, desired: DesiredLicense) -> None:
    wanted = replace(desired, entitlement_set_id="set-1", max_release_version="2.0")
    assert len(harness.backend.unsupported(wanted)) == 2
    assert not harness.backend.unsupported(desired)
    assert harness.calls() == []


def test_the_backend_is_registered() -> None:
    assert ("licensespring", "LicenseSpring") in backend_choices()


def test_a_customer_is_known_by_the_address_without_a_call(harness: LicenseSpringHarness) -> None:
    customer = new_customer()
    assert harness.backend.ensure_user(replace(customer, email=f" {customer.email.upper()} ")) == customer.email
    assert harness.calls() == []
