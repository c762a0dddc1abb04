"""What Cryptlex offers for the words of LicenseSpring's guide, and sentences for what it has nothing for. Pure.

A floating license is a hosted-floating one, whose seats are its activations. Hours of grace are added to the end date.
Sources: the reference of the Web API, on licenses, meter attributes and maintenance policies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import ExpiryMode
from licensing_integration.license_servers.cryptlex.marks import meter, noted
from licensing_integration.license_servers.cryptlex.values import HOSTED_FLOATING

_DURATION: Final = re.compile(r"(\d+)([dwmy])")


def as_cryptlex(desired: DesiredLicense) -> DesiredLicense:
    """``desired`` with its hours of grace in the end date. Not to be done twice."""
    if not desired.grace_hours or desired.expires_at is None:
        return desired
    return replace(desired, expires_at=desired.expires_at + timedelta(hours=desired.grace_hours))


def to_interval(duration: str) -> str:
    """``30d`` as an ISO 8601 duration; empty for what is none. Months and years count by the calendar."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        return ""
    number, unit = int(match[1]), match[2]
    return f"P{7 * number}D" if unit == "w" else f"P{number}{unit.upper()}"


def creation_members(desired: DesiredLicense) -> dict[str, object]:
    """Members of a new license beside the usual ones. ``desired`` as ``as_cryptlex`` gives it."""
    members: dict[str, object] = {}
    if desired.is_floating_cloud:
        members |= {"type": HOSTED_FLOATING, "allowedActivations": desired.floating_clients}
    if desired.expiry is ExpiryMode.TEMPLATE and desired.valid_duration and not desired.interval:
        members["subscriptionInterval"] = to_interval(desired.valid_duration)
        members["subscriptionStartTrigger"] = "activation"
    if desired.maintenance_policy_id:
        members["maintenancePolicyId"] = desired.maintenance_policy_id
    if desired.max_consumptions is not None:
        members["meterAttributes"] = [meter(desired.max_consumptions)]
    if desired.end_date_note:
        members["notes"] = noted("", end=desired.end_date_note)
    return members


def missing_equivalents(desired: DesiredLicense) -> Sequence[str]:
    """Sentences on what Cryptlex has nothing for."""
    is_maintained = bool(desired.maintenance_duration or desired.is_maintained)
    told = {
        "Cryptlex knows no license manager; the license's metadata say it.": bool(desired.is_customer_manager),
        "Cryptlex makes the customer the user of the license in any case.": desired.is_customer_user is False,
        "Cryptlex has no separate number of devices for a floating license; the license's metadata say it.": (
            desired.is_floating_cloud and desired.activations is not None
        ),
        "Cryptlex takes the length of maintenance from a maintenance policy; name one in the product mapping.": (
            is_maintained and not desired.maintenance_policy_id
        ),
        "Cryptlex counts no users of a license; the template's limits count.": (
            desired.users is not None and desired.activations is None
        ),
    }
    return [sentence for sentence, is_so in told.items() if is_so]


def unknown_feature(code: str) -> str:
    return (
        f"Cryptlex has no feature named {code[:40]}, so it is only in the license's metadata; create the feature there "
        "and resync."
    )


def added_sentences(now: Iterable[str], *, before: Iterable[str]) -> list[str]:
    known = set(before)
    return [sentence for sentence in now if sentence not in known]
