"""What happens inside the pretend Stripe account when something is sold or billed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from licensing_integration.sandbox import stripe_billing as billing
from licensing_integration.sandbox import stripe_catalog as catalog
from licensing_integration.sandbox import stripe_payments as payments
from licensing_integration.sandbox.fastspring import Buyer
from licensing_integration.sandbox.stripe_account import Event, Object, StripeAccount
from licensing_integration.sandbox.stripe_periods import period_end, share

_RETRY_SECONDS = 3 * 86_400


@dataclass(frozen=True, kw_only=True)
class Line:
    """A price id and how many of it."""

    price: str
    quantity: int = 1


def add_customer(account: StripeAccount, buyer: Buyer) -> Object:
    customer = catalog.customer(
        account.new_id("cus_", length=14),
        email=buyer.email,
        name=buyer.company or buyer.name,
        invoice_prefix=account.new_id("", length=8).upper(),
        at=account.now(),
        live=account.live,
    )
    account.customers[customer["id"]] = customer
    return customer


def start_subscription(
    account: StripeAccount,
    *,
    customer: Object,
    lines: Sequence[Line],
    trial_days: int,
    metadata: Mapping[str, str],
    is_classic: bool,
) -> Object:
    """A subscription to the recurring prices among the lines."""
    at = account.now()
    trial_end = at + trial_days * 86_400 if trial_days else None
    subscription_id = account.new_id("sub_1")
    subscription = billing.subscription(
        subscription_id,
        customer=customer["id"],
        items=[_item(account, line, subscription_id, trial_end) for line in lines if is_recurring(account, line)],
        metadata=metadata,
        is_classic=is_classic,
        trial_end=trial_end,
        method=None if trial_end else account.new_id("pm_1"),
        at=at,
        live=account.live,
    )
    account.subscriptions[subscription_id] = subscription
    return subscription


def is_recurring(account: StripeAccount, line: Line) -> bool:
    return account.prices[line.price]["recurring"] is not None


def _item(account: StripeAccount, line: Line, subscription_id: str, trial_end: int | None) -> Object:
    at, price = account.now(), account.prices[line.price]
    return billing.subscription_item(
        account.new_id("si_", length=14),
        subscription_id=subscription_id,
        price=price,
        quantity=line.quantity,
        at=at,
        end=trial_end or period_end(at, after=at, recurring=price["recurring"]),
    )


# -- invoices ---------------------------------------------------------------------------------------------------------


def draw_invoice(
    account: StripeAccount,
    *,
    customer: str,
    lines: Sequence[Object],
    reason: str,
    subscription: Object | None = None,
    since: int | None = None,
    payment_intent: str | None = None,
) -> Object:
    """An open invoice; the subscription's latest one, and with its payment under way if there is something to pay."""
    at, payer = account.now(), account.customers[customer]
    invoice = billing.invoice(
        account.new_id("in_1"),
        customer=payer,
        lines=lines,
        billing_reason=reason,
        subscription=subscription,
        period=(at if since is None else since, at),
        at=at,
        live=account.live,
    )
    account.invoices[invoice["id"]] = invoice
    payer["next_invoice_sequence"] += 1
    payer["currency"] = invoice["currency"]
    if subscription is not None:
        subscription["latest_invoice"] = invoice["id"]
    if invoice["amount_due"]:
        _note_payment(account, invoice, payment_intent or account.new_id("pi_3"))
    return invoice


def pay_invoice(account: StripeAccount, invoice: Object) -> list[Event]:
    """``invoice.paid`` and its twin."""
    at, payment_intent = account.now(), account.payment_of_invoice(invoice["id"])
    billing.mark_paid(invoice, at=at)
    if payment_intent is not None:
        if account.charge_of_payment(payment_intent) is None:
            payer = account.customers[invoice["customer"]]
            add_charge(
                account,
                payment_intent=payment_intent,
                amount=invoice["amount_due"],
                currency=invoice["currency"],
                email=payer["email"],
                name=payer["name"],
                customer=payer["id"],
            )
        _note_payment(account, invoice, payment_intent)
    return [*account.report("invoice.paid", invoice), *account.report("invoice.payment_succeeded", invoice)]


def decline_invoice(account: StripeAccount, invoice: Object) -> list[Event]:
    """An attempt to collect fails: ``invoice.payment_failed``."""
    next_attempt = account.now() + _RETRY_SECONDS
    attempts = invoice["attempt_count"] + 1
    invoice.update(attempted=True, attempt_count=attempts, next_payment_attempt=next_attempt)
    return account.report("invoice.payment_failed", invoice)


def open_invoices(account: StripeAccount, subscription: Object) -> list[Object]:
    """Oldest first."""
    return [
        invoice
        for invoice in account.invoices.values()
        if invoice["status"] == "open" and _subscription_of(invoice) == subscription["id"]
    ]


def _subscription_of(invoice: Object) -> str | None:
    parent: Object | None = invoice["parent"]
    return parent["subscription_details"]["subscription"] if parent else None


def _note_payment(account: StripeAccount, invoice: Object, payment_intent: str) -> None:
    known = [entry for entry in account.invoice_payments.values() if entry["invoice"] == invoice["id"]]
    entry = payments.invoice_payment(
        known[-1]["id"] if known else account.new_id("inpay_1"),
        invoice=invoice,
        payment_intent=payment_intent,
        at=known[-1]["created"] if known else account.now(),
        paid_at=invoice["status_transitions"]["paid_at"],
        live=account.live,
    )
    account.invoice_payments[entry["id"]] = entry


def add_charge(
    account: StripeAccount,
    *,
    payment_intent: str,
    amount: int,
    currency: str,
    email: str,
    name: str,
    customer: str | None,
) -> Object:
    """The payment succeeds."""
    charge = payments.charge(
        account.new_id("ch_3"),
        payment_intent=payment_intent,
        amount=amount,
        currency=currency,
        customer=customer,
        email=email,
        name=name,
        transaction=account.new_id("txn_3"),
        method=account.new_id("pm_1"),
        at=account.now(),
        live=account.live,
    )
    account.charges[charge["id"]] = charge
    return charge


# -- invoice lines ----------------------------------------------------------------------------------------------------


def period_lines(account: StripeAccount, subscription: Object) -> list[Object]:
    """What the current period of every item costs; nothing during a trial."""
    return [
        _period_line(account, item, is_trial=subscription["status"] == "trialing") for item in items_of(subscription)
    ]


def items_of(subscription: Object) -> list[Object]:
    items: list[Object] = subscription["items"]["data"]
    return items


def _period_line(account: StripeAccount, item: Object, *, is_trial: bool) -> Object:
    price, quantity = item["price"], item["quantity"]
    name = name_of(account, price)
    each = f"${price['unit_amount'] / 100:.2f} / {price['recurring']['interval']}"
    return billing.subscription_line(
        account.new_id("il_1"),
        item=item,
        period=(item["current_period_start"], item["current_period_end"]),
        amount=0 if is_trial else price["unit_amount"] * quantity,
        quantity=quantity,
        description=f"Trial period for {name}" if is_trial else f"{quantity} × {name} (at {each})",
    )


def proration_line(account: StripeAccount, item: Object, *, is_credit: bool) -> Object:
    """The price of the rest of the current period as the item is now: given back, or charged."""
    at, quantity = account.now(), item["quantity"]
    start, end = item["current_period_start"], item["current_period_end"]
    amount = share(item["price"]["unit_amount"] * quantity, at=min(max(at, start), end), start=start, end=end)
    words = "Unused time on" if is_credit else "Remaining time on"
    return billing.subscription_line(
        account.new_id("il_1"),
        item=item,
        period=(at, end),
        amount=-amount if is_credit else amount,
        quantity=quantity,
        description=f"{words} {quantity} × {name_of(account, item['price'])}",
        proration=account.new_id("ii_1"),
    )


def one_time_lines(account: StripeAccount, lines: Sequence[Line], *, subscription: Object | None) -> list[Object]:
    """Invoice lines of the one-time prices among the lines."""
    return [
        billing.one_time_line(
            account.new_id("il_1"),
            price=account.prices[line.price],
            quantity=line.quantity,
            description=name_of(account, account.prices[line.price]),
            invoice_item=account.new_id("ii_1"),
            subscription_id=subscription["id"] if subscription else None,
            at=account.now(),
        )
        for line in lines
        if not is_recurring(account, line)
    ]


def name_of(account: StripeAccount, price: Mapping[str, Any]) -> str:
    return str(account.products[price["product"]]["name"])
