"""What people may do to licenses: the forms, and for each action what it will do, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django import forms
from django.utils.html import format_html
from unfold.widgets import INPUT_CLASSES, UnfoldAdminEmailInputWidget, UnfoldAdminSelectWidget

from licensing_integration.admin.actions import PageAction, ReasonForm
from licensing_integration.domain.desired import Override
from licensing_integration.domain.outcomes import LicenseState
from licensing_integration.models import LicenseLink
from licensing_integration.services import interventions, rehearsal, resend
from licensing_integration.templatetags.console import moment

_MOST_FORESEEN = 20  # each takes some milliseconds
_YEARS = range(2000, 2201)  # near the ends of the calendar, other time zones have no such moment
_MAY_OVERRIDE = "licensing_integration.override_licenselink"
_NO_ADDRESS = (
    "No address of the customer is known here, so enter the one to send to. Make sure that whoever asks is the buyer."
)


def _moment_field(label: str, *, is_required: bool, help_text: str) -> forms.DateTimeField:
    zone = format_html("{} Your time zone counts: <strong data-zone-name>{}</strong>.", help_text, "UTC")
    attributes = {"type": "datetime-local", "class": " ".join(INPUT_CLASSES)}
    widget = forms.DateTimeInput(attrs=attributes, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(label=label, required=is_required, help_text=zone, widget=widget)


class OverrideForm(ReasonForm):
    """A staff decision: what it sets, and until when. ``zone``: the reader's time zone, which the page's script fills
    in; without it, or with a name that means nothing, it is UTC. Dates come out of the form with a zone."""

    _KEPT = ("", "As the plan says")
    state = forms.ChoiceField(
        required=False,
        choices=[_KEPT, *((s.value, s.value.capitalize()) for s in LicenseState if s is not LicenseState.ABSENT)],
        widget=UnfoldAdminSelectWidget,
    )
    expires_at = _moment_field(
        "Expires", is_required=False, help_text="When the license shall expire. Empty: as the plan says."
    )
    until = _moment_field(
        "Override until",
        is_required=True,
        help_text="From then on the plan wins again, and what the store said meanwhile is applied.",
    )
    zone = forms.CharField(required=False, widget=forms.HiddenInput(attrs={"data-zone": ""}))
    field_order = ("state", "expires_at", "until", "reason")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        zone = _zone(values.get("zone", ""))
        for name in ("expires_at", "until"):
            if typed := values.get(name):
                values[name] = typed.replace(tzinfo=zone)
                if typed.year not in _YEARS:
                    self.add_error(name, f"Choose a year from {_YEARS[0]} to {_YEARS[-1]}.")
        return values


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


class ResendForm(ReasonForm):
    """Where the key goes."""

    address = forms.EmailField(
        required=False,
        max_length=320,
        widget=UnfoldAdminEmailInputWidget,
        help_text="Empty: the address of the purchase. Make sure that whoever asks for another one is the buyer.",
    )
    field_order = ("address", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.initial.get("address"):
            self.fields["address"].required = True
            self.fields["address"].help_text = _NO_ADDRESS


# --- what they do ----------------------------------------------------------------------------------------------------


def _resync(link: LicenseLink, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.resync_link(link.pk, user_id=user_id, reason=values["reason"])
    return "The license is compared with its server and corrected; this takes a moment."


def _override(link: LicenseLink, user_id: int, values: Mapping[str, Any]) -> str:
    until: datetime = values["until"]
    interventions.override_link(
        link.pk,
        user_id=user_id,
        reason=values["reason"],
        until=until,
        state=LicenseState(values["state"]) if values["state"] else None,
        expires_at=values["expires_at"],
    )
    return format_html("The override is set until {}; the license follows in a moment.", moment(until))


def _end_override(link: LicenseLink, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.end_override(link.pk, user_id=user_id, reason=values["reason"])
    return "The override has ended; the license follows the plan in a moment."


def _issue_again(link: LicenseLink, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.issue_again(link.pk, user_id=user_id, reason=values["reason"])
    return "A license is issued in a moment, unless one is found on the server after all."


def _resend(link: LicenseLink, user_id: int, values: Mapping[str, Any]) -> str:
    mail = resend.resend_keys([link], address=values.get("address"), user_id=user_id, reason=values["reason"])
    return f"The key is on its way to {mail.address}; the history tells when the mail server has taken it."


# --- what they will do, said before ----------------------------------------------------------------------------------


def _resync_preview(links: Sequence[LicenseLink]) -> Sequence[str]:
    servers = ", ".join(sorted({link.server for link in links}))
    return (
        f"What is known of the license on {servers} is forgotten and asked for anew.",
        "Every field that differs from what is wanted is corrected, also one that somebody changed there on purpose.",
        "Nothing is sent to the customer.",
    )


def _override_preview(links: Sequence[LicenseLink]) -> Sequence[str]:
    now = [_as_planned(links[0])] if len(links) == 1 else []
    return (
        *now,
        "What you choose here is brought about at once, whatever the store says.",
        "Events that arrive meanwhile are kept, and count again from the moment the override ends.",
    )


def _foresee_override(links: Sequence[LicenseLink], values: Mapping[str, Any]) -> Sequence[str]:
    """With the moment as it is understood."""
    state = LicenseState(values["state"]) if values["state"] else None
    override = Override(until=values["until"], state=state, expires_at=values["expires_at"])
    changes = [
        sentence
        for link in links[:_MOST_FORESEEN]
        for sentence in rehearsal.preview_override(link.pk, override=override)
    ]
    more = [f"{len(links) - _MOST_FORESEEN} more were not looked at."] if len(links) > _MOST_FORESEEN else []
    return (*changes, *more, format_html("The plan wins again on {}.", moment(override.until)))


def _as_planned(link: LicenseLink) -> str:
    wanted, ends = link.desired.get("state", ""), link.desired.get("expires_at")
    end = format_html(", until {}", moment(datetime.fromisoformat(ends))) if ends else ""
    return format_html("Wanted now: {}{}. {}", wanted, end, link.reason)


def _end_override_preview(links: Sequence[LicenseLink]) -> Sequence[str]:
    if len(links) == 1:
        return rehearsal.preview_override(links[0].pk, override=None)
    return (
        "What the store last said counts again: the state and the end date are worked out anew and brought about.",
        "That may suspend a license, or take away time that the override gave.",
    )


def _issue_again_preview(links: Sequence[LicenseLink]) -> Sequence[str]:
    keys = ", ".join(f"license {link.shown_key}" for link in links[:5])
    return (
        f"Forgotten here: {keys}{' and more' if len(links) > 5 else ''}.",
        "The license server is searched first: a license of this slot that is still there is taken back, key and all.",
        "Only if there is none, a new one is issued. Its key is new, and not sent by itself: send it afterwards.",
    )


def _resend_preview(links: Sequence[LicenseLink]) -> Sequence[str]:
    if len(links) > 1:
        return (f"{len(links)} mails are sent, each with one key, to the address of its purchase.",)
    return (
        f"A mail with the key {links[0].masked_key} is sent to the address below. The license stays as it is.",
        "The mail names the product and where to ask questions; whoever has the key can use the license.",
    )


def _address(links: Sequence[LicenseLink]) -> Mapping[str, Any]:
    return {"address": links[0].purchase.customer_email} if len(links) == 1 else {}


RESYNC = PageAction(
    name="resync",
    label="Resync",
    permission="licensing_integration.resync_licenselink",
    explanation="The license server is asked for the license as it is now, and every field is made to match the plan.",
    preview=_resync_preview,
    run=_resync,
)
OVERRIDE = PageAction(
    name="override",
    label="Override",
    permission=_MAY_OVERRIDE,
    explanation="Your decision wins over the plan until the date you give. An override that is set already is "
    "replaced.",
    form=OverrideForm,
    preview=_override_preview,
    foresee=_foresee_override,
    run=_override,
)
END_OVERRIDE = PageAction(
    name="end-override",
    label="End override",
    permission=_MAY_OVERRIDE,
    explanation="The plan wins again, now.",
    preview=_end_override_preview,
    run=_end_override,
    why_not=lambda link: "" if link.is_overridden else "The license is not overridden.",
)
ISSUE_AGAIN = PageAction(
    name="issue-again",
    label="Issue again",
    permission="licensing_integration.issue_again_licenselink",
    explanation="The license that was deleted on the license server is forgotten and a new one is issued. The "
    "customer gets a new key.",
    preview=_issue_again_preview,
    run=_issue_again,
    why_not=interventions.why_not_issue_again,
)
RESEND = PageAction(
    name="resend",
    label="Send key again",
    permission="licensing_integration.resend_key_licenselink",
    explanation="The license key is sent by e-mail once more.",
    form=ResendForm,
    form_for_many=ReasonForm,  # one address typed for several would get the keys of strangers
    preview=_resend_preview,
    initial=_address,
    run=_resend,
    why_not=resend.why_not_resend,
)
