"""LicenseSpring's words on Cryptlex: each becomes its equivalent, and what has none is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState, LicenseType
from licensing_integration.exceptions import TransientRemoteError
from licensing_integration.license_servers.base import Convergence
from licensing_integration.license_servers.cryptlex.backend import CryptlexBackend
from licensing_integration.license_servers.cryptlex.client import CryptlexClient
from licensing_integration.license_servers.cryptlex.equivalents import to_interval
from licensing_integration.license_servers.cryptlex.marks import noted
from licensing_integration.sandbox.cryptlex import CryptlexSandbox, SandboxOptions
from tests.license_servers.contract import SECOND
from tests.license_servers.cryptlex.openapi_contract import assert_valid_request

TOKEN = "sandbox-token"
SLOT = "fastspring/subscription/abc/main/1"
NEXT = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
GRACE = timedelta(hours=48)


@dataclass
class Bench:
    """A backend, its server, and a license of it."""

    box: CryptlexSandbox
    backend: CryptlexBackend
    plain: DesiredLicense

    def issue(self, **changes: Any) -> tuple[DesiredLicense, LicenseSnapshot]:
        desired = replace(self.plain, **changes)
        return desired, self.backend.issue(desired, slot=SLOT, user_id="")

    def change(
        self, before: tuple[DesiredLicense, LicenseSnapshot], *, resync: bool = False, **changes: Any
    ) -> Convergence:
        desired, snapshot = before
        applied = None if resync else desired
        return self.backend.converge(
            snapshot, applied=applied, desired=replace(desired, **changes), user_id="", is_retry=False
        )

    @property
    def license(self) -> dict[str, Any]:
        (only,) = self.box.licenses
        return only

    @property
    def metadata(self) -> dict[str, str]:
        return {entry["key"]: entry["value"] for entry in self.license["metadata"]}

    def readable(self) -> set[str]:
        """The metadata the customer's application can read."""
        return {entry["key"] for entry in self.license["metadata"] if entry["viewPermissions"] == ["activation"]}

    def entitlements(self) -> set[str]:
        client = CryptlexClient("somebody", base_url=self.box.base_url, access_token=TOKEN)
        names = {str(entry["featureName"]) for entry in client.list_entitlements(self.license["id"])}
        client.close()
        return names

    def calls(self) -> list[str]:
        calls = [f"{request.method} {request.template}" for request in self.box.requests]
        self.box.clear_requests()
        return calls


@pytest.fixture(params=["merge", "replace"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Whatever a change of metadata does to the entries it leaves out. Requests are held against the OpenAPI
    description when the test is over."""
    options = SandboxOptions(metadata_patch=request.param)
    seen = []
    with CryptlexSandbox(access_token=TOKEN, products=[], templates=[], options=options) as box:
        template = box.add_template(name="Plain")
        product = box.add_product(name="App", template_id=template["id"])
        backend = CryptlexBackend(name="main", base_url=box.base_url, access_token=TOKEN)
        plain = DesiredLicense(
            state=LicenseState.ACTIVE,
            server="main",
            product_id=product["id"],
            template_id=template["id"],
            expiry=ExpiryMode.PAID_THROUGH,
            expires_at=NEXT,
            vendor_metadata={"fastspring_subscription_id": "sub-1"},
        )
        yield Bench(box=box, backend=backend, plain=plain)
        seen = box.requests
        backend.close()
    for record in seen:
        assert_valid_request(record.method, record.path, record.raw_query, record.body)


# --- size ------------------------------------------------------------------------------------------------------------


def test_floating_seats_are_the_activations_of_a_hosted_floating_license(bench: Bench) -> None:
    issued = bench.issue(floating_clients=8, activations=20, is_floating_cloud=True)
    assert (bench.license["type"], bench.license["allowedActivations"]) == ("hosted-floating", 8)
    assert bench.metadata["licensing_integration_max_activations"] == "20"
    assert (issued[1].floating_clients, issued[1].activations) == (8, 20)
    assert bench.change(issued, resync=True).verbs == ()
    assert bench.change(issued, floating_clients=9).verbs == ("changed",)
    assert bench.license["allowedActivations"] == 9


def test_a_separate_number_of_devices_is_told_as_a_mark(bench: Bench) -> None:
    desired, _ = issued = bench.issue(floating_clients=8, activations=20, is_floating_cloud=True)
    assert bench.backend.unsupported(desired) == [
        "Cryptlex has no separate number of devices for a floating license; the license's metadata say it."
    ]
    assert bench.change(issued, activations=21).verbs == ("changed",)
    assert bench.metadata["licensing_integration_max_activations"] == "21"
    assert bench.license["allowedActivations"] == 8


def test_floating_seats_of_a_template_with_a_server_of_its_own_stay_what_they_were(bench: Bench) -> None:
    bench.issue(floating_clients=8)
    assert (bench.license["type"], bench.license["allowedFloatingClients"]) == ("node-locked", 8)


def test_users_are_not_counted(bench: Bench) -> None:
    assert "counts no users" in bench.backend.unsupported(replace(bench.plain, users=5))[0]
    assert bench.backend.unsupported(replace(bench.plain, users=5, activations=5)) == []


# --- term ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("duration", "interval"), [("30d", "P30D"), ("2w", "P14D"), ("6m", "P6M"), ("1y", "P1Y"), ("", ""), ("x", "")]
)
def test_durations_as_intervals(duration: str, interval: str) -> None:
    assert to_interval(duration) == interval


def test_a_duration_counts_from_the_first_activation(bench: Bench) -> None:
    _, snapshot = bench.issue(
        expiry=ExpiryMode.TEMPLATE, expires_at=None, valid_duration="30d", license_type=LicenseType.TIME_LIMITED
    )
    assert snapshot.expires_at is None
    bench.box.activate(snapshot.license_id)
    found = bench.backend.fetch(snapshot.license_id)
    assert found is not None
    assert found.expires_at is not None
    assert abs(found.expires_at - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=1)


def test_an_interval_of_cryptlexs_own_wins_over_the_duration(bench: Bench) -> None:
    bench.issue(expiry=ExpiryMode.TEMPLATE, expires_at=None, valid_duration="30d", interval="P1Y")
    assert bench.license["subscriptionInterval"] == "P1Y"


def test_hours_of_grace_are_in_the_end_date_and_the_true_end_in_the_metadata(bench: Bench) -> None:
    issued = bench.issue(grace_hours=48)
    assert issued[1].expires_at is not None
    assert abs(issued[1].expires_at - NEXT - GRACE) <= SECOND
    assert bench.metadata["licensing_integration_paid_through"] == f"{NEXT:%Y-%m-%dT%H:%M:%SZ}"
    assert bench.change(issued, resync=True).verbs == ()
    later = NEXT + timedelta(days=30)
    done = bench.change(issued, expires_at=later)
    assert done.verbs == ("changed", "renewed")
    assert done.snapshot is not None
    assert done.snapshot.expires_at is not None
    assert abs(done.snapshot.expires_at - later - GRACE) <= SECOND
    assert bench.metadata["licensing_integration_paid_through"] == f"{later:%Y-%m-%dT%H:%M:%SZ}"


def test_an_exact_date_of_the_staff_withdraws_the_mark(bench: Bench) -> None:
    done = bench.change(bench.issue(grace_hours=48), grace_hours=None)
    assert done.snapshot is not None
    assert done.snapshot.expires_at is not None
    assert abs(done.snapshot.expires_at - NEXT) <= SECOND
    assert bench.metadata["licensing_integration_paid_through"] == ""


# --- trial -----------------------------------------------------------------------------------------------------------


def test_a_trial_is_marked_until_it_is_paid(bench: Bench) -> None:
    issued = bench.issue(is_trial=True)
    assert issued[1].is_trial
    assert "licensing_integration_trial" in bench.readable()
    bench.calls()
    done = bench.change(issued, is_trial=False)
    assert done.snapshot is not None
    assert not done.snapshot.is_trial
    assert bench.metadata["licensing_integration_trial"] == "false"
    assert bench.calls() == ["GET /v3/licenses/{id}", "PATCH /v3/licenses/{id}"]


@pytest.mark.parametrize("is_trial", [True, False])
def test_an_adopted_trial_is_marked_as_it_is_now(bench: Bench, is_trial: bool) -> None:
    issued = bench.issue(is_trial=not is_trial)
    done = bench.change(issued, resync=True, is_trial=is_trial)
    assert done.snapshot is not None
    assert done.snapshot.is_trial is is_trial


def test_a_change_keeps_every_other_entry_with_who_may_read_it(bench: Bench) -> None:
    issued = bench.issue(is_trial=True, custom_fields={"Seats": "5"})
    before = {entry["key"]: entry["viewPermissions"] for entry in bench.license["metadata"]}
    bench.change(issued, is_trial=False)
    assert {entry["key"]: entry["viewPermissions"] for entry in bench.license["metadata"]} == before
    assert bench.metadata["licensing_integration_slot"] == SLOT


# --- fields, notes, people -------------------------------------------------------------------------------------------


def test_custom_fields_are_metadata_the_application_can_read(bench: Bench) -> None:
    issued = bench.issue(custom_fields={"Seats": "5", "licensing_integration_slot": "not ours"})
    assert bench.metadata["Seats"] == "5"
    assert bench.readable() == {"Seats"}
    assert bench.metadata["licensing_integration_slot"] == SLOT
    bench.change(issued, custom_fields={"Seats": "6"})
    assert bench.metadata["Seats"] == "6"


def test_the_noted_end_is_one_line_among_others(bench: Bench) -> None:
    issued = bench.issue(end_date_note=date(2026, 12, 31))
    assert bench.license["notes"] == "End Date: 2026-12-31"
    client = CryptlexClient("somebody", base_url=bench.box.base_url, access_token=TOKEN)
    client.update_license(bench.license["id"], body={"notes": "Call them.\nEnd Date: 2026-12-31\nVIP"})
    client.close()
    bench.change(issued, end_date_note=date(2027, 1, 31))
    assert bench.license["notes"] == "Call them.\nVIP\nEnd Date: 2027-01-31"
    bench.change((replace(issued[0], end_date_note=date(2027, 1, 31)), issued[1]), end_date_note=None)
    assert bench.license["notes"] == "Call them.\nVIP"


def test_an_adopted_license_keeps_notes_that_say_it_already(bench: Bench) -> None:
    issued = bench.issue(end_date_note=date(2026, 12, 31))
    bench.calls()
    assert bench.change(issued, resync=True).verbs == ()
    assert bench.calls() == []


def test_notes_are_never_longer_than_allowed() -> None:
    assert len(noted("x" * 5000, end=date(2026, 1, 1))) == 4096


def test_a_manager_is_only_a_mark_and_said_so(bench: Bench) -> None:
    desired, _ = bench.issue(is_customer_manager=True)
    assert bench.metadata["licensing_integration_license_manager"] == "true"
    assert bench.backend.unsupported(desired) == ["Cryptlex knows no license manager; the license's metadata say it."]
    assert bench.backend.unsupported(replace(desired, is_customer_manager=False)) == []


# --- maintenance, consumptions ---------------------------------------------------------------------------------------


def test_maintenance_is_a_policy(bench: Bench) -> None:
    policy = bench.box.add_maintenance_policy(name="A year", interval="P1Y")
    issued = bench.issue(maintenance_duration="1y", maintenance_policy_id=policy["id"])
    assert bench.license["maintenancePolicyId"] == policy["id"]
    assert issued[1].maintenance_policy_id == policy["id"]
    assert bench.backend.unsupported(issued[0]) == []
    assert bench.change(issued, resync=True).verbs == ()


@pytest.mark.parametrize("wanted", [{"maintenance_duration": "1y"}, {"is_maintained": True}])
def test_maintenance_without_a_policy_is_said(bench: Bench, wanted: dict[str, Any]) -> None:
    assert "name one in the product mapping" in bench.backend.unsupported(replace(bench.plain, **wanted))[0]
    assert bench.change(bench.issue(), **wanted).notes == tuple(
        bench.backend.unsupported(replace(bench.plain, **wanted))
    )


def test_what_was_said_once_is_not_said_again(bench: Bench) -> None:
    issued = bench.issue(maintenance_duration="1y")
    assert bench.change(issued, activations=3).notes == ()
    assert len(bench.change(issued, resync=True).notes) == 1


def test_consumptions_are_a_meter_attribute(bench: Bench) -> None:
    issued = bench.issue(max_consumptions=100, expiry=ExpiryMode.TEMPLATE, expires_at=None)
    (meter,) = bench.license["meterAttributes"]
    assert (meter["name"], meter["allowedUses"]) == ("consumptions", 100)
    client = CryptlexClient("somebody", base_url=bench.box.base_url, access_token=TOKEN)
    meters = [{"name": "consumptions", "allowedUses": 100}, {"name": "own", "allowedUses": 7}]
    client.update_license(bench.license["id"], body={"meterAttributes": meters})
    client.close()
    assert bench.change(issued, resync=True).verbs == ()
    bench.change(issued, max_consumptions=200)
    assert {m["name"]: m["allowedUses"] for m in bench.license["meterAttributes"]} == {"own": 7, "consumptions": 200}


# --- features --------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_features(bench: Bench) -> Bench:
    for name in ("pdf", "xps"):
        bench.box.add_feature(name=name, display_name=name.upper())
    return bench


def test_features_are_entitlements_of_the_license(with_features: Bench) -> None:
    with_features.issue(features=("pdf", "xps"))
    assert with_features.entitlements() == {"pdf", "xps"}
    assert with_features.backend.unsupported(replace(with_features.plain, features=("pdf",))) == []


def test_features_come_and_go(with_features: Bench) -> None:
    issued = with_features.issue(features=("pdf",))
    assert with_features.change(issued, features=("xps",)).verbs == ("changed",)
    assert with_features.entitlements() == {"xps"}
    assert with_features.change(issued, features=()).verbs == ()  # it was gone already
    assert with_features.change(issued, features=("pdf",), resync=True).verbs == ("changed",)
    assert with_features.entitlements() == {"pdf", "xps"}  # of an unknown past nothing is taken away


def test_a_license_without_features_costs_no_call_for_them(bench: Bench) -> None:
    bench.issue()
    assert bench.calls() == ["POST /v3/licenses"]


def test_a_feature_the_account_does_not_have_is_a_mark_and_said_so(with_features: Bench) -> None:
    issued = with_features.issue(features=("pdf", "ocr"))
    assert with_features.entitlements() == {"pdf"}
    assert with_features.metadata["feature_ocr"] == "true"
    assert "feature_ocr" in with_features.readable()
    (note,) = with_features.backend.unsupported(issued[0])
    assert note.startswith("Cryptlex has no feature named ocr")
    done = with_features.change(issued, features=("pdf",))
    assert with_features.metadata["feature_ocr"] == "false"
    assert (done.verbs, done.notes) == (("changed",), ())


def test_a_feature_added_later_that_does_not_exist_is_noted(bench: Bench) -> None:
    done = bench.change(bench.issue(), features=("ocr",))
    assert bench.metadata["feature_ocr"] == "true"
    assert "no feature named ocr" in done.notes[0]


def test_a_feature_whose_entitlement_failed_makes_the_license_be_looked_for(with_features: Bench) -> None:
    entitlements = "/v3/licenses/{id}/feature-entitlements"
    with_features.box.faults.add(kind="status", status=500, method="POST", path=entitlements)
    with pytest.raises(TransientRemoteError) as failure:
        with_features.issue(features=("pdf",))
    assert failure.value.may_have_succeeded
    desired = replace(with_features.plain, features=("pdf",))
    (found,) = with_features.backend.find(slot=SLOT, desired=desired)
    with_features.change((desired, found), resync=True)
    assert with_features.entitlements() == {"pdf"}


@pytest.fixture
def change_once(with_features: Bench) -> Callable[[], Convergence]:
    issued = with_features.issue(features=("pdf",), is_trial=True, custom_fields={"Seats": "5"})
    return lambda: with_features.change(issued, features=("xps",), is_trial=False, custom_fields={"Seats": "6"})


def test_a_change_repeated_after_a_lost_answer_ends_the_same(
    with_features: Bench, change_once: Callable[[], Convergence]
) -> None:
    with_features.box.faults.add(kind="commit_then_drop", method="PATCH")
    with pytest.raises(TransientRemoteError):
        change_once()
    change_once()
    change_once()
    assert with_features.entitlements() == {"xps"}
    assert (with_features.metadata["Seats"], with_features.metadata["licensing_integration_trial"]) == ("6", "false")
