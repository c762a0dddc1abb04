"""What every license-server backend offers. State in, snapshots out; never vendor JSON, always our exceptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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


@dataclass(frozen=True, kw_only=True)
class PlannedCall:
    """A request that would be sent. ``path``: a template such as ``/v3/licenses/{id}``. ``body``: JSON-ready, ``None``
    where there is none. ``note``: what may turn out otherwise, as a sentence."""

    method: str
    path: str
    body: Mapping[str, object] | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class TokenReport:
    """What the server tells of an access token, probably ours. ``permissions`` by the server's own names. ``missing``:
    what ours needs and this one has not, as sentences."""

    name: str
    expires_at: datetime | None
    permissions: tuple[str, ...]
    missing: tuple[str, ...]


def why_it_stays(observed: LicenseSnapshot, desired: DesiredLicense, *, server: str, kind: str) -> str:
    """Why the license cannot become what is wanted, as no call can move it; empty if it can. ``server``: the license
    server it is on, by its name; ``kind``: what that is, such as ``Cryptlex``."""
    if desired.server not in {"", server}:
        return f'The license was made on license server "{server}" and cannot be moved to "{desired.server}".'
    wanted, present = desired.product_id, observed.product_id
    if not (wanted and present) or wanted == present:
        return ""
    return (
        f"{kind} cannot move a license to another product: this one belongs to product {present}, wanted is {wanted}."
    )


def unknown_yet(what: str) -> str:
    """What stands in a planned call where the value comes from an answer, or from chance."""
    return f"‹{what}›"


class LicenseServerBackend(Protocol):
    """Every method but ``check_access``, ``unsupported``, ``planned_calls`` and ``dashboard_url`` may raise
    ``TransientRemoteError``, ``PermanentRemoteError``, ``CredentialsRejected``."""

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

    def planned_calls(self, desired: DesiredLicense, *, slot: str, is_user_known: bool) -> Sequence[PlannedCall]:
        """The requests that ``ensure_user``, unless the user ``is_user_known``, and ``issue`` would send if all goes
        well, in their order. Makes no call; what only an answer tells stands there as ``unknown_yet``.

        Raises ``InvalidTerm`` for what ``issue`` would refuse to ask for."""
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
        anything not repeatable must look first. Raises ``UnsupportedOperation`` for what the server cannot do and a
        person has to decide, such as another product; what was paid for is brought about before that: access, and the
        end date."""
        ...

    def fetch(self, license_id: str) -> LicenseSnapshot | None:
        """The license now, or ``None`` if the server no longer has it."""
        ...

    def list_products(self) -> Sequence[ServerProduct]: ...

    def list_templates(self) -> Sequence[LicenseTemplate] | None:
        """The license templates; ``None`` where the server cannot tell which there are."""
        ...

    def check_access(self) -> Sequence[str]:
        """What is wrong with the address or the token, as sentences; empty when nothing is. Changes nothing."""
        ...

    def describe_token(self) -> TokenReport | None:
        """What the server tells of the token's permissions, also of those that cannot be tried without writing. Only a
        hint: it may speak of another token. ``None`` where it tells nothing."""
        ...

    def dashboard_url(self, license_id: str) -> str:
        """The license in the vendor's portal; empty where its address is not known."""
        ...
