"""What every license-server backend offers. State in, snapshots out; never vendor JSON, always our exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import (
    DesiredLicense,
    LicenseSnapshot,
    LicenseTemplate,
    ServerProduct,
)

SLOT_METADATA_KEY = "licensing_integration_slot"


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """What ``converge`` did: the license now (``None`` = it is gone) and a past-tense verb for each change.

    ``verbs`` are history kinds: ``renewed``, ``changed``, ``suspended``, ``reinstated``, ``revoked``, ``deleted``; a
    change that an earlier attempt had made already counts. ``notes``: sentences about what could not be done.
    """

    snapshot: LicenseSnapshot | None
    verbs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class LicenseServerBackend(Protocol):
    """Every method but ``check_access``, ``unsupported`` and ``dashboard_url`` may raise ``TransientRemoteError``,
    ``PermanentRemoteError``, ``CredentialsRejected``."""

    def find(self, *, slot: str, desired: DesiredLicense) -> Sequence[LicenseSnapshot]:
        """Licenses that are, or may be, this slot's: first those that carry our slot reference; if there is none, those
        the vendor's own integration made for the same purchase (``desired.vendor_metadata``, same product), oldest
        first, except licenses that carry another slot's reference. Every page read, every hit re-checked on one
        metadata entry. Empty ids make no call."""
        ...

    def ensure_user(self, customer: Customer) -> str:
        """The id of the user with ``customer.email`` (lower-case, never empty): created, or found after a conflict."""
        ...

    def issue(self, desired: DesiredLicense, *, slot: str, user_id: str) -> LicenseSnapshot:
        """Create the license with everything it needs in one call. Not repeatable: the caller looks first."""
        ...

    def unsupported(self, desired: DesiredLicense) -> Sequence[str]:
        """Sentences on what of ``desired`` this license server has no equivalent for, asked for after ``issue``;
        ``converge`` tells them in its notes by itself. Makes no call."""
        ...

    def converge(
        self,
        observed: LicenseSnapshot,
        *,
        applied: DesiredLicense | None,
        desired: DesiredLicense,
        user_id: str,
        is_retry: bool,
    ) -> Convergence:
        """Make the license match ``desired`` with the fewest calls; only fields in which ``desired`` differs from
        ``applied`` (what we last brought about) are sent. ``applied=None`` (an adopted license, or a resync): compare
        with ``observed`` instead. ``is_retry``: an earlier attempt at this change may have reached the server, so
        anything not repeatable must look first. Raises ``UnsupportedOperation`` for what the server cannot do."""
        ...

    def fetch(self, license_id: str) -> LicenseSnapshot | None:
        """The license now, or ``None`` if the server no longer has it."""
        ...

    def list_products(self) -> Sequence[ServerProduct]: ...

    def list_templates(self) -> Sequence[LicenseTemplate]: ...

    def check_access(self) -> Sequence[str]:
        """What is wrong with the address or the token, as sentences; empty when nothing is. Changes nothing."""
        ...

    def dashboard_url(self, license_id: str) -> str:
        """The license in the vendor's portal; empty where its address is not known."""
        ...
