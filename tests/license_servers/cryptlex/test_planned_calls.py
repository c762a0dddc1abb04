"""What is announced to be sent to Cryptlex is what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState, LicenseType
from licensing_integration.license_servers.cryptlex.backend import CryptlexBackend
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from tests.license_servers.planned import assert_sent_as_planned

TOKEN = "sandbox-token"
SLOT = "fastspring/order/abc/main/1"
EMAIL = "Ava.Lindqvist@example.com"


@dataclass
class Bench:
    box: CryptlexSandbox
    backend: CryptlexBackend
    plain: DesiredLicense


@pytest.fixture
def bench() -> Iterator[Bench]:
    with CryptlexSandbox(access_token=TOKEN, products=[], templates=[]) as box:
        template = box.add_template(name="Plain")
        product = box.add_product(name="App", template_id=template["id"])
        backend = CryptlexBackend(name="main", base_url=box.base_url, access_token=TOKEN)
        plain = DesiredLicense(
            state=LicenseState.ACTIVE,
            server="main",
            product_id=product["id"],
            customer=Customer(email=EMAIL, first_name="Ava", last_name="Lindqvist", company="Northlight"),
            vendor_metadata={"fastspring_order_id": "abc"},
            metadata={"plan": "gold", "empty": ""},
        )
        yield Bench(box=box, backend=backend, plain=plain)
        backend.close()


TERMS: dict[str, dict[str, Any]] = {
    "the template's": {},
    "a date": {"expiry": ExpiryMode.PAID_THROUGH, "expires_at": datetime(2030, 5, 1, 12, tzinfo=UTC)},
    "perpetual": {"expiry": ExpiryMode.PERPETUAL, "license_type": LicenseType.PERPETUAL},
    "an interval": {"expiry": ExpiryMode.INTERVAL, "interval": "P1M", "periods": 1},
    "several periods": {
        "expiry": ExpiryMode.INTERVAL, "interval": "P1M", "periods": 3, "expires_at": datetime(2030, 5, 1, tzinfo=UTC),
    },
    "sizes": {"activations": 7, "floating_clients": 3, "max_release_version": "2.1"},
    "what has an equivalent": {
        "max_consumptions": 9, "custom_fields": {"Seat": "12"}, "grace_hours": 48, "is_trial": True,
        "expiry": ExpiryMode.PAID_THROUGH, "expires_at": datetime(2030, 5, 1, tzinfo=UTC),
    },
    "suspended": {"state": LicenseState.SUSPENDED},
}  # fmt: skip


@pytest.mark.parametrize("name", TERMS)
def test_a_license_and_its_user_are_made_as_announced(bench: Bench, name: str) -> None:
    desired = replace(bench.plain, **TERMS[name])
    planned = bench.backend.planned_calls(desired, slot=SLOT, is_user_known=False)
    assert bench.box.requests == []

    user_id = bench.backend.ensure_user(desired.customer)
    bench.backend.issue(desired, slot=SLOT, user_id=user_id)

    assert_sent_as_planned(planned, bench.box.requests)


def test_a_known_user_is_not_announced(bench: Bench) -> None:
    user_id = bench.backend.ensure_user(bench.plain.customer)
    bench.box.clear_requests()

    planned = bench.backend.planned_calls(bench.plain, slot=SLOT, is_user_known=True)
    bench.backend.issue(bench.plain, slot=SLOT, user_id=user_id)

    assert_sent_as_planned(planned, bench.box.requests)


def test_without_an_address_there_is_no_user(bench: Bench) -> None:
    desired = replace(bench.plain, customer=Customer())

    planned = bench.backend.planned_calls(desired, slot=SLOT, is_user_known=False)
    bench.backend.issue(desired, slot=SLOT, user_id="")

    assert_sent_as_planned(planned, bench.box.requests)


def test_features_are_announced_as_features_of_the_account(bench: Bench) -> None:
    for code in ("reports", "export"):
        bench.box.add_feature(name=code)
    desired = replace(bench.plain, features=("export", "reports"), customer=Customer())

    planned = bench.backend.planned_calls(desired, slot=SLOT, is_user_known=False)
    bench.backend.issue(desired, slot=SLOT, user_id="")

    assert_sent_as_planned(planned, bench.box.requests)


def test_a_feature_known_to_be_missing_is_announced_in_the_metadata(bench: Bench) -> None:
    desired = replace(bench.plain, features=("nothing",), customer=Customer())
    bench.backend.issue(desired, slot="another", user_id="")  # has looked
    bench.box.clear_requests()

    planned = bench.backend.planned_calls(desired, slot=SLOT, is_user_known=False)
    bench.backend.issue(desired, slot=SLOT, user_id="")

    assert_sent_as_planned(planned, bench.box.requests)


def test_no_password_is_announced(bench: Bench) -> None:
    planned = bench.backend.planned_calls(bench.plain, slot=SLOT, is_user_known=False)

    assert planned[0].body is not None
    assert planned[0].body["password"] == "‹a random password that nobody knows›"
