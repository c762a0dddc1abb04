"""The whole error tree. The class decides what the machine does, the message tells a person what to do next.

::

    LicensingIntegrationError
    ├─ DeliveryRejected            4xx/503 to the store, nothing stored
    │  ├─ UnknownStore             404: no store of that name is configured
    │  ├─ StoreDisabled            503: the store has no webhook secret
    │  │  └─ FulfilmentDisabled    503: the store has no fulfilment key
    │  ├─ LengthRequired           411: no Content-Length, so the size is unknown before reading
    │  ├─ DeliveryTooLarge         413: body above the limit
    │  └─ InvalidSignature         403: no configured secret signs these bytes
    ├─ PayloadError                the signature was right, so it is stored and answered 200
    │  ├─ UnsupportedEvent         a type nobody declared
    │  └─ MalformedPayload         a field is missing or unreadable (``path`` says which)
    ├─ KeysNotReady                503 to the store that asks for keys: it gets all of them or none
    ├─ ConfigurationProblem        failure mode ``config``: a setting or mapping must change first
    │  ├─ ProductNotMapped         nothing says which license this product becomes
    │  ├─ InvalidTerm              a store attribute or mapping field has a value we cannot use
    │  └─ CredentialsRejected      401/403: the token is wrong or lacks a permission
    └─ RemoteError                 a store API or license server did not do what we asked
       ├─ TransientRemoteError     network, 429, 5xx: try again later
       ├─ PermanentRemoteError     other 4xx: needs a person
       └─ UnsupportedOperation     this license server cannot do that
"""

from __future__ import annotations


class LicensingIntegrationError(Exception):
    """Base of every error this product raises on purpose.

    ``is_partial``: an earlier call of the same attempt succeeded, so something has changed all the same.
    ``changed_license``: the license as its server shows it after that (a ``LicenseSnapshot``), where it is known.
    """

    is_partial = False
    changed_license: object | None = None


class DeliveryRejected(LicensingIntegrationError):
    """A delivery we refuse to store; ``status`` is the HTTP status of the answer.

    ``reason``: the ``RejectionReason`` under which it is counted for the operator; empty: it is not.
    """

    status = 400
    reason: str = ""


class UnknownStore(DeliveryRejected):
    status = 404


class StoreDisabled(DeliveryRejected):
    status = 503
    reason = "no_secret"


class FulfilmentDisabled(StoreDisabled):
    """Most stores have none, and strangers try addresses: nothing an operator should hear of."""

    reason = ""


class LengthRequired(DeliveryRejected):
    status = 411
    reason = "no_length"


class DeliveryTooLarge(DeliveryRejected):
    status = 413
    reason = "too_large"


class InvalidSignature(DeliveryRejected):
    """The message may tell the details of the delivery; ``reason`` is all that is kept of it."""

    status = 403

    def __init__(self, message: str, *, reason: str = "bad_signature") -> None:
        super().__init__(message)
        self.reason = reason


class PayloadError(LicensingIntegrationError):
    """The delivery is authentic but cannot be acted on."""


class UnsupportedEvent(PayloadError):
    """The event type is in none of the adapter's declared sets."""


class MalformedPayload(PayloadError):
    """A field is missing or has a value we cannot read."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class KeysNotReady(LicensingIntegrationError):
    """A store asked for keys, and not all of them are there. The message says why, to the operator."""


class ConfigurationProblem(LicensingIntegrationError):
    """Somebody has to change a setting, a mapping or a store attribute first."""


class ProductNotMapped(ConfigurationProblem):
    """Neither a product mapping nor the store's attributes say which license to issue."""


class InvalidTerm(ConfigurationProblem):
    """A mapping field or store attribute holds a value that means nothing."""


class CredentialsRejected(ConfigurationProblem):
    """The other side answered 401 or 403. ``is_permission``: it knows who asks, who may just not do this (403)."""

    def __init__(self, message: str, *, is_permission: bool = False) -> None:
        super().__init__(message)
        self.is_permission = is_permission


class RemoteError(LicensingIntegrationError):
    """A call to a store API or license server failed.

    ``request_id`` is the other side's id of the request where it gave one.
    """

    def __init__(self, message: str, *, request_id: str = "") -> None:
        super().__init__(message)
        self.request_id = request_id


class TransientRemoteError(RemoteError):
    """Worth trying again.

    ``retry_after``: seconds the other side asked us to wait, if it did.
    ``may_have_succeeded``: the request reached the other side, or may have; look before repeating it.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        may_have_succeeded: bool = True,
        request_id: str = "",
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.retry_after = retry_after
        self.may_have_succeeded = may_have_succeeded


class PermanentRemoteError(RemoteError):
    """Repeating the same request cannot help. ``status`` and ``code`` are the other side's."""

    def __init__(self, message: str, *, status: int, code: str = "", request_id: str = "") -> None:
        super().__init__(message, request_id=request_id)
        self.status = status
        self.code = code


class LicenseGone(PermanentRemoteError):
    """The license server has no such license any more, though it should exist."""

    def __init__(self, server: str) -> None:
        super().__init__(
            f"The license no longer exists on {server}: somebody deleted it there. "
            "Use 'Issue again' to make a new one, or end the purchase in the store.",
            status=404,
        )


class UnsupportedOperation(RemoteError):
    """The license server has no such operation; a person has to decide."""
