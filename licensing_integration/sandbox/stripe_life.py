"""What happens to a subscription in the pretend Stripe shop. Every step answers with the events, in causal order."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

from licensing_integration.sandbox import stripe_billing as billing
from licensing_integration.sandbox import stripe_catalog as catalog
from licensing_integration.sandbox import stripe_steps as steps
from licensing_integration.sandbox.stripe_account import Event, Object, StripeAccount
from licensing_integration.sandbox.stripe_periods import period_end

_ENDED = ("canceled", "incomplete_expired")
_LATER = 1  # seconds: what comes of a failed payment is never told in the same second


class ImpossibleStepError(ValueError):
    """The subscription is not in the state for this step."""


class SubscriptionLife(StripeAccount):
    """Subscriptions are named by their ids."""

    # -- time goes by -------------------------------------------------------------------------------------------------

    def renew(self, subscription_id: str) -> list[Event]:
        """The next period begins, or the first one after a trial, and about an hour later it is paid; while collection
        is paused it is not, and nobody is asked to."""
        events = self.begin_period(subscription_id)
        subscription = self.subscriptions[subscription_id]
        invoice = self.invoices[subscription["latest_invoice"]]
        if subscription["pause_collection"]:
            invoice["status"] = "void"
            return events
        self.pass_time(self.payment_delay)
        return events + steps.pay_invoice(self, invoice)

    def fail_renewal(self, subscription_id: str) -> list[Event]:
        """The next period begins, and its payment fails: the subscription is past due."""
        events = self.begin_period(subscription_id)
        self.pass_time(self.payment_delay)
        subscription = self.subscriptions[subscription_id]
        events += steps.decline_invoice(self, self.invoices[subscription["latest_invoice"]])
        return events + self._move(subscription, status="past_due")

    def begin_period(self, subscription_id: str) -> list[Event]:
        """The first half of a renewal: the period moves on before anything is paid."""
        subscription = self._subscription_in(subscription_id, "active", "trialing", "past_due")
        if subscription["cancel_at"] and subscription["cancel_at"] <= _period_end(subscription):
            raise ImpossibleStepError("A canceled subscription does not renew.")
        before = copy.deepcopy(subscription)
        subscription["status"] = "active" if subscription["status"] == "trialing" else subscription["status"]
        began = min(item["current_period_start"] for item in steps.items_of(subscription))
        for item in steps.items_of(subscription):
            self._set_period(subscription, item, start=item["current_period_end"])
        lines = self.prorations.pop(subscription_id, []) + steps.period_lines(self, subscription)
        self._bill(subscription, lines, reason="subscription_cycle", since=began)
        return self.report("customer.subscription.updated", subscription, before=before)

    def recover(self, subscription_id: str) -> list[Event]:
        """What was owed is paid at last, also the first payment of an incomplete subscription."""
        self.pass_time(_LATER)
        subscription = self._subscription_in(subscription_id, "past_due", "unpaid", "incomplete")
        events = [event for invoice in self._open_invoices(subscription) for event in steps.pay_invoice(self, invoice)]
        return events + self._move(subscription, status="active")

    def give_up(self, subscription_id: str, *, is_canceled: bool = True) -> list[Event]:
        """The last retry has failed: the subscription is canceled or, if the account is set so, stays unpaid."""
        self.pass_time(_LATER)
        subscription = self._subscription_in(subscription_id, "past_due")
        if not is_canceled:
            return self._move(subscription, status="unpaid")
        return self._end(subscription, reason="payment_failed", is_by_api=False)

    def expire_incomplete(self, subscription_id: str) -> list[Event]:
        """23 hours without the first payment."""
        subscription = self._subscription_in(subscription_id, "incomplete")
        for invoice in self._open_invoices(subscription):
            invoice["status"] = "void"
        return self._move(subscription, status="incomplete_expired", ended_at=self.now())

    def remind_of_trial_end(self, subscription_id: str) -> list[Event]:
        subscription = self._subscription_in(subscription_id, "trialing")
        return self.report("customer.subscription.trial_will_end", subscription)

    def end_trial_unpaid(self, subscription_id: str) -> list[Event]:
        """The trial ends and there is no payment method: the subscription is paused."""
        subscription = self._subscription_in(subscription_id, "trialing")
        return self._pause(subscription, cause="trial_end_without_payment_method", is_by_api=False)

    # -- the customer changes something -------------------------------------------------------------------------------

    def change_quantity(
        self, subscription_id: str, quantity: int, *, item: int = 0, is_invoiced_now: bool = False
    ) -> list[Event]:
        """The difference is on the next invoice, or on one of its own that is paid at once."""
        subscription = self._subscription_in(subscription_id, "active", "trialing", "past_due")
        before = copy.deepcopy(subscription)
        changed = steps.items_of(subscription)[item]
        credit = self._proration(subscription, changed, is_credit=True)
        changed["quantity"] = quantity
        lines = [*self._proration(subscription, changed, is_credit=False), *credit]
        return self._change(subscription, before, lines, is_invoiced_now=is_invoiced_now)

    def change_price(
        self, subscription_id: str, price_id: str, *, item: int = 0, is_invoiced_now: bool = False
    ) -> list[Event]:
        """The item keeps its id. Another billing interval begins a new period, which is invoiced at once."""
        subscription = self._subscription_in(subscription_id, "active", "trialing", "past_due")
        before = copy.deepcopy(subscription)
        changed, price = steps.items_of(subscription)[item], self.prices[price_id]
        credit = self._proration(subscription, changed, is_credit=True)
        is_new_interval = changed["price"]["recurring"]["interval"] != price["recurring"]["interval"]
        changed.update(price=price, plan=catalog.plan(price))
        if not is_new_interval:
            lines = [*self._proration(subscription, changed, is_credit=False), *credit]
            return self._change(subscription, before, lines, is_invoiced_now=is_invoiced_now)
        subscription["billing_cycle_anchor"] = self.now()
        self._set_period(subscription, changed, start=self.now())
        lines = [*credit, *steps.period_lines(self, subscription)]
        return self._change(subscription, before, lines, is_invoiced_now=True)

    def remove_item(self, subscription_id: str, *, item: int) -> list[Event]:
        """The rest of its period is credited with the next invoice."""
        subscription = self._subscription_in(subscription_id, "active", "trialing", "past_due")
        before = copy.deepcopy(subscription)
        credit = self._proration(subscription, steps.items_of(subscription).pop(item), is_credit=True)
        return self._change(subscription, before, credit, is_invoiced_now=False)

    def cancel_at_period_end(self, subscription_id: str) -> list[Event]:
        """Flexible subscriptions get ``cancel_at`` alone, classic ones the flag with it."""
        subscription = self._subscription_in(subscription_id, "active", "trialing", "past_due")
        is_classic = subscription["billing_mode"]["type"] == "classic"
        return self._schedule_end(subscription, at=_period_end(subscription), cancel_at_period_end=is_classic)

    def cancel_on(self, subscription_id: str, day: datetime) -> list[Event]:
        """On a day of the seller's choice, after which periods may still begin."""
        subscription = self._subscription_in(subscription_id, "active", "trialing", "past_due")
        return self._schedule_end(subscription, at=int(day.timestamp()), cancel_at_period_end=False)

    def undo_cancellation(self, subscription_id: str) -> list[Event]:
        return self._move(
            self._subscription_in(subscription_id, "active", "trialing", "past_due"),
            is_by_api=True,
            cancel_at=None,
            cancel_at_period_end=False,
            canceled_at=None,
            cancellation_details=billing.cancellation(),
        )

    def reach_cancellation(self, subscription_id: str) -> list[Event]:
        """The end that was announced has come."""
        subscription = self._living(subscription_id)
        if not subscription["cancel_at"]:
            raise ImpossibleStepError("Nobody has canceled the subscription.")
        return self._end(subscription, reason="cancellation_requested", is_by_api=False)

    def cancel_now(self, subscription_id: str) -> list[Event]:
        return self._end(self._living(subscription_id), reason="cancellation_requested", is_by_api=True)

    def pause(self, subscription_id: str) -> list[Event]:
        """On request: status paused, no invoices until it is resumed."""
        subscription = self._subscription_in(subscription_id, "active")
        return self._pause(subscription, cause="pause_requested", is_by_api=True)

    def resume(self, subscription_id: str) -> list[Event]:
        """A new period begins and is paid; then the subscription is active."""
        subscription = self._subscription_in(subscription_id, "paused")
        subscription["billing_cycle_anchor"] = self.now()
        for item in steps.items_of(subscription):
            self._set_period(subscription, item, start=self.now())
        subscription.pop("status_details", None)
        subscription["status"] = "active"
        # Which billing reason the invoice of a resumption has is written nowhere; a new period begins.
        lines = steps.period_lines(self, subscription)
        invoice = self._bill(subscription, lines, reason="subscription_cycle")
        events = steps.pay_invoice(self, invoice)
        return events + self.report("customer.subscription.resumed", subscription, by_api=True)

    def pause_collection(self, subscription_id: str) -> list[Event]:
        """The service goes on unpaid on purpose; the status stays."""
        subscription = self._subscription_in(subscription_id, "active")
        return self._move(subscription, is_by_api=True, pause_collection={"behavior": "void", "resumes_at": None})

    def resume_collection(self, subscription_id: str) -> list[Event]:
        return self._move(self._living(subscription_id), is_by_api=True, pause_collection=None)

    def change_customer(self, customer_id: str, **changes: Any) -> list[Event]:
        """Such as ``email="new@example.com"``."""
        customer = self.customers[customer_id]
        before = copy.deepcopy(customer)
        customer.update(changes)
        return self.report("customer.updated", customer, before=before, by_api=True)

    # -- parts --------------------------------------------------------------------------------------------------------

    def _living(self, subscription_id: str) -> Object:
        subscription = self.subscriptions[subscription_id]
        if subscription["status"] in _ENDED:
            raise ImpossibleStepError(f"The subscription is {subscription['status']}.")
        return subscription

    def _subscription_in(self, subscription_id: str, *statuses: str) -> Object:
        subscription = self._living(subscription_id)
        if subscription["status"] not in statuses:
            raise ImpossibleStepError(f"The subscription is {subscription['status']}, not {' or '.join(statuses)}.")
        return subscription

    def _open_invoices(self, subscription: Object) -> list[Object]:
        invoices = steps.open_invoices(self, subscription)
        if not invoices:
            raise ImpossibleStepError("There is nothing to pay.")
        return invoices

    def _move(self, subscription: Object, *, is_by_api: bool = False, **changes: Any) -> list[Event]:
        """Change the subscription and report it; nothing if it is like that already."""
        before = copy.deepcopy(subscription)
        subscription.update(changes)
        if subscription == before:
            return []
        return self.report("customer.subscription.updated", subscription, before=before, by_api=is_by_api)

    def _schedule_end(self, subscription: Object, *, at: int, cancel_at_period_end: bool) -> list[Event]:
        return self._move(
            subscription,
            is_by_api=True,
            cancel_at=at,
            cancel_at_period_end=cancel_at_period_end,
            canceled_at=self.now(),
            cancellation_details=billing.cancellation(reason="cancellation_requested"),
        )

    def _set_period(self, subscription: Object, item: Object, *, start: int) -> None:
        anchor = subscription["billing_cycle_anchor"]
        end = period_end(anchor, after=start, recurring=item["price"]["recurring"])
        item.update(current_period_start=start, current_period_end=end)

    def _proration(self, subscription: Object, item: Object, *, is_credit: bool) -> list[Object]:
        """Nothing during a trial, in which nothing has been paid."""
        if subscription["status"] == "trialing":
            return []
        return [steps.proration_line(self, item, is_credit=is_credit)]

    def _change(
        self, subscription: Object, before: Object, lines: list[Object], *, is_invoiced_now: bool
    ) -> list[Event]:
        """Report a change of an item; its lines become an invoice that is paid now, or wait for the next one."""
        if not is_invoiced_now or not lines:
            self.prorations.setdefault(subscription["id"], []).extend(lines)
            return self.report("customer.subscription.updated", subscription, before=before, by_api=True)
        since = before["items"]["data"][0]["current_period_start"]
        invoice = self._bill(subscription, lines, reason="subscription_update", since=since)
        events = self.report("customer.subscription.updated", subscription, before=before, by_api=True)
        return events + steps.pay_invoice(self, invoice)

    def _bill(self, subscription: Object, lines: list[Object], *, reason: str, since: int | None = None) -> Object:
        return steps.draw_invoice(
            self,
            customer=subscription["customer"],
            lines=lines,
            reason=reason,
            subscription=subscription,
            since=since,
        )

    def _pause(self, subscription: Object, *, cause: str, is_by_api: bool) -> list[Event]:
        paused = {"subscription": {"type": cause}, "transitioned_at": self.now(), "type": "subscription"}
        subscription.update(status="paused", status_details={"paused": paused})
        return self.report("customer.subscription.paused", subscription, by_api=is_by_api)

    def _end(self, subscription: Object, *, reason: str, is_by_api: bool) -> list[Event]:
        at = self.now()
        subscription.update(
            status="canceled",
            canceled_at=subscription["canceled_at"] or at,
            cancellation_details=billing.cancellation(reason=reason),
            ended_at=subscription["cancel_at"] if reason != "payment_failed" and not is_by_api else at,
        )
        return self.report("customer.subscription.deleted", subscription, by_api=is_by_api)


def _period_end(subscription: Object) -> int:
    return int(max(item["current_period_end"] for item in steps.items_of(subscription)))
