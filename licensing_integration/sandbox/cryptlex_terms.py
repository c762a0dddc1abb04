"""How long an emulated Cryptlex license lasts: renewal, expiry, subscription, maintenance, and their log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from licensing_integration.sandbox.cryptlex_call import Call, clearable, wire_date
from licensing_integration.sandbox.cryptlex_store import LogRecord, Record
from licensing_integration.sandbox.errors import invalid
from licensing_integration.sandbox.moments import add_interval, from_wire, to_wire


def first_expiry(data: Mapping[str, Any]) -> str | None:
    """Creation plus interval; none without interval, and none before the first activation with that trigger."""
    if data["subscriptionInterval"]:
        return None if data["subscriptionStartTrigger"] == "activation" else _after_period(data["createdAt"], data)
    if data["validity"] and data["expirationStrategy"] in (None, "immediate"):
        return _after_period(data["createdAt"], data)
    return None


def first_maintenance_expiry(call: Call, data: Mapping[str, Any]) -> str | None:
    """Creation plus the policy's interval when the policy starts then."""
    policy_id = data["maintenancePolicyId"]
    policy = call.store.maintenance_policies.records.get(policy_id) if policy_id else None
    if policy is None or policy.data["subscriptionStartTrigger"] == "license-activation":
        return None
    interval = policy.data["subscriptionInterval"]
    return _plus(data["createdAt"], interval=interval) if interval else None


def refresh_perpetual(record: Record) -> None:
    """``perpetual``: no end date and no interval that will bring one, or made perpetual on purpose."""
    data = record.data
    is_endless = not data["subscriptionInterval"] and not data["validity"]
    data["perpetual"] = data["expiresAt"] is None and (is_endless or record.is_made_perpetual)


def renew_license(call: Call) -> Any:
    """The current end date plus one interval, each time; also when that date has passed."""
    record = call.store.licenses.get(call.id)
    data = record.data
    if data["expiresAt"] is None or not (data["subscriptionInterval"] or data["validity"]):
        raise invalid("The license cannot be renewed: it has no expiry date or no subscription interval.")
    return _change(call, record, event="license.renewed", expiresAt=_after_period(data["expiresAt"], data))


def set_expires_at(call: Call) -> Any:
    record = call.store.licenses.get(call.id)
    wanted = wire_date(call.body["expiresAt"])
    if wanted is not None and wanted < call.stamp and call.options.past_expiry_rejected:
        raise invalid("Invalid request body: 'expiresAt' lies in the past.")
    record.is_made_perpetual = wanted is None
    return _change(call, record, event="license.expiresAt.updated", expiresAt=wanted)


def set_subscription(call: Call) -> Any:
    """Interval and trigger change, the end date does not."""
    record = call.store.licenses.get(call.id)
    changes: dict[str, Any] = {"subscriptionInterval": clearable(call.body["subscriptionInterval"])}
    if "subscriptionStartTrigger" in call.body:
        changes["subscriptionStartTrigger"] = call.body["subscriptionStartTrigger"]
    return _change(call, record, event="license.subscription.updated", **changes)


def extend_license(call: Call) -> Any:
    record = call.store.licenses.get(call.id)
    if record.data["expiresAt"] is None:
        raise invalid("The license cannot be extended: it has no expiry date.")
    wanted = _plus(record.data["expiresAt"], seconds=call.body["extensionLength"])
    return _change(call, record, event="license.extended", expiresAt=wanted)


def renew_maintenance(call: Call) -> Any:
    record = call.store.licenses.get(call.id)
    policy_id = record.data["maintenancePolicyId"]
    policy = call.store.maintenance_policies.records.get(policy_id) if policy_id else None
    current = record.data["maintenanceExpiresAt"]
    if policy is None or current is None or not policy.data["subscriptionInterval"]:
        raise invalid("The maintenance cannot be renewed: no policy, no interval or no expiry date.")
    return _set_maintenance(call, record, _plus(current, interval=policy.data["subscriptionInterval"]))


def extend_maintenance(call: Call) -> Any:
    record = call.store.licenses.get(call.id)
    current = record.data["maintenanceExpiresAt"]
    if current is None:
        raise invalid("The maintenance cannot be extended: it has no expiry date.")
    return _set_maintenance(call, record, _plus(current, seconds=call.body["extensionLength"]))


def set_maintenance_expires_at(call: Call) -> Any:
    return _set_maintenance(call, call.store.licenses.get(call.id), wire_date(call.body["maintenanceExpiresAt"]))


def list_subscription_logs(call: Call) -> Any:
    return call.page(call.store.subscription_logs)


def get_subscription_log(call: Call) -> Any:
    return call.store.subscription_logs.get(call.id).shown


def _set_maintenance(call: Call, record: Record, wanted: str | None) -> Any:
    record.data["maintenanceExpiresAt"] = wanted
    call.touch(record)
    return record.shown


def _change(call: Call, record: Record, *, event: str, **changes: Any) -> Any:
    """Apply the changes and log them. The vendor's names of the log's events are not published; these are the
    names of the matching webhook events."""
    logged = [
        {"propertyName": name, "oldValue": record.data[name], "newValue": value} for name, value in changes.items()
    ]
    record.data.update(changes)
    refresh_perpetual(record)
    call.touch(record)
    entry = {**call.head(), "licenseId": record.id, "event": event, "changes": logged}
    call.store.subscription_logs.add(LogRecord(data=entry, stored_at=call.now, license_key=record.data["key"]))
    return record.shown


def _after_period(start: str, data: Mapping[str, Any]) -> str:
    return _plus(start, interval=data["subscriptionInterval"] or "", seconds=data["validity"] or 0)


def _plus(start: str, *, interval: str = "", seconds: int = 0) -> str:
    try:
        moment = from_wire(start)
        return to_wire(add_interval(moment, interval) if interval else moment + timedelta(seconds=seconds))
    except (OverflowError, ValueError):
        raise invalid("The resulting date is out of range.") from None


def activate_license(record: Record, *, now: datetime) -> None:
    """One more activation; the first one starts the term of a license with that trigger."""
    data = record.data
    stamp = to_wire(now)
    data.update(totalActivations=data["totalActivations"] + 1, lastUsedAt=stamp, updatedAt=stamp)
    if data["activatedAt"] is not None:
        return
    data["activatedAt"] = stamp
    waits = data["subscriptionInterval"] and data["subscriptionStartTrigger"] == "activation"
    if waits and data["expiresAt"] is None and not record.is_made_perpetual:
        data["expiresAt"] = _after_period(stamp, data)
    refresh_perpetual(record)
