"""From an entry of an order to a license of the emulated LicenseSpring service: defaults, checks, what comes along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from licensing_integration.sandbox.licensespring_call import Call
from licensing_integration.sandbox.licensespring_catalog import LICENSE_DEFAULTS
from licensing_integration.sandbox.licensespring_errors import NOT_EMULATED, refused_order
from licensing_integration.sandbox.licensespring_features import add_feature, set_override
from licensing_integration.sandbox.licensespring_moments import day_of
from licensing_integration.sandbox.licensespring_store import LicenseRecord, OrderRecord, ProductRecord, new_key
from licensing_integration.sandbox.licensespring_users import add_seat, ensure_user
from licensing_integration.sandbox.records import Record

LOST_EXPIRY = "0000-00-00"
_NOT_EMULATED = ("license_template", "license_template_code", "start_date")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A license that has passed every check. ``terms``: product, policy and order taken together."""

    product: ProductRecord
    item_data: dict[str, Any]
    wanted: Mapping[str, Any]
    terms: Mapping[str, Any]
    key: str
    subscription_id: str | None


def draft_license(
    call: Call,
    *,
    item: Mapping[str, Any],
    wanted: Mapping[str, Any],
    product: ProductRecord,
    item_data: dict[str, Any],
) -> Draft:
    """400 in the form of order errors for whatever does not fit."""
    named = [name for name in _NOT_EMULATED if name in wanted]
    if named:
        raise _wrong(named[0], NOT_EMULATED)
    terms = _terms(call, wanted=wanted, product=product)
    _check_people(call, wanted=wanted, product=product, terms=terms)
    _check_terms(call, wanted=wanted, product=product, terms=terms)
    _check_extras(call, wanted=wanted, product=product)
    is_kept = call.options.subscription_id_kept
    return Draft(
        product=product,
        item_data=item_data,
        wanted=wanted,
        terms=terms,
        key="" if product.is_user_based else wanted.get("key") or new_key(),
        subscription_id=(item.get("subscription_id") or None) if is_kept else None,
    )


def commit(call: Call, draft: Draft, *, order: OrderRecord) -> LicenseRecord:
    """Make the license, with its features, custom fields and users."""
    item = order.items.setdefault(draft.item_data["id"], {**draft.item_data, "order": order.id})
    record = LicenseRecord(
        data=_data(call, draft, item_id=item["id"]), stored_at=call.store.now, product=draft.product, order=order
    )
    record.is_unlimited = bool(draft.wanted.get("allow_unlimited_activations"))
    call.store.licenses.add(record)
    if order.customer is not None:
        order.customer.data["total_licenses"] += 1
    for feature, wanted in _features(call, draft):
        add_feature(call, record, feature=feature, wanted=wanted)
    for wanted in draft.wanted.get("custom_fields", ()):
        field = call.store.custom_field(draft.product, wanted["name"])
        if field is not None:
            set_override(call, record, field=field, value=_as_text(wanted["value"]))
    for wanted in draft.wanted.get("users", ()):
        user, _ = ensure_user(call, email=wanted["email"])
        add_seat(
            call,
            record,
            user=user,
            is_manager=wanted.get("is_manager", False),
            max_activations=wanted.get("max_activations"),
        )
    call.store.licenses.index(record)
    call.store.note(record, "License created.")
    return record


def check_floating(terms: Mapping[str, Any], *, is_unlimited: bool) -> str | None:
    """What is wrong with the number of simultaneous users, if anything."""
    is_floating = terms["is_floating"] or terms["is_floating_cloud"]
    too_many = (terms["floating_users"] or 0) > (terms["max_activations"] or 0)
    if is_floating and too_many and not is_unlimited:
        return "There cannot be more simultaneous users than activations."
    return None


def _terms(call: Call, *, wanted: Mapping[str, Any], product: ProductRecord) -> dict[str, Any]:
    """Explicit members win over the license policy, the policy over the product."""
    policy: Mapping[str, Any] = {}
    if "policy_code" in wanted:
        if wanted["policy_code"] not in product.policies:
            raise _wrong("policy_code", "The product has no such license policy.")
        policy = product.policies[wanted["policy_code"]]
    defaults = {name: product.data[name] for name in LICENSE_DEFAULTS}
    terms = {
        **defaults,
        "license_type": product.data["default_license_type"],
        "prevent_vm": call.body.get("prevent_vm", defaults["prevent_vm"]),
        "is_trial": False,
        "enabled": True,
        "metadata": None,
        "maintenance_period": None,
        **policy,
        **{name: value for name, value in wanted.items() if name in LICENSE_DEFAULTS or name in _MORE_TERMS},
    }
    if terms["max_activations"] is None:
        terms["max_activations"] = 1
    return terms


_MORE_TERMS = frozenset({"license_type", "is_trial", "enabled", "metadata", "maintenance_period"})


def _check_people(call: Call, *, wanted: Mapping[str, Any], product: ProductRecord, terms: Mapping[str, Any]) -> None:
    if not product.is_user_based:
        if wanted.get("users"):
            raise _wrong("users", "The product is key-based.")
        key = wanted.get("key")
        if key and call.store.licenses.found_by("license_key", key) and call.options.duplicate_keys == "refuse":
            raise _wrong("key", "This license key is in use.")
        return
    if "key" in wanted:
        raise _wrong("key", "The product is user-based.")
    users = [entry["email"].lower() for entry in wanted.get("users", ())]
    if not users and call.options.users_required:
        raise refused_order("missing_parameters", "users: a user-based license needs at least one.")
    if len(users) != len(set(users)):
        raise _wrong("users", "Somebody is named twice.")
    if 0 < terms["max_license_users"] < len(users):
        raise _wrong("users", "More users than max_license_users.")


def _check_terms(call: Call, *, wanted: Mapping[str, Any], product: ProductRecord, terms: Mapping[str, Any]) -> None:
    if "valid_duration" in wanted and "validity_period" in wanted:
        raise _wrong("valid_duration", "Cannot be combined with validity_period.")
    if terms["is_trial"] and call.options.trial_needs_product and not product.data["allow_trial"]:
        raise _wrong("is_trial", "The product does not allow trials.")
    if "grace_period" in wanted and terms["license_type"] != "subscription":
        raise _wrong("grace_period", "Only subscription licenses have a grace period.")
    problem = check_floating(terms, is_unlimited=bool(wanted.get("allow_unlimited_activations")))
    if problem and call.options.floating_above_activations == "refuse":
        raise _wrong("floating_users", problem)


def _check_extras(call: Call, *, wanted: Mapping[str, Any], product: ProductRecord) -> None:
    codes = [entry["code"] for entry in wanted.get("product_features", ())]
    if len(codes) != len(set(codes)):
        raise _wrong("product_features", "A feature is named twice.")
    for code in codes:
        if call.options.accept_any_product and call.store.feature(product, code) is None:
            call.catalog.add_feature(product=product.data["short_code"], code=code)
        if call.store.feature(product, code) is None:
            raise refused_order("unsupported_product_feature", "Product feature is not supported by the product.")
    for entry in wanted.get("custom_fields", ()):
        _check_custom_field(call, product=product, name=entry["name"], value=_as_text(entry["value"]))


def _check_custom_field(call: Call, *, product: ProductRecord, name: str, value: str) -> None:
    if call.options.accept_any_product and call.store.custom_field(product, name) is None:
        call.catalog.add_custom_field(product=product.data["short_code"], name=name)
    field = call.store.custom_field(product, name)
    if field is None:
        if call.options.unknown_custom_fields == "ignore":
            return
        raise _wrong("custom_fields", "The product has no such custom field.")
    allowed = field.data["allowed_values"]
    if allowed and value not in allowed:
        raise _wrong("custom_fields", "The product does not allow this value.")


def _features(call: Call, draft: Draft) -> list[tuple[Record, Mapping[str, Any]]]:
    if "product_features" not in draft.wanted and call.options.features_by_default == "all":
        return [(feature, {}) for feature in call.store.features.found_by("product", draft.product.id)]
    named = [
        (call.store.feature(draft.product, entry["code"]), entry) for entry in draft.wanted.get("product_features", ())
    ]
    return [(feature, entry) for feature, entry in named if feature is not None]


def _data(call: Call, draft: Draft, *, item_id: int) -> dict[str, Any]:
    terms = draft.terms
    kind, is_trial = terms["license_type"], terms["is_trial"]
    return {
        **call.store.head(),
        **{name: terms[name] for name in (*LICENSE_DEFAULTS, *_MORE_TERMS)},
        "license_key": draft.key or None,
        "valid_duration": terms["valid_duration"] if kind == "time-limited" else None,
        "max_consumptions": terms["max_consumptions"] if kind == "consumption" else None,
        "total_consumptions": 0,
        "trial_days": draft.product.data["trial_days"],
        "validity_period": _expiry(call, draft) if is_trial or kind != "perpetual" else None,
        "subscription_id": draft.subscription_id,
        "order_item": item_id,
        "note": None,
        "times_activated": 0,
        "floating_in_use_devices": 0,
        "time_activated": None,
        "time_disabled": None,
        "last_check": None,
        "disabled_user": None,
    }


def _expiry(call: Call, draft: Draft) -> str | None:
    wanted = draft.wanted.get("validity_period")
    if wanted is None:
        return None
    return LOST_EXPIRY if call.options.expiry_lost else day_of(wanted)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else f"{value}"


def _wrong(member: str, message: str) -> Exception:
    return refused_order("validation_error", f"{member}: {message}")
