"""LicenseSpring as a license server: find, create and change licenses.

A license is made by an order, and the id of an order is ours and unique: it comes from the slot, so an order that was
made before is refused, found and adopted instead of being made twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot, ServerProduct
from licensing_integration.domain.outcomes import LicenseState
from licensing_integration.exceptions import (
    ConfigurationProblem,
    LicensingIntegrationError,
    PermanentRemoteError,
    RemoteError,
    TransientRemoteError,
    UnsupportedOperation,
)
from licensing_integration.license_servers.base import SLOT_METADATA_KEY, Convergence, PlannedCall
from licensing_integration.license_servers.licensespring.changes import unsupported_notes, user_notes
from licensing_integration.license_servers.licensespring.client import LicenseSpringClient
from licensing_integration.license_servers.licensespring.converge import Converger
from licensing_integration.license_servers.licensespring.creation import creation_calls
from licensing_integration.license_servers.licensespring.orders import (
    DATED,
    OUR_PREFIX,
    asked_for,
    order_body,
    order_id_of,
    order_number,
    subscription_id_of,
)
from licensing_integration.license_servers.licensespring.values import (
    Json,
    day_of,
    is_user_based,
    licenses_of,
    moment,
    order_ids,
    text,
    to_snapshot,
)

PRODUCT_SECONDS: Final = 300.0
"""For how long a product's settings are believed."""

EMPTY_ORDER_AGE: Final = timedelta(minutes=5)
"""An order this old that still has no license will not get one: nobody works on a license that long."""

_PROBES = (
    ("/api/v1/licenses/", "licenses cannot be found again"),
    ("/api/v1/orders/", "an order that was refused halfway cannot be told from a finished one"),
    ("/api/v1/products/", "key-based and user-based products cannot be told apart"),
)


class LicenseSpringBackend:
    """See ``LicenseServerBackend`` for the contract of the public methods. Safe to share among threads."""

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        access_token: str,
        before_request: Callable[[], None] | None = None,
        on_rate_limited: Callable[[float], None] | None = None,
    ) -> None:
        self._client = LicenseSpringClient(
            name,
            base_url=base_url,
            access_token=access_token,
            before_request=before_request,
            on_rate_limited=on_rate_limited,
        )
        self._products: dict[str, tuple[float, Json]] = {}
        self._products_lock = threading.Lock()

    def find(self, *, slot: str, desired: DesiredLicense) -> Sequence[LicenseSnapshot]:
        """See ``LicenseServerBackend.find``. One search when the slot's order is found, else one for a subscription.

        How LicenseSpring's own FastSpring integration names its orders is not known; a subscription's licenses can be
        found by the subscription, one-time purchases of its making cannot.
        """
        if not slot.strip():
            return []
        own = self._own(slot)
        subscription_id = subscription_id_of(desired)
        if own or not subscription_id or not desired.product_id.strip():
            return own
        return self._made_by_vendor(subscription_id, product_id=desired.product_id, slot=slot)

    def ensure_user(self, customer: Customer) -> str:
        """The customer's e-mail address, without a call: the customer travels in the order."""
        email = customer.email.strip().lower()
        if not email:
            raise ValueError("a LicenseSpring customer is known by an e-mail address; there is none")
        return email

    def issue(self, desired: DesiredLicense, *, slot: str, user_id: str) -> LicenseSnapshot:
        """See ``LicenseServerBackend.issue``. A key first, for key-based products, then the order that makes the
        license. An order that exists is not made again: its license is adopted."""
        if desired.state is LicenseState.ABSENT or not desired.product_id.strip() or not slot.strip():
            raise ValueError("a license that is to be issued needs a product, a slot and a state other than absent")
        try:
            return self._issue(desired, slot=slot, order_id=order_id_of(slot))
        except UnsupportedOperation as error:
            error.is_partial = True  # only the look for an order that is there is given up like this
            raise

    def converge(
        self,
        observed: LicenseSnapshot,
        *,
        applied: DesiredLicense | None,
        desired: DesiredLicense,
        user_id: str,
        is_retry: bool,
    ) -> Convergence:
        """See ``LicenseServerBackend.converge``. Everything here can be repeated, so a retry needs no other way."""
        return Converger(
            self._client, observed=observed, applied=applied, desired=desired, find_product=self._product
        ).run()

    def planned_calls(self, desired: DesiredLicense, *, slot: str, is_user_known: bool) -> Sequence[PlannedCall]:
        """See ``LicenseServerBackend.planned_calls``. Of the product it knows what the last look at it showed."""
        known_until, product = self._products.get(desired.product_id, (0.0, None))
        return creation_calls(desired, slot=slot, product=product, is_product_asked=known_until <= time.monotonic())

    def fetch(self, license_id: str) -> LicenseSnapshot | None:
        """The license now, or ``None`` if the server no longer has it."""
        try:
            return to_snapshot(self._client.get_license(license_id))
        except PermanentRemoteError as error:
            if error.status == 404:
                return None
            raise

    def unsupported(self, desired: DesiredLicense) -> Sequence[str]:
        """See ``LicenseServerBackend.unsupported``. Of the product it knows what the last look at it showed."""
        _, product = self._products.get(desired.product_id, (0.0, None))
        return [*unsupported_notes(desired), *user_notes(desired, product=product)]

    def list_products(self) -> Sequence[ServerProduct]:
        """Products by their short codes, which never change; archived ones cannot be sold."""
        products = self._client.list_products()
        for product in products:
            self._remember(text(product, "short_code"), product)
        return [
            ServerProduct(id=text(product, "short_code"), name=_product_name(product))
            for product in products
            if text(product, "short_code") and product.get("is_archived") is not True
        ]

    def list_templates(self) -> None:
        """``None``: a template is a license policy here, and no documented call lists those."""
        return None

    def check_access(self) -> list[str]:
        """What is wrong with the address or the key, as sentences; empty when nothing is. Changes nothing.

        What the key may write cannot be tried without writing.
        """
        problems = []
        for path, consequence in _PROBES:
            try:
                self._client.probe(path)
            except LicensingIntegrationError as error:
                problems.append(f"{error} (without it {consequence})")
        return problems

    def describe_token(self) -> None:
        """``None``: no documented call tells what a key may do; it may do what its manager may."""
        return None

    def dashboard_url(self, license_id: str) -> str:
        """Empty: the address of a license in LicenseSpring's portal is published nowhere."""
        return ""

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()

    # Finding

    def _own(self, slot: str) -> list[LicenseSnapshot]:
        """The licenses of the slot's orders, oldest first."""
        first_id = order_id_of(slot)
        hits = self._client.licenses_of_orders_starting_with(first_id)
        return _oldest_first([_of_slot(hit, slot) for hit in hits if _is_of_slot(hit, slot, first_id=first_id)])

    def _made_by_vendor(self, subscription_id: str, *, product_id: str, slot: str) -> list[LicenseSnapshot]:
        """Licenses of the subscription that no slot has made. Raises ``UnsupportedOperation`` if the server cannot
        search for them: not to know is not the same as that there is none."""
        try:
            hits = self._client.licenses_of_subscription(subscription_id)
        except UnsupportedOperation as error:
            raise UnsupportedOperation(
                f"{error} A second license must not be made, so look for one of the subscription {subscription_id} in "
                f"LicenseSpring. If there is one, give its order the id {order_id_of(slot)}; if there is none, make "
                "an order with that id there. Then resync: it is found by that id and taken over."
            ) from error
        others = [hit for hit in hits if not text(hit, "order_store_id").startswith(OUR_PREFIX)]
        found = [to_snapshot(hit) for hit in others if text(hit, "subscription_id") == subscription_id]
        return _oldest_first(
            [hit for hit in found if hit.product_id == product_id and not hit.metadata.get(SLOT_METADATA_KEY)]
        )

    # Issuing

    def _issue(self, desired: DesiredLicense, *, slot: str, order_id: str) -> LicenseSnapshot:
        try:
            return self._order(desired, slot=slot, order_id=order_id)
        except PermanentRemoteError as error:
            if error.status != 409:
                raise _explained(error, desired) from error
        own = self._own(slot)
        if own:
            return self._adopted(own[0], desired)
        return self._order(desired, slot=slot, order_id=self._next_order_id(order_id))

    def _order(self, desired: DesiredLicense, *, slot: str, order_id: str) -> LicenseSnapshot:
        product = self._product(desired.product_id)
        key = "" if is_user_based(product) else self._client.generate_key(desired.product_id)
        order = self._client.create_order(order_body(desired, slot=slot, order_id=order_id, product=product, key=key))
        made = list(licenses_of(order))
        if len(made) != 1:
            return self._looked_up(slot, desired)
        return self._as_wanted(_of_slot(made[0], slot, order=order, desired=desired), desired)

    def _looked_up(self, slot: str, desired: DesiredLicense) -> LicenseSnapshot:
        """The answer to an order that was made did not show its license."""
        own = self._own(slot)
        if not own:
            raise TransientRemoteError(
                f"{self._client.name}: the order was made, but its license is not listed yet. It is looked for by "
                "itself.",
                may_have_succeeded=True,
            )
        return self._adopted(own[0], desired)

    def _as_wanted(self, made: LicenseSnapshot, desired: DesiredLicense) -> LicenseSnapshot:
        """Correct what an order cannot say (the note), and what the server may not have taken over."""
        wanted = desired.expires_at if desired.expiry in DATED else None
        is_same_end = wanted is None or (made.expires_at is not None and day_of(made.expires_at) == day_of(wanted))
        is_same_state = (made.state is LicenseState.ACTIVE) is (desired.state is LicenseState.ACTIVE)
        applied = replace(
            desired,
            state=desired.state if is_same_state else made.state,
            expires_at=desired.expires_at if is_same_end else made.expires_at,
            end_date_note=None,
        )
        return self._corrected(made, applied=applied, desired=desired)

    def _adopted(self, found: LicenseSnapshot, desired: DesiredLicense) -> LicenseSnapshot:
        """An earlier attempt made it, perhaps for an earlier plan."""
        return self._corrected(found, applied=None, desired=desired)

    def _corrected(
        self, found: LicenseSnapshot, *, applied: DesiredLicense | None, desired: DesiredLicense
    ) -> LicenseSnapshot:
        """The license exists by now: whatever fails here must make the caller look for it and adopt it."""
        converger = Converger(
            self._client,
            observed=found,
            applied=applied,
            desired=desired,
            find_product=self._product,
            is_fresh=True,
        )
        try:
            snapshot = converger.run().snapshot
        except (RemoteError, ConfigurationProblem) as error:
            raise TransientRemoteError(
                f"{self._client.name}: the license exists, but could not be made as wanted. {error}",
                retry_after=getattr(error, "retry_after", None),
                may_have_succeeded=True,
                request_id=getattr(error, "request_id", ""),
            ) from error
        return snapshot or found

    def _next_order_id(self, first_id: str) -> str:
        """The id for another order of the slot, after one that LicenseSpring kept although it refused its license.

        Only when that is certain: the order is listed, shows no license, and is so old that nobody works on it.
        """
        orders = [order for order in self._client.orders_starting_with(first_id) if _numbers(order, first_id=first_id)]
        if not orders or any(True for order in orders for _ in licenses_of(order)):
            raise self._undecided(first_id, "its license is not listed yet", retry_after=None)
        made_at = [moment(text(order, "created_at")) or datetime.now(UTC) for order in orders]
        remaining = max(made_at) + EMPTY_ORDER_AGE - datetime.now(UTC)
        if remaining > timedelta():
            raise self._undecided(first_id, "it may still get its license", retry_after=remaining.total_seconds())
        return f"{first_id}.{max(number for order in orders for number in _numbers(order, first_id=first_id)) + 1}"

    def _undecided(self, order_id: str, why: str, *, retry_after: float | None) -> TransientRemoteError:
        return TransientRemoteError(
            f"{self._client.name}: the order {order_id} exists, but {why}. It is tried again by itself; if it stays "
            "so, look for that order in LicenseSpring.",
            retry_after=retry_after,
            may_have_succeeded=True,
        )

    def _product(self, short_code: str) -> Json | None:
        """The product's settings, at most ``PRODUCT_SECONDS`` old; ``None`` if the key may not see it."""
        with self._products_lock:
            known_until, known = self._products.get(short_code, (0.0, {}))
        if time.monotonic() < known_until:
            return known
        product = self._client.find_product(short_code)
        if product is not None:
            self._remember(short_code, product)
        return product

    def _remember(self, short_code: str, product: Json) -> None:
        with self._products_lock:
            self._products[short_code] = (time.monotonic() + PRODUCT_SECONDS, product)


def _explained(error: PermanentRemoteError, desired: DesiredLicense) -> PermanentRemoteError:
    """With the names that somebody may have misspelt."""
    message = f"{error} {asked_for(desired)}"
    return PermanentRemoteError(message, status=error.status, code=error.code, request_id=error.request_id)


def _product_name(product: Json) -> str:
    kind = "user-based" if is_user_based(product) else "key-based"
    return f"{text(product, 'product_name')} ({text(product, 'short_code')}, {kind})"


def _is_of_slot(hit: Json, slot: str, *, first_id: str) -> bool:
    """Filters may be ignored or match loosely. Where a license does not tell its order, our mark on it decides."""
    order_id = text(hit, "order_store_id")
    if order_id:
        return order_number(order_id, first_id=first_id) is not None
    metadata = hit.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get(SLOT_METADATA_KEY) == slot


def _of_slot(
    hit: Json, slot: str, *, order: Json | None = None, desired: DesiredLicense | None = None
) -> LicenseSnapshot:
    """A license of ours. Whether answers show all of it is not known, so what we know is added."""
    snapshot = to_snapshot(hit, product_id=desired.product_id if desired else "")
    user_id = snapshot.user_id or (desired.customer.email.lower() if desired else "")
    return replace(snapshot, user_id=user_id, metadata={**snapshot.metadata, SLOT_METADATA_KEY: slot})


def _numbers(order: Json, *, first_id: str) -> list[int]:
    """Which of the slot's orders it is; empty for somebody else's."""
    numbers = [order_number(order_id, first_id=first_id) for order_id in order_ids(order)]
    return [number for number in numbers if number is not None]


def _oldest_first(found: Sequence[LicenseSnapshot]) -> list[LicenseSnapshot]:
    """By creation; a license without a creation date comes last."""
    return sorted(found, key=lambda hit: (hit.created_at is None, hit.created_at and hit.created_at.timestamp()))
