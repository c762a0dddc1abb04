"""Making an existing license look as desired, with the fewest calls; every call can be repeated without harm.

What LicenseSpring refuses to change is told and does not keep the rest from being done. It stops the license for a
person only where the customer would be left with less than was paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import LicenseState
from licensing_integration.exceptions import LicensingIntegrationError, PermanentRemoteError, UnsupportedOperation
from licensing_integration.license_servers.base import Convergence, why_it_stays
from licensing_integration.license_servers.licensespring.changes import (
    Group,
    Seen,
    changed_end,
    changed_groups,
    immutable_notes,
    wanted_end,
)
from licensing_integration.license_servers.licensespring.client import LicenseSpringClient
from licensing_integration.license_servers.licensespring.orders import user_entry
from licensing_integration.license_servers.licensespring.values import (
    Json,
    day_of,
    feature_code,
    feature_entries,
    identifier,
    is_user_based,
    objects,
    text,
    to_snapshot,
    with_end_date,
)

_NOT_FOUND = 404
_OFF_NOTES: Final = {
    LicenseState.REVOKED: "LicenseSpring has only one kind of off: the license is disabled, and can be enabled again.",
    LicenseState.ABSENT: "LicenseSpring deletes no licenses: it stays there, disabled.",
}
# What a feature on a license may say besides its code; what is left out may go back to the product's default.
_FEATURE_MEMBERS: Final = (
    "max_consumption",
    "total_consumptions",
    "allow_overages",
    "max_overages",
    "reset_consumption",
    "consumption_period",
    "metadata",
    "is_floating",
    "is_floating_cloud",
    "floating_users",
    "floating_timeout",
)


class Converger:
    """One convergence: the arguments of ``LicenseServerBackend.converge``, and what has been done so far.

    ``find_product``: the product with a short code. ``is_fresh``: ``observed`` was read a moment ago.
    """

    def __init__(
        self,
        client: LicenseSpringClient,
        *,
        observed: LicenseSnapshot,
        applied: DesiredLicense | None,
        desired: DesiredLicense,
        find_product: Callable[[str], Json | None],
        is_fresh: bool = False,
    ) -> None:
        self._client = client
        self._id = observed.license_id
        self._observed = observed
        self._applied = applied
        self._desired = desired
        self._find_product = find_product
        self._snapshot = observed
        self._data: Json | None = None
        self._is_fresh = is_fresh
        self._is_stale = False
        self._has_written = False
        self._verbs: list[str] = []
        self._notes: list[str] = []
        self._refusal: LicensingIntegrationError | None = None

    def run(self) -> Convergence:
        """Do what is missing. A license that is gone comes back as ``Convergence(snapshot=None)``."""
        try:
            self._bring_about()
        except LicensingIntegrationError as error:
            error.is_partial = self._has_written
            error.changed_license = self._snapshot if self._has_written and not self._is_stale else None
            if getattr(error, "status", None) != _NOT_FOUND or not self._is_gone():
                raise
            return self._result_of_gone()
        return Convergence(snapshot=self._snapshot, verbs=tuple(self._verbs), notes=tuple(self._notes))

    def _bring_about(self) -> None:
        if self._desired.state is LicenseState.ABSENT:
            self._switch()
        elif problem := why_it_stays(self._observed, self._desired, server=self._client.name, kind="LicenseSpring"):
            self._follow_payment(problem)
        else:
            self._change_everything()
        if self._is_stale:
            self._read()
        if self._is_switched and self._is_off(self._snapshot.state) is not self._is_off(self._desired.state):
            self._notes.append(f"LicenseSpring still reports the license as {self._snapshot.state}.")
        if self._refusal is not None:
            raise self._refusal

    def _change_everything(self) -> None:
        """On or off comes first: access is taken away at once, and a disabled license may not be changeable. It is told
        last."""
        self._notes += immutable_notes(self._applied, self._desired)
        verb = self._switch(is_told=False)
        self._update()
        self._set_features()
        self._set_custom_fields()
        self._change_customer()
        self._verbs += [verb] if verb else []

    @property
    def _baseline(self) -> DesiredLicense | LicenseSnapshot:
        return self._applied or self._observed

    def _accept(self, data: Json) -> None:
        """What the server says now. Not everything need stand in an answer, so what identifies it is kept."""
        snapshot = to_snapshot(data, product_id=self._observed.product_id)
        self._snapshot = replace(snapshot, metadata={**self._observed.metadata, **snapshot.metadata})
        self._data, self._is_stale = data, False

    def _read(self) -> Json:
        data = self._client.get_license(self._id)
        self._accept(data)
        return data

    def _current(self) -> Json:
        """The license as it is now, for what has to be merged with what somebody else may have changed."""
        return self._read() if self._data is None or self._is_stale else self._data

    # What cannot be changed on an existing license

    def _follow_payment(self, problem: str) -> None:
        """Access and end date follow what is paid for; taking access away settles it, all else a person has to."""
        is_taken_away = self._is_switched and self._is_off(self._desired.state)
        verb = self._switch(is_told=False)
        self._update(find=changed_end)
        self._verbs += [verb] if verb else []
        if is_taken_away and self._desired.server in {"", self._client.name}:
            self._notes.append(problem)
            return
        done = f"It was {' and '.join(self._verbs)} all the same. " if self._verbs else ""
        self._refusal = self._refusal or UnsupportedOperation(
            f"{problem} {done}Map the product back, or end this license and have a new one issued."
        )

    # On and off

    @staticmethod
    def _is_off(state: LicenseState) -> bool:
        return state is not LicenseState.ACTIVE

    @property
    def _is_switched(self) -> bool:
        return self._is_off(self._baseline.state) is not self._is_off(self._desired.state)

    def _switch(self, *, is_told: bool = True) -> str:
        """Enable or disable; the verb for it, empty if nothing had to be done."""
        desired = self._desired.state
        if self._baseline.state is not desired and desired in _OFF_NOTES:
            self._notes.append(_OFF_NOTES[desired])
        if not self._is_switched:
            return ""
        call = self._client.disable_license if self._is_off(desired) else self._client.enable_license
        call(self._id)
        self._has_written = self._is_stale = True
        verb = "suspended" if self._is_off(desired) else "reinstated"
        self._verbs += [verb] if is_told else []
        return verb

    # Terms, limits, note: one PATCH

    def _update(self, *, find: Callable[[Seen], tuple[tuple[Group, ...], list[str]]] = changed_groups) -> None:
        """``find``: what of the license to change."""
        seen = Seen(
            observed=self._observed,
            applied=self._applied,
            desired=self._desired,
            is_user_based=self._is_user_based,
        )
        groups, notes = find(seen)
        self._notes += notes
        if "note" in {group.name for group in groups}:
            groups = self._with_current_note(groups)
        if groups:
            before = self._snapshot.expires_at
            self._tell_update(self._patch(groups), before=before)

    def _with_current_note(self, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        """Our line in the note as it is now: people write there, too."""
        present = self._snapshot.note if self._is_fresh else text(self._current(), "note")
        wanted = with_end_date(present, day=self._desired.end_date_note)
        kept = tuple(group for group in groups if group.name != "note")
        return kept if wanted == present else (*kept, Group(name="note", members={"note": wanted}))

    def _patch(self, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        """All in one call; when that is refused, each on its own. Those that were accepted."""
        try:
            self._send(groups)
        except PermanentRemoteError as error:
            if error.status == _NOT_FOUND:
                raise
            if len(groups) > 1:
                return tuple(group for one in groups for group in self._patch((one,)))
            self._tell_refusal(groups[0].name, error, is_serious=groups[0].is_owed)
            return ()
        return groups

    def _send(self, groups: tuple[Group, ...]) -> None:
        members = {name: value for group in groups for name, value in group.members.items()}
        self._accept(self._client.update_license(self._id, body=members))
        self._has_written = True

    def _tell_refusal(self, what: str, error: PermanentRemoteError, *, is_serious: bool) -> None:
        if is_serious:
            self._refusal = self._refusal or error
        else:
            self._notes.append(f"The {what} could not be changed. {error}")

    def _tell_update(self, accepted: tuple[Group, ...], *, before: datetime | None) -> None:
        names = {group.name for group in accepted}
        is_dated = any("validity_period" in group.members for group in accepted)
        present = self._snapshot.expires_at
        is_renewed = is_dated and before is not None and present is not None and present > before
        self._verbs += ["changed"] if names - {"end date"} or (names and not is_renewed) else []
        self._verbs += ["renewed"] if is_renewed else []
        wanted = wanted_end(self._observed, self._applied, self._desired)
        if is_dated and wanted and (present is None or day_of(present) != day_of(wanted)):
            kind = self._snapshot.license_type or "unknown"
            self._notes.append(
                f"LicenseSpring did not take over the end date {wanted:%Y-%m-%d}; the license is of type {kind}."
            )

    # Features: the whole set, so what others put there is kept

    def _set_features(self) -> None:
        before = set(self._applied.features) if self._applied else set(self._observed.features)
        added = [code for code in self._desired.features if code not in before]
        removed = before - set(self._desired.features) if self._applied else set()
        if not added and not removed:
            return
        present = {feature_code(entry): entry for entry in feature_entries(self._current())}
        if "" in present:
            self._notes.append("The features could not be read, so they were left as they are.")
            return
        kept = [_rewritten(code, entry) for code, entry in present.items() if code not in removed]
        new = [{"product_feature": code} for code in added if code not in present]
        self._verbs += [] if "changed" in self._verbs else ["changed"]
        if new or len(kept) != len(present):
            self._replace_features([*kept, *new], is_owed=bool(new))

    def _replace_features(self, features: list[Mapping[str, object]], *, is_owed: bool) -> None:
        try:
            self._accept(self._client.replace_features(self._id, features=features))
            self._has_written = True
        except PermanentRemoteError as error:
            if error.status == _NOT_FOUND:
                raise
            self._tell_refusal("features", error, is_serious=is_owed)

    # Custom fields

    def _set_custom_fields(self) -> None:
        before = self._applied.custom_fields if self._applied else {}
        wanted = {name: value for name, value in self._desired.custom_fields.items() if before.get(name) != value}
        for name in (name for name in before if name not in self._desired.custom_fields):
            self._notes.append(
                f'The custom field "{name}" is left to the product from now on; here it keeps its value.'
            )
        if not wanted:
            return
        product = self._find_product(self._observed.product_id) or {}
        fields = {text(entry, "name"): identifier(entry) for entry in objects(product, "custom_fields")}
        try:
            overrides = self._client.custom_fields_of(self._id)
        except UnsupportedOperation as error:
            self._notes.append(f"The custom fields could not be changed. {error}")
            return
        present = {str(entry.get("product_custom_field")): entry for entry in overrides}
        for name, value in wanted.items():
            field_id = fields.get(name, "")
            if field_id:
                self._set_custom_field(name, value=value, field_id=field_id, present=present.get(field_id))
            else:
                self._notes.append(f'The product has no custom field "{name}" in LicenseSpring.')

    def _set_custom_field(self, name: str, *, value: str, field_id: str, present: Json | None) -> None:
        if present is not None and text(present, "value") == value:
            return
        try:
            if present is None:
                self._client.create_custom_field(self._id, field_id=int(field_id), value=value)
            else:
                self._client.update_custom_field(identifier(present), value=value)
        except PermanentRemoteError as error:
            self._tell_refusal(f'custom field "{name}"', error, is_serious=False)
            return
        self._has_written = True
        self._verbs += [] if "changed" in self._verbs else ["changed"]

    # The customer

    def _change_customer(self) -> None:
        """The customer is the order's; on a user-based license the new address becomes a user as well."""
        if self._applied is None or not self._desired.customer.email:
            return
        if self._applied.customer.email.lower() == self._desired.customer.email.lower():
            return
        self._notes.append("In LicenseSpring the license stays with the customer of its order.")
        if self._is_user_based():
            self._assign_customer()

    def _assign_customer(self) -> None:
        """Looked for first: assigning somebody twice may send another password."""
        wanted = self._desired.customer
        users = objects(self._current(), "license_users")
        if any(text(user, "true_email").lower() == wanted.email.lower() for user in users):
            return
        names = {"first_name": wanted.first_name.strip(), "last_name": wanted.last_name.strip()}
        body = {**user_entry(self._desired), **{name: value for name, value in names.items() if value}}
        try:
            self._client.assign_user(self._id, body=body)
        except PermanentRemoteError as error:
            self._tell_refusal("users", error, is_serious=True)
            return
        self._has_written = self._is_stale = True
        self._verbs.append("changed")
        self._notes.append("Whoever used the license before still does; take them off it in LicenseSpring if need be.")

    def _is_user_based(self) -> bool:
        return self._observed.users is not None or is_user_based(self._find_product(self._observed.product_id))

    # The end of the license

    def _result_of_gone(self) -> Convergence:
        if self._desired.state is not LicenseState.ABSENT:
            return Convergence(snapshot=None, verbs=tuple(self._verbs), notes=tuple(self._notes))
        return Convergence(snapshot=None, verbs=("deleted",), notes=("LicenseSpring no longer had the license.",))

    def _is_gone(self) -> bool:
        try:
            self._client.get_license(self._id)
        except PermanentRemoteError as error:
            return error.status == _NOT_FOUND
        return False


def _rewritten(code: str, entry: Json) -> dict[str, object]:
    """A feature as it is on the license, in the words of a change."""
    members = {name: entry[name] for name in _FEATURE_MEMBERS if entry.get(name) not in (None, {})}
    expiry = text(entry, "expiry_date")[:10]
    return {"product_feature": code, **members, **({"expiry_date": expiry} if expiry else {})}
