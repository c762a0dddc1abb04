"""Every event of LicenseSpring's FastSpring guide, from the signed delivery to the license on the server."""

from __future__ import annotations

from datetime import timedelta

from licensing_integration.admin.history import entries_of_link
from licensing_integration.models import LicenseLink
from tests.services.guide.proofs import on_both_servers, proves
from tests.services.guide.selling import in_ms


@proves("E1", licensespring="works", cryptlex="equivalent")
def test_order_completed_makes_licenses_that_end_with_the_billing_period(guide):
    subscription = guide.subscribe()
    guide.is_on(until=subscription.next)
    guide.has(
        licensespring={"license_type": "subscription", "is_trial": False, "subscription_id": subscription.id},
        cryptlex={"metadata fastspring_subscription_id": subscription.id},
    )
    guide.says("Issued license", "Subscription bought: 1 × studio, paid through")


@proves("E2", licensespring="works", cryptlex="equivalent")
def test_activated_reinstates_with_the_new_end_and_does_nothing_for_a_new_subscription(guide):
    subscription = guide.subscribe()
    guide.changes_nothing("subscription.activated", subscription)
    guide.change("subscription.deactivated", subscription, state="deactivated")
    guide.is_off()
    later = subscription.next + timedelta(days=30)
    guide.change("subscription.activated", subscription, state="active", next=later)
    guide.is_on(until=later)
    guide.says("Suspended.", "Subscription activated, paid through", "Reinstated.")


@proves("E3", licensespring="works", cryptlex="equivalent")
def test_deactivated_takes_every_license_away_at_once(guide):
    subscription = guide.subscribe(quantity=2)
    guide.change("subscription.deactivated", subscription, state="deactivated")
    assert len(guide.licenses) == 2
    guide.is_off()
    guide.says("Suspended. The subscription has ended.", "Subscription ended.")


@proves("E4", licensespring="works", cryptlex="works")
def test_canceled_is_told_and_changes_nothing(guide):
    subscription = guide.subscribe()
    guide.changes_nothing("subscription.canceled", subscription, state="canceled")
    guide.is_on(until=subscription.next)
    guide.says("Subscription canceled; stays usable until")


@proves("E5", licensespring="works", cryptlex="works")
def test_uncanceled_is_told_and_changes_nothing(guide):
    subscription = guide.subscribe()
    guide.report("subscription.canceled", subscription, state="canceled")
    guide.changes_nothing("subscription.uncanceled", subscription)
    guide.is_on(until=subscription.next)
    guide.says("Cancellation withdrawn")


@on_both_servers
def test_the_end_that_a_cancellation_announces_is_noted_and_nothing_else(guide):
    subscription = guide.subscribe()
    before = guide.license
    for event_type, end in (("subscription.canceled", in_ms(subscription.next)), ("subscription.uncanceled", None)):
        guide.report(event_type, subscription, deactivationDate=end)
        changed = {name for name, value in guide.license.items() if value != before[name]}
        assert changed <= {"note", "notes", "updated_at", "updatedAt"}
        assert guide.note == (f"End Date: {subscription.next:%Y-%m-%d}" if end else "")


@proves("E6", licensespring="works", cryptlex="equivalent")
def test_updated_follows_active_and_next_and_ends_no_trial(guide):
    subscription = guide.subscribe(trial=True)
    subscription.next += timedelta(days=7)
    guide.report("subscription.updated", subscription)
    guide.is_on(until=subscription.next)
    guide.has(licensespring={"is_trial": True}, cryptlex={"metadata licensing_integration_trial": "true"})
    guide.report("subscription.updated", subscription, active=False)
    guide.is_off()
    guide.report("subscription.updated", subscription, active=True)
    guide.is_on(until=subscription.next)
    guide.says("Subscription updated (ended)", "Renewed", "Suspended.", "Reinstated.")


@proves("E7", licensespring="works", cryptlex="works")
def test_a_payment_reminder_is_told_and_changes_nothing(guide):
    subscription = guide.subscribe()
    guide.changes_nothing("subscription.payment.reminder", subscription)
    guide.is_on(until=subscription.next)
    guide.says("Payment reminder sent; the next charge is on")


@proves("E8", licensespring="works", cryptlex="works")
def test_an_overdue_payment_is_told_and_changes_nothing(guide):
    subscription = guide.subscribe()
    plan = {"intervalUnit": "week", "intervalLength": 1, "total": 4, "sent": 1}
    guide.changes_nothing("subscription.payment.overdue", subscription, state="overdue", paymentOverdue=plan)
    guide.is_on(until=subscription.next)
    guide.says("Payment overdue: FastSpring sent overdue notice 1 of 4.")


@proves("E9", licensespring="works", cryptlex="equivalent")
def test_a_charge_extends_to_the_new_end_and_makes_a_trial_a_full_license(guide):
    subscription = guide.subscribe(trial=True)
    for _ in range(2):
        guide.renew(subscription)
        guide.is_on(until=subscription.next)
        guide.has(licensespring={"is_trial": False}, cryptlex={"metadata licensing_integration_trial": "false"})
    guide.says("Renewal paid, period 2, paid through", "Renewal paid, period 3, paid through", "Renewed, valid until")


@proves("E10", licensespring="works", cryptlex="works")
def test_a_failed_charge_is_told_and_changes_nothing(guide):
    subscription = guide.subscribe()
    data = {"subscription": subscription.id, "reason": "EXPIRED_CARD"}
    guide.changes_nothing("subscription.charge.failed", subscription, **data)
    guide.is_on(until=subscription.next)
    guide.says("Charge failed: EXPIRED_CARD.")


@proves("E11", licensespring="equivalent", cryptlex="equivalent")
def test_every_event_is_in_the_history_of_every_license(guide):
    subscription = guide.subscribe(quantity=2)
    events = [
        guide.report("subscription.payment.reminder", subscription),
        guide.renew(subscription),
        guide.report("subscription.charge.failed", subscription, subscription=subscription.id, reason="NO_FUNDS"),
        guide.report("subscription.payment.overdue", subscription, state="overdue"),
        guide.report("subscription.updated", subscription),
        guide.report("subscription.canceled", subscription, state="canceled"),
        guide.report("subscription.uncanceled", subscription),
        guide.change("subscription.deactivated", subscription, state="deactivated"),
        guide.change("subscription.activated", subscription, state="active"),
    ]
    assert len(guide.licenses) == 2
    for link in LicenseLink.objects.all():
        told = [entry.event.external_id for entry in entries_of_link(link) if entry.kind.startswith("event.")]
        assert told[::-1][2:] == [event["id"] for event in events]
    guide.says("Subscription activated, paid through", "Subscription bought: 2 × studio", "Issued license")
