"""Cryptlex as a license server: find, create and change licenses and their users.

The vendor publishes neither idempotency keys nor uniqueness rules for licenses, so every license carries our slot
reference in its metadata and is looked for there before it would be created a second time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot, LicenseTemplate, ServerProduct
from licensing_integration.domain.outcomes import ExpiryMode
from licensing_integration.exceptions import (
    ConfigurationProblem,
    LicensingIntegrationError,
    PermanentRemoteError,
    RemoteError,
    TransientRemoteError,
)
from licensing_integration.license_servers.base import SLOT_METADATA_KEY, Convergence, PlannedCall, TokenReport
from licensing_integration.license_servers.cryptlex.client import CryptlexClient
from licensing_integration.license_servers.cryptlex.converge import SAME_MOMENT, Converger
from licensing_integration.license_servers.cryptlex.creation import creation_calls, license_body, user_body, wanted_end
from licensing_integration.license_servers.cryptlex.equivalents import as_cryptlex, missing_equivalents, unknown_feature
from licensing_integration.license_servers.cryptlex.features import FeatureCatalog
from licensing_integration.license_servers.cryptlex.token import describe_token
from licensing_integration.license_servers.cryptlex.values import Json, metadata_entries, text, to_snapshot, to_wire

DUPLICATE_CODE: Final = "DUPLICATE_FIELD_VALUE"  # the only error code the vendor publishes
PLACEHOLDERS: Final = frozenset({"subscription_empty", "transaction_empty"})
"""What the vendor's own integrations write where they have no id: shared by unrelated licenses."""

_DASHBOARDS: Final = {"api.cryptlex.com": "https://app.cryptlex.com/licenses/"}  # assumption: published nowhere
_PROBES: Final = (
    ("/v3/licenses", "license:read", "licenses cannot be found again"),
    ("/v3/users", "user:read", "customers cannot be found again"),
    ("/v3/license-templates", "licensePolicy:read or licenseTemplate:read", "templates cannot be offered for mapping"),
    ("/v3/products", "product:read", "products cannot be offered for mapping"),
)


class CryptlexBackend:
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
        self._client = CryptlexClient(
            name,
            base_url=base_url,
            access_token=access_token,
            before_request=before_request,
            on_rate_limited=on_rate_limited,
        )
        self._features = FeatureCatalog(self._client)

    def find(self, *, slot: str, desired: DesiredLicense) -> Sequence[LicenseSnapshot]:
        """See ``LicenseServerBackend.find``. One call when our slot reference is found, else one per vendor key."""
        if not slot.strip():
            return []
        own = self._carrying(SLOT_METADATA_KEY, value=slot)
        if own or not desired.product_id.strip():
            return _oldest_first(own)
        return _oldest_first(self._made_by_vendor(slot, desired=desired))

    def ensure_user(self, customer: Customer) -> str:
        """See ``LicenseServerBackend.ensure_user``. An existing user is never changed."""
        email = customer.email.strip().lower()
        if not email:
            raise ValueError("a Cryptlex user needs an e-mail address; without one the search would match everybody")
        try:
            body = user_body(customer, email=email, password=_unused_password())
            return text(self._client.create_user(body), "id")
        except PermanentRemoteError as error:
            if not _says_duplicate(error):
                raise
        return self._existing_user(email)

    def issue(self, desired: DesiredLicense, *, slot: str, user_id: str) -> LicenseSnapshot:
        """See ``LicenseServerBackend.issue``. Further calls are made only if the server chose another end date, and
        for features."""
        wanted = as_cryptlex(desired)
        known = self._features.ids_of(wanted.features)
        body = license_body(wanted, slot=slot, user_id=user_id, unknown_features=set(wanted.features) - known.keys())
        snapshot = to_snapshot(self._client.create_license(body))
        try:
            if _has_other_end(snapshot, wanted):
                snapshot = self._corrected_end(snapshot, wanted)
            for feature_id in known.values():
                self._client.create_entitlement(snapshot.license_id, feature_id=feature_id)
        except (RemoteError, ConfigurationProblem) as error:
            raise self._unfinished(error) from error
        return snapshot

    def planned_calls(self, desired: DesiredLicense, *, slot: str, is_user_known: bool) -> Sequence[PlannedCall]:
        """See ``LicenseServerBackend.planned_calls``. Of features it knows what the last look at them showed."""
        return creation_calls(
            desired,
            slot=slot,
            is_user_known=is_user_known,
            unknown_features=self._features.seen_missing(desired.features),
        )

    def converge(
        self,
        observed: LicenseSnapshot,
        *,
        applied: DesiredLicense | None,
        desired: DesiredLicense,
        user_id: str,
        is_retry: bool,
    ) -> Convergence:
        """See ``LicenseServerBackend.converge``."""
        return Converger(
            self._client,
            self._features,
            observed=observed,
            applied=applied,
            desired=desired,
            user_id=user_id,
            is_retry=is_retry,
        ).run()

    def unsupported(self, desired: DesiredLicense) -> Sequence[str]:
        """See ``LicenseServerBackend.unsupported``. Of features it knows what the last look at them showed."""
        return [*missing_equivalents(desired), *map(unknown_feature, self._features.seen_missing(desired.features))]

    def fetch(self, license_id: str) -> LicenseSnapshot | None:
        """The license now, or ``None`` if the server no longer has it."""
        try:
            return to_snapshot(self._client.get_license(license_id))
        except PermanentRemoteError as error:
            if error.status == 404:
                return None
            raise

    def list_products(self) -> Sequence[ServerProduct]:
        return [
            ServerProduct(
                id=text(data, "id"),
                name=text(data, "displayName") or text(data, "name"),
                template_id=text(data, "licenseTemplateId"),
            )
            for data in self._client.list_products()
        ]

    def list_templates(self) -> Sequence[LicenseTemplate]:
        """Every template of the account: templates know no product, so none can be left out for a product."""
        return [LicenseTemplate(id=text(data, "id"), name=text(data, "name")) for data in self._client.list_templates()]

    def dashboard_url(self, license_id: str) -> str:
        """The license in the vendor's admin portal; empty where the portal's address is not known.

        The address for the default region is an assumption; none is known for the EU region or on-premise.
        """
        start = _DASHBOARDS.get(urlsplit(self._client.base_url).hostname or "")
        return f"{start}{license_id}" if start and license_id else ""

    def check_access(self) -> list[str]:
        """What is wrong with the address or the token, as sentences; empty when nothing is. Changes nothing.

        Write permissions cannot be tried without writing.
        """
        try:
            self._client.get_profile()
        except LicensingIntegrationError as error:
            return [str(error)]
        problems = []
        for path, permission, consequence in _PROBES:
            try:
                self._client.probe(path)
            except LicensingIntegrationError as error:
                problems.append(f"{error} ({permission}; without it {consequence})")
        return problems

    def describe_token(self) -> TokenReport | None:
        """See ``LicenseServerBackend.describe_token``."""
        return describe_token(self._client.list_tokens())

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()

    def _carrying(self, key: str, *, value: str, product_id: str | None = None) -> list[Json]:
        """Licenses with exactly this metadata entry; the server may match key and value on different entries."""
        hits = self._client.licenses_with_metadata(key, value=value, product_id=product_id)
        return [hit for hit in hits if (key, value) in metadata_entries(hit)]

    def _made_by_vendor(self, slot: str, *, desired: DesiredLicense) -> list[Json]:
        """By the strongest vendor key that has hits. A license that names another subscription is somebody else's."""
        keys = _usable_vendor_keys({**desired.searched_metadata, **desired.vendor_metadata})
        for index, (key, value) in enumerate(keys):
            hits = [
                hit
                for hit in self._carrying(key, value=value, product_id=desired.product_id)
                if text(hit, "productId") == desired.product_id
                and not _belongs_to_other_slot(hit, slot=slot)
                and not _contradicts(hit, stronger=keys[:index])
            ]
            if hits:
                return hits
        return []

    def _existing_user(self, email: str) -> str:
        for user in self._client.users_with_email(email):
            if text(user, "email").strip().lower() == email:
                return text(user, "id")
        raise TransientRemoteError(
            f"{self._client.name}: the e-mail address is taken, yet no user with it is listed. It is tried again by "
            "itself; if it stays so, look for the user in Cryptlex.",
            may_have_succeeded=False,
        )

    def _corrected_end(self, snapshot: LicenseSnapshot, desired: DesiredLicense) -> LicenseSnapshot:
        """Which of date and interval wins on creation is undocumented, so the answer is checked."""
        wanted = wanted_end(desired)
        return to_snapshot(
            self._client.set_expires_at(snapshot.license_id, expires_at=to_wire(wanted) if wanted else None)
        )

    def _unfinished(self, error: LicensingIntegrationError) -> TransientRemoteError:
        """The license exists by now: whatever failed must make the caller look for it and adopt it."""
        return TransientRemoteError(
            f"{self._client.name}: the license was created, but not all of it could be set. {error}",
            retry_after=getattr(error, "retry_after", None),
            may_have_succeeded=True,
            request_id=getattr(error, "request_id", ""),
        )


def _has_other_end(snapshot: LicenseSnapshot, desired: DesiredLicense) -> bool:
    if desired.expiry is ExpiryMode.PERPETUAL:
        return snapshot.expires_at is not None
    wanted = wanted_end(desired)
    if wanted is None:
        return False
    return snapshot.expires_at is None or abs(snapshot.expires_at - wanted) > SAME_MOMENT


def _unused_password() -> str:
    """The prefix satisfies whatever composition rule there may be."""
    return f"Aa1!{secrets.token_urlsafe(24)}"


def _says_duplicate(error: PermanentRemoteError) -> bool:
    """Creation declares 400 and 409; which of them a taken address gives is not documented."""
    return error.status == 409 or (error.status == 400 and error.code == DUPLICATE_CODE)


def _usable_vendor_keys(vendor_metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """Keys that identify one purchase, subscriptions before orders: an order may hold several subscriptions."""
    usable = [(key, value) for key, value in vendor_metadata.items() if key and value.strip()]
    usable = [(key, value) for key, value in usable if value not in PLACEHOLDERS]
    return sorted(usable, key=lambda entry: "subscription" not in entry[0])


def _contradicts(hit: Json, *, stronger: Sequence[tuple[str, str]]) -> bool:
    names = dict(stronger)
    return any(
        key in names and value and value not in PLACEHOLDERS and value != names[key]
        for key, value in metadata_entries(hit)
    )


def _belongs_to_other_slot(hit: Json, *, slot: str) -> bool:
    return any(key == SLOT_METADATA_KEY and value and value != slot for key, value in metadata_entries(hit))


def _oldest_first(hits: Sequence[Json]) -> list[LicenseSnapshot]:
    """By creation; a license without a creation date comes last."""
    snapshots = [to_snapshot(hit) for hit in hits]
    return sorted(
        snapshots, key=lambda found: (found.created_at is None, found.created_at and found.created_at.timestamp())
    )
