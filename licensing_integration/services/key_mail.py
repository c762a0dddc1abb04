"""The mail with license keys: plain text and a small HTML page, in words for customers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import timezone

from licensing_integration import conf
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.models import KeyMail, LicenseLink, Purchase
from licensing_integration.services.order_access import address_of
from licensing_integration.services.purchases import load_state

TEMPLATE = "licensing_integration/key_mail"


def compose(mail: KeyMail, links: Sequence[LicenseLink]) -> EmailMultiAlternatives:
    """The mail to ``mail.address`` with the keys of ``links``, of which there is at least one. Every attempt has the
    same Message-ID, so that a mail server which keeps books delivers it once."""
    page = conf.order_page()
    purchase = links[0].purchase
    products = list(dict.fromkeys(_product(link) for link in links))
    context = {
        "name": page.name,
        "support": page.support,
        "keys": [{"product": _product(link), "key": link.key} for link in links],
        "products": products,
        "order_page": _order_page(purchase) if mail.address.lower() == purchase.customer_email else "",
    }
    host = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].partition("@")[2] or "localhost"
    message = EmailMultiAlternatives(
        subject=_subject(products, number=len(links), name=page.name),
        body=render_to_string(f"{TEMPLATE}.txt", context),
        to=[mail.address],
        headers={
            "Message-ID": f"<keys-{mail.pk}-{mail.asked_at.timestamp():.0f}@{host}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    message.attach_alternative(render_to_string(f"{TEMPLATE}.html", context), "text/html")
    return message


def _subject(products: Sequence[str], *, number: int, name: str) -> str:
    what = "Your license key" if number == 1 else f"Your {number} license keys"
    product = f" for {products[0]}" if len(products) == 1 else ""
    return f"{what}{product}" + (f" ({name})" if name else "")


def _product(link: LicenseLink) -> str:
    """On one line, as it goes into the subject, too."""
    return " ".join(link.item.name.split()) or "your product"


def _order_page(purchase: Purchase) -> str:
    """Where the buyer sees all keys of the order; empty where there is no such page, or where it hides them by now.
    Only for the buyer: whoever has the address sees every key of the order."""
    page = conf.order_page()
    is_recent = timezone.now() - purchase.first_seen_at <= timedelta(days=page.days)
    is_order = purchase.kind == PurchaseKind.ORDER
    reference = purchase.external_id if is_order else load_state(purchase).initial_order_id
    if page.is_on and page.base_url and is_recent and reference:
        with suppress(ConfigurationProblem):
            return address_of(purchase.store, reference)
    return ""
