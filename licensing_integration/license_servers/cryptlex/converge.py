"""Making an existing license look as desired, with the fewest calls and nothing that could hurt when repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState
from licensing_integration.exceptions import LicensingIntegrationError, PermanentRemoteError, UnsupportedOperation
from licensing_integration.license_servers.base import Convergence, why_it_stays
from licensing_integration.license_servers.cryptlex.client import CryptlexClient
from licensing_integration.license_servers.cryptlex.equivalents import (
    added_sentences,
    as_cryptlex,
    missing_equivalents,
    unknown_feature,
)
from licensing_integration.license_servers.cryptlex.features import FeatureCatalog, entitle, withdraw
from licensing_integration.license_servers.cryptlex.marks import changed_feature_marks, changed_marks
from licensing_integration.license_servers.cryptlex.values import (
    Json,
    add_intervals,
    moment,
    to_snapshot,
    to_wire,
)

SAME_MOMENT: Final = timedelta(seconds=1)  # how many fraction digits the server keeps is unknown
MAX_RENEWAL_TOLERANCE: Final = timedelta(days=1)  # its end-of-month rule is unknown, too

_NOT_FOUND = 404
_FIELDS: Final = (
    ("activations", "allowedActivations"),
    ("floating_clients", "allowedFloatingClients"),
    ("entitlement_set_id", "entitlementSetId"),
    ("max_release_version", "maxAllowedReleaseVersion"),
    ("maintenance_policy_id", "maintenancePolicyId"),
)
# The seats of a hosted-floating license are its activations; the number of devices is only a mark.
_FLOATING_FIELDS: Final = (("floating_clients", "allowedActivations"), *_FIELDS[2:])
_STATE_VERBS: Final = {
    LicenseState.ACTIVE: "reinstated",
    LicenseState.SUSPENDED: "suspended",
    LicenseState.REVOKED: "revoked",
}


class Converger:
    """One convergence: the arguments of ``LicenseServerBackend.converge``, and what has been done so far."""

    def __init__(
        self,
        client: CryptlexClient,
        features: FeatureCatalog,
        *,
        observed: LicenseSnapshot,
        applied: DesiredLicense | None,
        desired: DesiredLicense,
        user_id: str,
        is_retry: bool,
    ) -> None:
        self._client = client
        self._features = features
        self._id = observed.license_id
        self._observed = observed
        self._applied = as_cryptlex(applied) if applied else None
        self._desired = as_cryptlex(desired)
        self._user_id = user_id
        self._is_retry = is_retry
        self._snapshot = observed
        self._verbs: list[str] = []
        self._notes: list[str] = []

    def run(self) -> Convergence:
        """Do what is missing. A license that is gone comes back as ``Convergence(snapshot=None)``."""
        if self._desired.state is LicenseState.ABSENT:
            return self._delete()
        try:
            self._bring_about()
        except LicensingIntegrationError as error:
            error.is_partial = bool(self._verbs)
            error.changed_license = self._snapshot if self._verbs else None
            # A 404 may also mean an id inside the body; only a license that cannot be read is gone.
            if getattr(error, "status", None) != _NOT_FOUND or not self._is_gone():
                raise
            return self._result(snapshot=None)
        return self._result(snapshot=self._snapshot)

    def _bring_about(self) -> None:
        self._note_other_template()
        self._note_missing_equivalents()
        if problem := why_it_stays(self._observed, self._desired, server=self._client.name, kind="Cryptlex"):
            self._follow_payment(problem)
            return
        self._update_and_set_end(self._changed_members)
        self._set_features()

    def _update_and_set_end(self, members: Callable[[], dict[str, object]]) -> None:
        if self._baseline.state is not LicenseState.ACTIVE and self._desired.state is LicenseState.ACTIVE:
            # The date first: a reinstated license with its old date would be seen as expired.
            self._set_end()
            self._update(members=members())
        else:
            self._update(members=members())
            self._set_end()

    @property
    def _baseline(self) -> DesiredLicense | LicenseSnapshot:
        return self._applied or self._observed

    def _result(self, *, snapshot: LicenseSnapshot | None) -> Convergence:
        return Convergence(snapshot=snapshot, verbs=tuple(self._verbs), notes=tuple(self._notes))

    def _accept(self, data: Json, *, verb: str = "") -> None:
        self._snapshot = to_snapshot(data)
        if verb:
            self._verbs.append(verb)

    # What cannot be changed on an existing license

    def _follow_payment(self, problem: str) -> None:
        """Access and end date follow what is paid for; taking access away settles it, all else a person has to."""
        is_taken_away = bool(self._state_members()) and self._desired.state is not LicenseState.ACTIVE
        self._update_and_set_end(self._state_members)
        if is_taken_away and self._desired.server in {"", self._client.name}:
            self._notes.append(problem)
            return
        done = f"It was {' and '.join(self._verbs)} all the same. " if self._verbs else ""
        raise UnsupportedOperation(
            f"{problem} {done}Map the product back, or delete this license so that a new one is issued."
        )

    def _note_other_template(self) -> None:
        if self._applied is not None and self._applied.template_id != self._desired.template_id:
            self._notes.append("The license template cannot be changed on an existing license; it keeps its old one.")

    def _note_missing_equivalents(self) -> None:
        before = missing_equivalents(self._applied) if self._applied else ()
        self._notes += added_sentences(missing_equivalents(self._desired), before=before)

    # State, limits, user, marks: one PATCH

    def _update(self, *, members: dict[str, object]) -> None:
        if not members:
            return
        is_state_change = "suspended" in members or "revoked" in members
        verb = _STATE_VERBS[self._desired.state] if is_state_change else "changed"
        self._accept(self._client.update_license(self._id, body=members), verb=verb)
        if is_state_change and self._snapshot.state is not self._desired.state:
            self._notes.append(f"Cryptlex still reports the license as {self._snapshot.state}.")

    def _changed_members(self) -> dict[str, object]:
        return {
            **self._state_members(),
            **self._field_members(),
            **self._user_members(),
            **self._marked_members(),
        }

    def _state_members(self) -> dict[str, object]:
        """Suspended and revoked are two flags; a revocation, ours or seen, is lifted with whatever lifts the state."""
        if self._baseline.state is self._desired.state:
            return {}
        was_revoked = LicenseState.REVOKED in (self._baseline.state, self._observed.state)
        unrevoke: dict[str, object] = {"revoked": False} if was_revoked else {}
        if self._desired.state is LicenseState.REVOKED:
            return {"revoked": True}
        return {"suspended": self._desired.state is LicenseState.SUSPENDED, **unrevoke}

    def _field_members(self) -> dict[str, object]:
        members: dict[str, object] = {}
        for field, member in _FLOATING_FIELDS if self._desired.is_floating_cloud else _FIELDS:
            wanted, present = getattr(self._desired, field), getattr(self._baseline, field)
            if wanted not in (None, ""):
                members |= {member: wanted} if wanted != present else {}
            elif self._applied is not None and present not in (None, ""):
                self._notes.append(f"{member} is left to the template from now on; this license keeps its {present}.")
        return members

    def _user_members(self) -> dict[str, object]:
        if not self._user_id or self._user_id == self._observed.user_id:
            return {}
        if self._applied is not None and _email(self._applied) == _email(self._desired):
            return {}
        return {"userId": self._user_id}

    # Marks: parts of metadata, notes and meter attributes, which are written as a whole and so read before

    def _marked_members(self) -> dict[str, object]:
        changes = changed_marks(self._desired, applied=self._applied, observed=self._observed)
        return changes.members(self._look()) if changes else {}

    # Features: entries of their own

    def _set_features(self) -> None:
        had = set(self._applied.features) if self._applied else set()
        added = [code for code in self._desired.features if code not in had]
        removed = sorted(had - set(self._desired.features))
        known = self._features.ids_of(added)
        is_changed = bool(known) and entitle(self._client, self._id, features=known)
        is_changed = (bool(removed) and withdraw(self._client, self._id, codes=removed)) or is_changed
        unknown = [code for code in added if code not in known]
        changes = changed_feature_marks(self._snapshot.metadata, unknown=unknown, withdrawn=removed)
        if changes:
            self._update(members=changes.members(self._look()))
        self._notes += map(unknown_feature, unknown)
        if is_changed and "changed" not in self._verbs:
            self._verbs.append("changed")

    # The end date

    def _set_end(self) -> None:
        match self._desired.expiry:
            case ExpiryMode.PAID_THROUGH:
                if self._desired.expires_at is not None and self._is_other_end(self._desired.expires_at):
                    self._set_date(self._desired.expires_at)
            case ExpiryMode.PERPETUAL:
                if self._is_other_end(None):
                    self._set_date(None)
            case ExpiryMode.INTERVAL:
                self._set_interval()
                if self._applied is None:
                    self._lift_to_what_is_paid()
                elif self._is_leaving_a_date():
                    self._leave_date_behind()
                else:
                    self._add_periods()
            case ExpiryMode.TEMPLATE:
                if self._applied is not None and self._applied.expiry is ExpiryMode.PAID_THROUGH:
                    self._notes.append("The end date is left to the template from now on; this license keeps its own.")

    def _is_other_end(self, wanted: datetime | None) -> bool:
        if self._applied is None:
            return not _is_same(self._observed.expires_at, wanted)
        if self._applied.expiry is not self._desired.expiry:
            return True
        return wanted is not None and not _is_same(self._applied.expires_at, wanted)

    def _set_date(self, wanted: datetime | None, *, verb: str = "") -> None:
        before = self._snapshot.expires_at
        is_later = wanted is not None and before is not None and wanted > before
        data = self._client.set_expires_at(self._id, expires_at=to_wire(wanted) if wanted else None)
        self._accept(data, verb=verb or ("renewed" if is_later else "changed"))

    def _set_interval(self) -> None:
        wanted = self._desired.interval
        if wanted and wanted not in (self._baseline.interval, self._observed.interval):
            self._accept(self._client.set_interval(self._id, interval=wanted), verb="changed")

    def _lift_to_what_is_paid(self) -> None:
        """An adopted license may have missed renewals; its end is never moved back."""
        wanted, present = self._desired.expires_at, self._observed.expires_at
        if wanted is not None and present is not None and present < wanted - self._tolerance(present):
            self._set_date(wanted)

    def _is_leaving_a_date(self) -> bool:
        """A trial or an override is over, and the store told what is paid for."""
        was_date = self._applied is not None and self._applied.expiry is ExpiryMode.PAID_THROUGH
        return was_date and self._desired.expires_at is not None

    def _leave_date_behind(self) -> None:
        """The paid-through date is what the next renewal starts from."""
        wanted = self._desired.expires_at
        if wanted is not None and not _is_same(self._observed.expires_at, wanted):
            self._set_date(wanted)

    def _missing_periods(self) -> int:
        """Periods paid for since the license was last brought up to date.

        Unknown for a license whose end came from elsewhere: the server's date is the truth then, as counting from the
        first period could give away years.
        """
        if self._applied is None or self._applied.expiry is not ExpiryMode.INTERVAL:
            return 0
        return self._desired.periods - self._applied.periods

    def _add_periods(self) -> None:
        missing = self._missing_periods()
        if missing <= 0:
            return
        looked = self._look() if self._is_retry or self._observed.expires_at is None else None
        if self._snapshot.expires_at is None:
            self._notes.append("Not renewed: the license has no end date, it has not been activated yet.")
        elif looked is not None and self._is_retry:
            self._catch_up(missing, looked=looked)
        else:
            self._renew(missing)

    def _look(self) -> Json:
        data = self._client.get_license(self._id)
        self._accept(data)
        return data

    def _renew(self, missing: int) -> None:
        """One call per period. A renewal that does not move the date is replaced by setting the date."""
        for done in range(missing):
            before = self._snapshot.expires_at
            if before is not None and self._is_paid_through(before):
                return
            self._accept(self._client.renew_license(self._id), verb="renewed")
            after = self._snapshot.expires_at
            if before is not None and (after is None or after <= before):
                self._set_expected_date(before, periods=missing - done)
                return

    def _is_paid_through(self, end: datetime) -> bool:
        """Nothing is missing whatever the count says: the end was set by date, and now an event of an earlier period
        has come late."""
        wanted = self._desired.expires_at
        return wanted is not None and end > wanted - self._tolerance(end)

    def _set_expected_date(self, start: datetime, *, periods: int) -> None:
        expected = add_intervals(start, interval=self._interval, times=periods)
        if expected is None:
            self._notes.append("The renewal did not move the end date, and without an interval the date is unknown.")
        else:
            self._set_date(expected, verb="changed")

    def _catch_up(self, missing: int, *, looked: Json) -> None:
        """An earlier attempt may have renewed: never renew again, set the date it should have led to instead."""
        present = self._snapshot.expires_at
        start = self._observed.expires_at or self._first_end(looked)
        if start is not None and self._is_paid_through(start):
            return
        expected = add_intervals(start, interval=self._interval, times=missing) if start else None
        wanted = self._desired.expires_at
        if start and expected and wanted and expected > wanted + self._tolerance(start):
            expected = wanted  # some of the missing periods are in the start date already
        if start is None or present is None:
            self._notes.append("Not renewed: where this license's periods begin is unknown. Check its end date.")
        elif expected is None and present <= start:
            self._renew(missing)  # no interval to compute with, but the date proves that nothing has happened yet
        elif expected is not None and present < expected - self._tolerance(start):
            self._set_date(expected, verb="renewed")
        else:
            self._verbs.append("renewed")
            self._notes.append("An earlier attempt had already renewed the license; it was not renewed again.")

    @property
    def _interval(self) -> str:
        return self._desired.interval or self._snapshot.interval or self._observed.interval

    def _first_end(self, looked: Json) -> datetime | None:
        """End of the first period of a license that was waiting for its activation when we last saw it."""
        activated_at = moment(looked, "activatedAt")
        return add_intervals(activated_at, interval=self._interval, times=1) if activated_at else None

    def _tolerance(self, start: datetime) -> timedelta:
        """A day, but never so much that a missing hourly or daily renewal would pass for done."""
        end = add_intervals(start, interval=self._interval, times=1)
        return min(MAX_RENEWAL_TOLERANCE, (end - start) / 2) if end else MAX_RENEWAL_TOLERANCE

    # The end of the license

    def _delete(self) -> Convergence:
        try:
            self._client.delete_license(self._id)
        except PermanentRemoteError as error:
            if error.status != _NOT_FOUND:
                raise
            self._notes.append("Cryptlex no longer had the license.")
        self._verbs.append("deleted")
        return self._result(snapshot=None)

    def _is_gone(self) -> bool:
        try:
            self._client.get_license(self._id)
        except PermanentRemoteError as error:
            return error.status == _NOT_FOUND
        return False


def _email(desired: DesiredLicense) -> str:
    return desired.customer.email.strip().lower()


def _is_same(one: datetime | None, other: datetime | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= SAME_MOMENT
