"""What of a purchase's money went back or may yet, as labels beside its status, which tells nothing of that."""

from __future__ import annotations

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.domain.refunds import refunded_part
from licensing_integration.templatetags.console import tag


def standing(state: PurchaseState) -> SafeString:
    """Nothing where all the money was kept."""
    told = [tag(part, "warning")] if (part := refunded_part(state)) else []
    if state.has_open_dispute:
        told.append(tag("Disputed", "danger"))
    elif state.has_lost_dispute:
        told.append(tag("Dispute lost", "danger"))
    return format_html_join(" ", "{}", ((label,) for label in told))
