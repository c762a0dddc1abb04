"""The custom attributes of LicenseSpring's FastSpring guide: which there are, and what their values may be.

Values arrive as text. What cannot be read is reported and holds that one item back; a paid order is not lost by it.
``product_short_code`` and ``uuid``, which choose product and account, are read where these are chosen
(``resolving.py``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from licensing_integration.domain.outcomes import LicenseType
from licensing_integration.domain.store_attributes import Parser, StoreAttributes
from licensing_integration.exceptions import InvalidTerm

UUID: Final = "uuid"
SINGLE_LICENSE: Final = "single_license"
FLOATING_USERS_FROM_QUANTITY: Final = "floating_users_from_quantity"
FLOATING_CLOUD: Final = "floating_cloud"
FEATURE_CODE: Final = "feature_code"
MAX_CUSTOM_FIELD: Final = 256
MAX_GRACE_HOURS: Final = 876_000  # a hundred years; a date further on may not exist

# Where a license server keeps custom fields among its metadata, these entries are what a license is found again by.
RESERVED_PREFIX: Final = "licensing_integration_"
RESERVED_NAMES: Final = frozenset(
    {
        *("fastspring_order_id", "fastspring_subscription_id", "fastspring_driver"),
        *("stripe_transaction_id", "stripe_subscription_id", "stripe_driver"),
    }
)

_LARGEST: Final = 2**31 - 1
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_DURATION: Final = re.compile(r"0*[1-9][0-9]{0,4}[dwmy]")


def parse_count(text: str) -> int:
    """A whole number above zero."""
    number = int(text) if _DIGITS.fullmatch(text) else 0
    if not 1 <= number <= _LARGEST:
        raise InvalidTerm("it must be a whole number above zero, in digits.")
    return number


def parse_hours(text: str) -> int:
    """A whole number of hours; 0 is no grace."""
    if not _DIGITS.fullmatch(text) or int(text) > MAX_GRACE_HOURS:
        raise InvalidTerm(f"it must be a whole number of hours, in digits, of at most {MAX_GRACE_HOURS} (100 years).")
    return int(text)


def parse_bool(text: str) -> bool:
    """Only the two words of the guide; anything else may have been meant either way."""
    if text.lower() not in {"true", "false"}:
        raise InvalidTerm("it must be true or false.")
    return text.lower() == "true"


def parse_license_type(text: str) -> LicenseType:
    try:
        return LicenseType(text.lower())
    except ValueError:
        names = ", ".join(LicenseType)
        raise InvalidTerm(f"it must be one of {names}.") from None


def parse_duration(text: str) -> str:
    """``N`` without leading zeros and d, w, m or y, in lower case."""
    if not _DURATION.fullmatch(text.lower()):
        raise InvalidTerm("it must be a number above zero and d, w, m or y, such as 30d or 1y.")
    return text.lower().lstrip("0")


def parse_code(text: str) -> str:
    """A code goes into requests as it is."""
    if len(text) > MAX_CUSTOM_FIELD or not text.isprintable():
        raise InvalidTerm(f"it must be plain text of at most {MAX_CUSTOM_FIELD} characters.")
    return text


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """``name``: as the store has it."""

    name: str
    parse: Parser[Any]


FIELDS: Final[Mapping[str, Attribute]] = MappingProxyType(
    {
        "max_activations": Attribute(name="max_activations", parse=parse_count),
        "floating_cloud": Attribute(name=FLOATING_CLOUD, parse=parse_count),
        "license_type": Attribute(name="license_type", parse=parse_license_type),
        "valid_duration": Attribute(name="valid_duration", parse=parse_duration),
        "is_maintained": Attribute(name="enable_maintenance_duration", parse=parse_bool),
        "maintenance_duration": Attribute(name="maintenance_duration", parse=parse_duration),
        "max_consumptions": Attribute(name="max_consumptions", parse=parse_count),
        "grace_hours": Attribute(name="grace_period", parse=parse_hours),
        "is_customer_manager": Attribute(name="is_license_manager", parse=parse_bool),
        "is_customer_user": Attribute(name="assign_customer_as_user", parse=parse_bool),
    }
)
"""Field of ``Terms`` → the attribute that fills it."""


def asks_for_one_license(given: StoreAttributes) -> bool:
    return SINGLE_LICENSE in given and given.parsed(SINGLE_LICENSE, parse_bool)


def asks_for_seats_by_quantity(given: StoreAttributes, *, has_floating_seats: bool) -> bool:
    """Whether the quantity is the number of simultaneous users of one license.

    Raises ``InvalidTerm`` when what it needs beside it is missing: without that the guide says nothing of the outcome.
    """
    if FLOATING_USERS_FROM_QUANTITY not in given or not given.parsed(FLOATING_USERS_FROM_QUANTITY, parse_bool):
        return False
    missing = [] if has_floating_seats else [f"{FLOATING_CLOUD} = 1"]
    missing += [] if asks_for_one_license(given) else [f"{SINGLE_LICENSE} = true"]
    if missing:
        raise InvalidTerm(
            f"Store attribute {FLOATING_USERS_FROM_QUANTITY} is 'true', but that needs {' and '.join(missing)} as well."
        )
    return True


def custom_fields(given: StoreAttributes) -> dict[str, str]:
    """Name → value. Raises ``InvalidTerm`` for a name no license server accepts, and for one of ours."""
    for name in given.custom_fields:
        if len(name) > MAX_CUSTOM_FIELD or not name.isprintable():
            raise InvalidTerm(f"Store attribute custom_field_{name[:40]!r} must have a plain name.")
        check_reserved(name, origin=f"store attribute custom_field_{name[:40]}")
    return dict(given.custom_fields)


def check_reserved(name: str, *, origin: str) -> None:
    """Raises ``InvalidTerm`` for the name of an entry that is written on licenses to find them again."""
    if name.lower().startswith(RESERVED_PREFIX) or name.lower() in RESERVED_NAMES:
        raise InvalidTerm(
            f"The custom field {name[:40]} of the {origin} has the name of an entry that licenses are found by; give "
            "it another name."
        )
