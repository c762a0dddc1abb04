"""What people may do to purchases: the forms, and for each action what it will do, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join
from unfold.widgets import UnfoldAdminTextInputWidget

from licensing_integration import conf
from licensing_integration.admin.actions import PageAction, ReasonForm
from licensing_integration.admin.license_actions import ResendForm
from licensing_integration.domain.wording import count_of, format_day
from licensing_integration.models import Purchase
from licensing_integration.services import erasure, interventions, rehearsal, resend
from licensing_integration.services.purchases import load_state

_MOST_NAMED = 20  # disputes, one by one
_MOST_COUNTED = 100  # nobody erases more one by one


class EraseForm(ReasonForm):
    """Typed by hand, so that nobody erases the purchase in the other window."""

    confirmation = forms.CharField(
        label="Reference or id of the purchase",
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    field_order = ("confirmation", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = ((name,) for name in self.initial["names"])
        names = format_html_join(" or ", '<span class="li-mono" translate="no">{}</span>', named)
        self.fields["confirmation"].help_text = format_html("Type {} to confirm.", names)


# --- what they do ----------------------------------------------------------------------------------------------------


def _plan_again(purchase: Purchase, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.plan_again(purchase.pk, user_id=user_id, reason=values["reason"])
    return "The purchase is planned again; this takes a moment."


def _close_disputes(purchase: Purchase, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.close_disputes(purchase.pk, user_id=user_id, reason=values["reason"])
    return "The disputes are closed; the licenses follow in a moment."


def _acknowledge(purchase: Purchase, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.acknowledge_purchase(purchase.pk, user_id=user_id, reason=values["reason"])
    return "The purchase is off the attention list."


def _resend(purchase: Purchase, user_id: int, values: Mapping[str, Any]) -> str:
    links = list(resend.sendable_links(purchase))
    mail = resend.resend_keys(links, address=values.get("address"), user_id=user_id, reason=values["reason"])
    keys = count_of(len(links), "key")
    return f"{keys} on the way to {mail.address}; the history tells when the mail server has taken the mail."


def _erase(purchase: Purchase, user_id: int, values: Mapping[str, Any]) -> str:
    names = _names_of(purchase)
    if values["confirmation"].strip() not in names:
        raise ValueError(f"That does not name this purchase, which is {' or '.join(names)}. Nothing was erased.")
    erasure.erase_purchase(purchase.pk, user_id=user_id, reason=values["reason"])
    return "The personal data of the purchase were erased."


def _names_of(purchase: Purchase) -> Sequence[str]:
    """By which people know it: the reference, which its page is headed with, unless an order shares it with the
    subscriptions bought in it; and the store's id."""
    alike = Purchase.objects.filter(store=purchase.store, reference=purchase.reference).exclude(pk=purchase.pk)
    reference = "" if alike.exists() else purchase.reference
    return list(dict.fromkeys(filter(None, (reference, purchase.external_id))))


# --- when, and what they will do, said before ------------------------------------------------------------------------


def _why_not_close_disputes(purchase: Purchase) -> str:
    return "" if load_state(purchase).has_open_dispute else "The purchase has no open dispute."


def _close_disputes_preview(purchases: Sequence[Purchase]) -> Sequence[str]:
    closed = [
        f"Dispute {name} of {purchase}, open since {format_day(dispute.version.occurred_at)}, counts as won."
        for purchase in purchases
        for name, dispute in load_state(purchase).disputes.items()
        if dispute.is_open
    ]
    more = len(closed) - _MOST_NAMED
    return [*closed[:_MOST_NAMED], f"And {more} more."] if more > 0 else closed


def _why_not_resend(purchase: Any) -> str:
    if not conf.can_send_mail():
        return resend.NOT_CONFIGURED
    return "" if purchase.has_sendable else "None of its licenses has a key that could be used."


def _why_not_erase(purchase: Purchase) -> str:
    is_kept = erasure.keeps_personal_data(purchase)
    return "" if is_kept else "No personal data of a customer are kept here."


def _plan_preview(purchases: Sequence[Purchase]) -> Sequence[str]:
    if len(purchases) == 1:
        return rehearsal.preview_purchase(purchases[0].pk)
    return ("Each is planned with what is known of it and with today's mappings. What is right already is left alone.",)


def _resend_preview(purchases: Sequence[Purchase]) -> Sequence[str]:
    if len(purchases) > 1:
        return (f"{len(purchases)} mails are sent, each with all keys of one purchase, to its own address.",)
    links = resend.sendable_links(purchases[0])
    endings, number = ", ".join(link.masked_key for link in links[:5]), links.count()
    more = " and more" if number > 5 else ""
    return (f"One mail with {count_of(number, 'key')}: {endings}{more}. The licenses stay as they are.",)


def _erase_preview(purchases: Sequence[Purchase]) -> Sequence[str]:
    purchase = purchases[0]
    return (
        f"Of {purchase.kind} {purchase.external_id}: name, address and company of the customer go, here, in its story "
        "and in the audit.",
        "The bodies of its events go as a whole; they cannot be replayed any more. So do those of events with that "
        "address that could not be processed or meant nothing, whichever purchase they spoke of.",
        "Its licenses go on working, and their history stays. The store and the license server keep what they have: "
        "erase it there, too.",
        "An event that the store sends later brings its data back.",
        *_others_that_stay(purchase),
        "This cannot be undone.",
    )


def _others_that_stay(purchase: Purchase) -> Sequence[str]:
    if not purchase.customer_email:
        return ()
    others = Purchase.objects.filter(customer_email=purchase.customer_email).exclude(pk=purchase.pk).order_by()
    number = len(others.values_list("pk")[: _MOST_COUNTED + 1])
    if number > _MOST_COUNTED:
        return (f"More than {_MOST_COUNTED} other purchases of this address stay as they are: erase each.",)
    return (f"{count_of(number, 'other purchase')} of this address stay as they are: erase each.",) if number else ()


def _address(purchases: Sequence[Purchase]) -> Mapping[str, Any]:
    return {"address": purchases[0].customer_email} if len(purchases) == 1 else {}


PLAN = PageAction(
    name="plan",
    label="Plan again",
    permission="licensing_integration.plan_purchase",
    explanation="What its licenses should look like is worked out anew, from what is known of the purchase and "
    "from today's mappings.",
    preview=_plan_preview,
    run=_plan_again,
)
ACKNOWLEDGE = PageAction(
    name="acknowledge",
    label="Acknowledge",
    permission="licensing_integration.acknowledge_purchase",
    explanation="The note for a person is taken off the purchase. Nothing else changes.",
    preview=lambda purchases: [f"Taken off: {purchase.attention}" for purchase in purchases[:20]],
    run=_acknowledge,
    why_not=lambda purchase: "" if purchase.attention else "There is no note to acknowledge.",
)
CLOSE_DISPUTES = PageAction(
    name="close-disputes",
    label="Close disputes",
    permission="licensing_integration.close_disputes_purchase",
    explanation="The disputes count as won, and licenses that were suspended because of them are reinstated. "
    "The store sends no event for that.",
    preview=_close_disputes_preview,
    run=_close_disputes,
    why_not=_why_not_close_disputes,
)
RESEND = PageAction(
    name="resend",
    label="Send all keys again",
    permission="licensing_integration.resend_key_licenselink",
    explanation="The license keys of the purchase are sent by e-mail once more.",
    form=ResendForm,
    form_for_many=ReasonForm,  # one address typed for several would get the keys of strangers
    preview=_resend_preview,
    initial=_address,
    run=_resend,
    why_not=_why_not_resend,
)
ERASE = PageAction(
    name="erase",
    label="Erase personal data",
    permission="licensing_integration.erase_purchase",
    explanation="Who bought is forgotten; what was bought, and its licenses, stay.",
    form=EraseForm,
    preview=_erase_preview,
    initial=lambda purchases: {"names": _names_of(purchases[0])},
    run=_erase,
    why_not=_why_not_erase,
    is_bulk=False,
    is_danger=True,
)
