"""audit: what people did, to which license, and why. Written in the transaction of what it speaks of."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import connection

from licensing_integration.models import AuditEntry, LicenseLink, ProductMapping, Purchase, WebhookEvent


def record(
    action: str,
    sentence: str,
    *,
    user_id: int | None,
    reason: str = "",
    purchase: Purchase | None = None,
    link: LicenseLink | None = None,
    event: WebhookEvent | None = None,
    mapping: ProductMapping | None = None,
) -> AuditEntry:
    """Keep that a person did something. ``action``: a dotted verb, ``license.resync``. ``sentence`` says what happened,
    with no license key and no payload in it. ``user_id=None``: a command on the server, which nobody signed in for."""
    return AuditEntry.objects.create(
        action=action,
        sentence=sentence,
        reason=reason,
        user_id=user_id,
        user_name=_name_of(user_id),
        purchase_id=link.purchase_id if link else purchase.pk if purchase else None,
        link=link,
        event=event,
        mapping=mapping,
    )


def actions() -> list[str]:
    """Every action there is an entry of, in the order of the alphabet. From the ends of the index, however many entries
    there are."""
    return _each_once("action")


def user_ids() -> list[int]:
    """Everybody there is an entry of."""
    return _each_once("user_id")


def first_id_since(moment: datetime) -> int:
    """The id of the first entry since ``moment``, or one above all ids. Entries are numbered in the order of their
    moments, but for those of the same second; so it is found by halving, in twenty steps for a million."""
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_SINCE, {"moment": moment})
        (found,) = cursor.fetchone()
    return int(found)


_FIRST_SINCE: Final = """
    WITH RECURSIVE halves(low, high) AS (
        SELECT coalesce(min(id), 1), coalesce(max(id), 0) + 1 FROM licensing_integration_auditentry
        UNION ALL
        SELECT
            CASE WHEN probe.at < %(moment)s THEN probe.id + 1 ELSE low END,
            CASE WHEN probe.at < %(moment)s THEN high ELSE (low + high) / 2 END
        FROM halves, LATERAL (
            SELECT id, at FROM licensing_integration_auditentry WHERE id >= (low + high) / 2 ORDER BY id LIMIT 1
        ) AS probe
        WHERE low < high
    )
    SELECT min(high) FROM halves
"""
# Each value is found from the one before it.
_EACH_ONCE: Final = """
    WITH RECURSIVE found(value) AS (
        (SELECT COLUMN FROM licensing_integration_auditentry WHERE COLUMN IS NOT NULL ORDER BY COLUMN LIMIT 1)
        UNION ALL
        SELECT (
            SELECT COLUMN FROM licensing_integration_auditentry WHERE COLUMN > found.value ORDER BY COLUMN LIMIT 1
        ) FROM found WHERE value IS NOT NULL
    )
    SELECT value FROM found WHERE value IS NOT NULL
"""


def _each_once(column: str) -> list[Any]:
    """The values of a column that an index begins with."""
    with connection.cursor() as cursor:
        cursor.execute(_EACH_ONCE.replace("COLUMN", column))
        return [value for (value,) in cursor.fetchall()]


def _name_of(user_id: int | None) -> str:
    user = get_user_model()._default_manager.filter(pk=user_id).first() if user_id else None
    return user.get_username() if user else "command line"
