"""What every license-server backend must do. A backend's test module inherits ``LicenseServerContract`` and offers a
``harness`` fixture: its backend, talking real HTTP to a server (the sandbox, or the real one) that the harness can look
into and break.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import pytest

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState
from licensing_integration.exceptions import (
    CredentialsRejected,
    LicensingIntegrationError,
    PermanentRemoteError,
    TransientRemoteError,
    UnsupportedOperation,
)
from licensing_integration.license_servers.base import Convergence, LicenseServerBackend

SECOND = timedelta(seconds=1)
NEXT_YEAR = (datetime.now(UTC) + timedelta(days=365)).replace(microsecond=0)


class Feature(StrEnum):
    """What not every license server can do; the tests of a missing feature are skipped."""

    INTERVAL = "interval"  # the server itself adds one subscription interval
    REVOKED = "revoked"  # a state besides suspended
    DELETE = "delete"
    USERS = "users"  # the server keeps its own record of every user
    TEMPLATES = "templates"  # they can be listed


class Harness(Protocol):
    """A backend, the server behind it, and ways to look into and to break that server.

    ``vendor_key``: metadata key under which the vendor's own store integration notes a purchase; empty if it has none.
    ``secrets``: texts that must never show up in an error message.
    """

    backend: LicenseServerBackend
    server: str
    product_id: str
    other_product_id: str
    template_id: str
    vendor_key: str
    secrets: Sequence[str]
    features: frozenset[Feature]

    def backend_with_token(self, token: str) -> LicenseServerBackend: ...

    def call_count(self) -> int:
        """Requests the server has received so far."""
        ...

    def license_ids(self) -> Sequence[str]: ...

    def user_emails(self) -> Sequence[str]: ...

    def make_license(self, *, product_id: str, metadata: Mapping[str, str]) -> str:
        """What somebody else, such as the vendor's own integration, would create; returns the license id."""
        ...

    def change_by_hand(self, license_id: str, *, activations: int) -> None: ...

    def remove(self, license_id: str) -> None: ...

    def fail_next(self, *, status: int, retry_after: float | None = None) -> None:
        """The next request is answered so, without being carried out."""
        ...

    def commit_then_drop_next(self, *, method: str) -> None:
        """The next request of this method is carried out, but the connection breaks before the answer."""
        ...


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A license the backend has issued, with what was asked for."""

    snapshot: LicenseSnapshot
    desired: DesiredLicense
    slot: str
    user_id: str


def new_slot() -> str:
    return f"fastspring/subscription/{uuid.uuid4().hex}/main/1"


def new_customer() -> Customer:
    return Customer(email=f"ada.{uuid.uuid4().hex[:12]}@customer.example", first_name="Ada", last_name="Example")


class LicenseServerContract:
    """Inherit, and provide ``harness``. ``end``: an end date the server can keep to the second."""

    end: datetime = NEXT_YEAR

    @pytest.fixture
    def harness(self) -> Harness:
        raise NotImplementedError("each backend's tests provide a harness")

    @pytest.fixture
    def desired(self, harness: Harness) -> DesiredLicense:
        return DesiredLicense(
            state=LicenseState.ACTIVE,
            server=harness.server,
            product_id=harness.product_id,
            template_id=harness.template_id,
            customer=new_customer(),
            expiry=ExpiryMode.PAID_THROUGH,
            expires_at=self.end,
            activations=3,
        )

    @pytest.fixture
    def issue(self, harness: Harness, desired: DesiredLicense) -> Callable[..., Issued]:
        def issue(**changes: object) -> Issued:
            wanted = replace(desired, **changes)  # type: ignore[arg-type]
            user_id = harness.backend.ensure_user(wanted.customer)
            slot = new_slot()
            return Issued(
                snapshot=harness.backend.issue(wanted, slot=slot, user_id=user_id),
                desired=wanted,
                slot=slot,
                user_id=user_id,
            )

        return issue

    @staticmethod
    def converge(harness: Harness, issued: Issued, *, is_retry: bool = False, **changes: object) -> Convergence:
        return harness.backend.converge(
            issued.snapshot,
            applied=issued.desired,
            desired=replace(issued.desired, **changes),  # type: ignore[arg-type]
            user_id=issued.user_id,
            is_retry=is_retry,
        )

    # Users

    def test_a_user_is_created_once_however_often_it_is_asked_for(self, harness: Harness) -> None:
        customer = new_customer()
        first = harness.backend.ensure_user(customer)
        again = harness.backend.ensure_user(replace(customer, email=customer.email.upper(), first_name="Other"))
        assert first
        assert first == again
        self._needs(harness, Feature.USERS)
        assert [email.lower() for email in harness.user_emails()].count(customer.email) == 1

    def test_two_customers_are_two_users(self, harness: Harness) -> None:
        assert harness.backend.ensure_user(new_customer()) != harness.backend.ensure_user(new_customer())

    def test_a_customer_without_email_address_makes_no_call(self, harness: Harness) -> None:
        with pytest.raises(ValueError, match="e-mail"):
            harness.backend.ensure_user(Customer(email=" "))
        assert harness.call_count() == 0

    # Issuing and finding

    def test_an_issued_license_is_what_was_asked_for(self, harness: Harness, issue: Callable[..., Issued]) -> None:
        issued = issue()
        found = harness.backend.fetch(issued.snapshot.license_id)
        assert found is not None
        assert found.key
        assert found.key == issued.snapshot.key
        assert found.product_id == harness.product_id
        assert found.state is LicenseState.ACTIVE
        assert found.activations == 3
        assert found.user_id == issued.user_id
        assert found.expires_at is not None
        assert abs(found.expires_at - self.end) <= SECOND

    def test_a_license_can_be_issued_suspended(self, issue: Callable[..., Issued]) -> None:
        assert issue(state=LicenseState.SUSPENDED).snapshot.state is LicenseState.SUSPENDED

    def test_a_perpetual_license_has_no_end(self, issue: Callable[..., Issued]) -> None:
        assert issue(expiry=ExpiryMode.PERPETUAL, expires_at=None).snapshot.expires_at is None

    def test_a_license_is_found_by_its_slot_and_by_no_other(
        self, harness: Harness, issue: Callable[..., Issued]
    ) -> None:
        one, other = issue(), issue()
        found = harness.backend.find(slot=one.slot, desired=one.desired)
        assert [snapshot.license_id for snapshot in found] == [one.snapshot.license_id]
        assert not harness.backend.find(slot=f"{other.slot}0", desired=other.desired)

    def test_an_empty_slot_makes_no_call(self, harness: Harness, desired: DesiredLicense) -> None:
        assert list(harness.backend.find(slot="", desired=desired)) == []
        assert harness.call_count() == 0

    def test_the_vendors_own_license_of_the_purchase_is_found(self, harness: Harness, desired: DesiredLicense) -> None:
        wanted, own = self._vendor_license(harness, desired, value="subscription-1")
        self._vendor_license(harness, desired, value="subscription-2")
        found = harness.backend.find(slot=new_slot(), desired=wanted)
        assert [snapshot.license_id for snapshot in found] == [own]

    def test_a_vendor_license_of_another_product_is_not_found(self, harness: Harness, desired: DesiredLicense) -> None:
        wanted, _ = self._vendor_license(harness, desired, value="order-1", product_id=harness.other_product_id)
        assert not harness.backend.find(slot=new_slot(), desired=wanted)

    @staticmethod
    def _vendor_license(
        harness: Harness, desired: DesiredLicense, *, value: str, product_id: str = ""
    ) -> tuple[DesiredLicense, str]:
        if not harness.vendor_key:
            pytest.skip("the vendor's own integration leaves no trace to find")
        metadata = {harness.vendor_key: value}
        license_id = harness.make_license(product_id=product_id or harness.product_id, metadata=metadata)
        return replace(desired, vendor_metadata=metadata), license_id

    def test_a_license_that_does_not_exist_is_fetched_as_none(
        self, harness: Harness, issue: Callable[..., Issued]
    ) -> None:
        issued = issue()
        harness.remove(issued.snapshot.license_id)
        assert harness.backend.fetch(issued.snapshot.license_id) is None

    # Converging

    def test_nothing_different_makes_no_call(self, harness: Harness, issue: Callable[..., Issued]) -> None:
        issued = issue()
        before = harness.call_count()
        assert self.converge(harness, issued) == Convergence(snapshot=issued.snapshot)
        assert self.converge(harness, issued, is_retry=True) == Convergence(snapshot=issued.snapshot)
        adopted = harness.backend.converge(
            issued.snapshot, applied=None, desired=issued.desired, user_id=issued.user_id, is_retry=False
        )
        assert adopted == Convergence(snapshot=issued.snapshot)
        assert harness.call_count() == before

    def test_a_later_end_date_is_one_renewal(self, harness: Harness, issue: Callable[..., Issued]) -> None:
        issued = issue()
        before = harness.call_count()
        done = self.converge(harness, issued, expires_at=self.end + timedelta(days=31))
        assert harness.call_count() == before + 1
        assert done.verbs == ("renewed",)
        assert done.snapshot is not None
        assert done.snapshot.expires_at is not None
        assert abs(done.snapshot.expires_at - self.end - timedelta(days=31)) <= SECOND

    def test_an_earlier_end_date_shortens(self, harness: Harness, issue: Callable[..., Issued]) -> None:
        done = self.converge(harness, issue(), expires_at=self.end - timedelta(days=31))
        assert done.verbs == ("changed",)
        assert done.snapshot is not None
        assert done.snapshot.expires_at == self.end - timedelta(days=31)

    def test_doing_it_twice_equals_doing_it_once(self, harness: Harness, issue: Callable[..., Issued]) -> None:
        issued = issue()
        later = self.end + timedelta(days=31)
        wanted: dict[str, Any] = {"expires_at": later, "activations": 5, "state": LicenseState.SUSPENDED}
        once = self.converge(harness, issued, **wanted)
        twice = self.converge(harness, issued, is_retry=True, **wanted)
        assert once.snapshot == twice.snapshot

    def test_suspension_and_reinstatement(self, harness: Harness, issue: Callable[..., Issued]) -> None:
        issued = issue()
        suspended = self.converge(harness, issued, state=LicenseState.SUSPENDED)
        assert suspended.verbs == ("suspended",)
        assert suspended.snapshot is not None
        assert suspended.snapshot.state is LicenseState.SUSPENDED
        back = harness.backend.converge(
            suspended.snapshot,
            applied=replace(issued.desired, state=LicenseState.SUSPENDED),
            desired=issued.desired,
            user_id=issued.user_id,
            is_retry=False,
        )
        assert back.verbs == ("reinstated",)
        assert back.snapshot is not None
        assert back.snapshot.state is LicenseState.ACTIVE

    def test_a_revocation_can_be_lifted(self, harness: Harness, issue: Callable[..., Issued]) -> None:
        self._needs(harness, Feature.REVOKED)
        issued = issue(state=LicenseState.REVOKED)
        assert issued.snapshot.state is LicenseState.REVOKED
        back = self.converge(harness, issued, state=LicenseState.ACTIVE)
        assert back.snapshot is not None
        assert back.snapshot.state is LicenseState.ACTIVE

    def test_what_was_changed_by_hand_survives_an_unrelated_change(
        self, harness: Harness, issue: Callable[..., Issued]
    ) -> None:
        issued = issue()
        harness.change_by_hand(issued.snapshot.license_id, activations=99)
        done = self.converge(harness, issued, state=LicenseState.SUSPENDED)
        assert done.snapshot is not None
        assert done.snapshot.activations == 99

    def test_an_adopted_license_is_compared_with_what_the_server_reports(
        self, harness: Harness, issue: Callable[..., Issued]
    ) -> None:
        issued = issue()
        harness.change_by_hand(issued.snapshot.license_id, activations=99)
        observed = harness.backend.fetch(issued.snapshot.license_id)
        assert observed is not None
        done = harness.backend.converge(
            observed, applied=None, desired=issued.desired, user_id=issued.user_id, is_retry=False
        )
        assert done.snapshot is not None
        assert done.snapshot.activations == 3

    def test_a_license_that_should_not_be_is_deleted_also_when_it_is_gone(
        self, harness: Harness, issue: Callable[..., Issued]
    ) -> None:
        self._needs(harness, Feature.DELETE)
        issued = issue()
        for is_retry in (False, True):
            done = self.converge(harness, issued, is_retry=is_retry, state=LicenseState.ABSENT)
            assert done.snapshot is None
            assert done.verbs == ("deleted",)
        assert issued.snapshot.license_id not in harness.license_ids()

    def test_a_change_to_a_vanished_license_reports_that_it_is_gone(
        self, harness: Harness, issue: Callable[..., Issued]
    ) -> None:
        issued = issue()
        harness.remove(issued.snapshot.license_id)
        assert self.converge(harness, issued, state=LicenseState.SUSPENDED).snapshot is None
        assert self.converge(harness, issued, expires_at=self.end + timedelta(days=1)).snapshot is None

    def test_a_license_cannot_change_its_product_or_server(
        self, harness: Harness, issue: Callable[..., Issued]
    ) -> None:
        issued = issue()
        before = harness.call_count()
        with pytest.raises(UnsupportedOperation):
            self.converge(harness, issued, product_id=harness.other_product_id)
        with pytest.raises(UnsupportedOperation):
            self.converge(harness, issued, server="elsewhere")
        assert harness.call_count() == before

    def test_each_missing_period_is_renewed_once(self, harness: Harness, issue: Callable[..., Issued]) -> None:
        self._needs(harness, Feature.INTERVAL)
        issued = issue(expiry=ExpiryMode.INTERVAL, expires_at=None, interval="P30D", periods=1)
        first_end = issued.snapshot.expires_at
        assert first_end is not None
        before = harness.call_count()
        done = self.converge(harness, issued, periods=3)
        assert harness.call_count() == before + 2
        assert done.verbs == ("renewed", "renewed")
        assert done.snapshot is not None
        assert done.snapshot.expires_at is not None
        assert abs(done.snapshot.expires_at - first_end - timedelta(days=60)) <= SECOND

    def test_a_renewal_whose_answer_was_lost_is_not_made_twice(
        self, harness: Harness, issue: Callable[..., Issued]
    ) -> None:
        self._needs(harness, Feature.INTERVAL)
        issued = issue(expiry=ExpiryMode.INTERVAL, expires_at=None, interval="P30D", periods=1)
        assert issued.snapshot.expires_at is not None
        harness.commit_then_drop_next(method="POST")
        with pytest.raises(TransientRemoteError) as failure:
            self.converge(harness, issued, periods=2)
        assert failure.value.may_have_succeeded
        for _ in range(2):
            done = self.converge(harness, issued, periods=2, is_retry=True)
            assert done.snapshot is not None
            assert done.snapshot.expires_at is not None
            assert abs(done.snapshot.expires_at - issued.snapshot.expires_at - timedelta(days=30)) <= SECOND

    def test_a_renewal_that_never_arrived_is_made_up_for_by_the_retry(
        self, harness: Harness, issue: Callable[..., Issued]
    ) -> None:
        self._needs(harness, Feature.INTERVAL)
        issued = issue(expiry=ExpiryMode.INTERVAL, expires_at=None, interval="P30D", periods=1)
        assert issued.snapshot.expires_at is not None
        for _ in range(2):
            done = self.converge(harness, issued, periods=2, is_retry=True)
            assert done.snapshot is not None
            assert done.snapshot.expires_at is not None
            assert abs(done.snapshot.expires_at - issued.snapshot.expires_at - timedelta(days=30)) <= SECOND

    # Trouble

    def test_a_license_whose_answer_was_lost_is_found_again(self, harness: Harness, desired: DesiredLicense) -> None:
        user_id, slot = harness.backend.ensure_user(desired.customer), new_slot()
        harness.commit_then_drop_next(method="POST")
        with pytest.raises(TransientRemoteError) as failure:
            harness.backend.issue(desired, slot=slot, user_id=user_id)
        assert failure.value.may_have_succeeded
        assert len(harness.backend.find(slot=slot, desired=desired)) == 1

    def test_a_refusal_for_too_many_requests_has_changed_nothing(
        self, harness: Harness, desired: DesiredLicense
    ) -> None:
        harness.fail_next(status=429, retry_after=7)
        with pytest.raises(TransientRemoteError) as failure:
            harness.backend.issue(desired, slot=new_slot(), user_id="")
        assert failure.value.retry_after == 7
        assert not failure.value.may_have_succeeded
        assert not harness.license_ids()

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_a_server_fault_may_have_succeeded(self, harness: Harness, desired: DesiredLicense, status: int) -> None:
        harness.fail_next(status=status)
        with pytest.raises(TransientRemoteError) as failure:
            harness.backend.issue(desired, slot=new_slot(), user_id="")
        assert failure.value.may_have_succeeded

    def test_a_refusal_is_permanent_and_says_its_status(self, harness: Harness, desired: DesiredLicense) -> None:
        harness.fail_next(status=400)
        with pytest.raises(PermanentRemoteError) as failure:
            harness.backend.issue(desired, slot=new_slot(), user_id="")
        assert failure.value.status == 400
        assert "400" in str(failure.value)

    def test_a_wrong_token_is_a_configuration_problem(self, harness: Harness, desired: DesiredLicense) -> None:
        backend = harness.backend_with_token("no-such-token-4711")
        with pytest.raises(CredentialsRejected) as failure:
            backend.find(slot=new_slot(), desired=desired)
        assert "token" in str(failure.value)
        assert "no-such-token-4711" not in str(failure.value)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500])
    def test_no_message_shows_a_secret_or_the_customer(
        self, harness: Harness, desired: DesiredLicense, status: int
    ) -> None:
        wanted = replace(desired, customer=new_customer())
        customer = wanted.customer
        harness.fail_next(status=status)
        harness.fail_next(status=status)
        with pytest.raises(LicensingIntegrationError) as failure:
            harness.backend.issue(wanted, slot=new_slot(), user_id=harness.backend.ensure_user(customer))
        for secret in (*harness.secrets, customer.email, customer.last_name):
            assert secret not in str(failure.value)

    # Lists and links

    def test_products_and_templates_are_listed_for_the_mapping_form(self, harness: Harness) -> None:
        products = {product.id: product for product in harness.backend.list_products()}
        assert products[harness.product_id].name
        assert {harness.product_id, harness.other_product_id} <= products.keys()
        self._needs(harness, Feature.TEMPLATES)
        assert harness.template_id in {template.id for template in harness.backend.list_templates() or ()}

    def test_no_license_has_no_page_in_the_dashboard(self, harness: Harness) -> None:
        assert harness.backend.dashboard_url("") == ""

    @staticmethod
    def _needs(harness: Harness, feature: Feature) -> None:
        if feature not in harness.features:
            pytest.skip(f"this license server has no {feature}")
