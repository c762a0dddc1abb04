"""What each fixture says without anything fetched, written out by hand. A missing entry means its type is ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from licensing_integration.domain.facts import (
    Charge,
    Customer,
    CustomerFact,
    DisputeFact,
    ItemFact,
    NoteFact,
    OrderFact,
    PurchaseFact,
    ReturnFact,
    Subscription,
    SubscriptionFact,
)
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus

PRIYA = Customer(
    email="priya.natarajan@northwind.example",
    first_name="Priya",
    last_name="Natarajan",
    external_id="cus_9zoSTOdmptEFNF",
)
MIA = Customer(
    email="mia@studio-tanaka.example", first_name="Mia", last_name="Tanaka", external_id="cus_FIpneb4YiL92TX"
)
LENA = Customer(email="lena.fischer@fischer-bau.example", first_name="Lena", last_name="Fischer")
BRAM = Customer(email="bram@devries.example", first_name="Bram de", last_name="Vries", external_id="cus_Jw6dj8pxQAdXLX")
ORBIT = Customer(
    email="billing@orbit-dynamics.example",
    first_name="Orbit Dynamics LLC",
    company="Orbit Dynamics LLC",
    external_id="cus_1oSkHsDh8ytYCM",
)

TEAM, TEAM_ITEM = "sub_1oWtMPPqLk8WmTzDkIMubv3W", "si_9fWlhumb0K5Hlq"  # Priya's, monthly since 5 October 2026
TRIED, TRIED_ITEM = "sub_1t45QlPqLk8WmTzDiClBlATl", "si_cfPlJ8znhFj7oz"  # Mia's, a trial from 1 November 2026
SOLO, SOLO_ITEM = "sub_1URpalPqLk8WmTzDGq0eWDDb", "si_A3haMh9YiPhHmR"  # nobody's we know, since 20 September 2026
PRO, PRO_PRICE = "prod_IQoZULjEhuxvnd", "price_1ad5eGPqLk8WmTzDK7D6RFRJ"
FIRST_INVOICE, TRIAL_INVOICE = "in_1cTvfJPqLk8WmTzDPdlWlLDk", "in_1YWukXPqLk8WmTzDEDMcEHqe"
SECOND_INVOICE, CHANGE_INVOICE = "in_1FGTolPqLk8WmTzDsoFKRxUf", "in_1a65OfPqLk8WmTzDHxjODv0K"
CART, CART_INVOICE, CART_PAYMENT = (
    "cs_test_a1dzCCTlRGcGmbfV1FYAGBJCTwer8vrkIXhlFaUSLzgkh6iPCWusxnzFKi",
    "in_17qWqUPqLk8WmTzDRpO6vSeI",
    "pi_3Qhq0vPqLk8WmTzDAz8Tz6QU",
)
LENAS, LENAS_PAYMENT = (
    "cs_test_a1gGAyUtx7Htz7xy6g5cWJ7bSpT0ehPGfxf7WPrnLJnAVmb3MrnVenWWmK",
    "pi_3IuxklPqLk8WmTzD10sx1dkN",
)
BRAMS, BRAMS_PAYMENT = (
    "cs_test_a100ZUeC4HAtb4lrWLVmgp0kYr0BL6I1TZkvZgcwkveVkl6WkgwMWPg8gV",
    "pi_39wD3pPqLk8WmTzD8BpBsk3o",
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


OCTOBER, NOVEMBER, DECEMBER, JANUARY = (
    utc(2026, 10, 5, 12, 0, 4),
    utc(2026, 11, 5, 12, 0, 4),
    utc(2026, 12, 5, 12, 0, 4),
    utc(2027, 1, 5, 12, 0, 4),
)
TRIAL_BEGIN, TRIAL_END, TRIAL_NEXT = utc(2026, 11, 1, 8), utc(2026, 11, 15, 8), utc(2026, 12, 15, 8)

# One-time sales


def guess(order_id: str) -> ItemFact:
    """A purchase whose lines nobody told."""
    return ItemFact(line="main", product="", quantity=1, order_id=order_id)


def sale(order_id: str, **changes: object) -> OrderFact:
    """A paid Checkout session whose lines are unknown."""
    values: dict[str, object] = {
        "order_id": order_id,
        "status": PurchaseStatus.COMPLETED,
        "items": (guess(order_id),),
        "items_are_guessed": True,
        "is_live": False,
    }
    return OrderFact(**{**values, **changes})  # type: ignore[arg-type]


CART_ITEMS = (
    ItemFact(
        line="price_16b3C8PqLk8WmTzD8aKfUntp",
        product="prod_pldlYBsSE2GgXY",
        variant="price_16b3C8PqLk8WmTzD8aKfUntp",
        quantity=2,
        display="Render Farm Add-on",
        order_id=CART,
        subtotal=98.0,
    ),
    ItemFact(
        line="price_1XrHK5PqLk8WmTzDOBeQY8bK",
        product="prod_QRicvu1eZoxvlo",
        variant="price_1XrHK5PqLk8WmTzDOBeQY8bK",
        quantity=5,
        display="CAD Studio Lifetime",
        order_id=CART,
        subtotal=1495.0,
    ),
)

SALES: Mapping[str, tuple[PurchaseFact, ...]] = {
    "checkout.session.completed--payment-paid": (
        sale(
            LENAS,
            occurred_at=utc(2026, 11, 2, 14, 20, 11),
            note="Checkout paid: 299.00 USD.",
            reference="web-order-10231",
            customer=LENA,
            aliases=(LENAS_PAYMENT,),
            transaction_id=LENAS_PAYMENT,
        ),
    ),
    "checkout.session.completed--multi-quantity": (
        sale(
            CART,
            occurred_at=utc(2026, 11, 5, 19, 10, 33),
            note="Checkout paid: 1593.00 USD.",
            reference="PO-77120",
            customer=ORBIT,
            aliases=(CART_PAYMENT, CART_INVOICE),
            transaction_id=CART_PAYMENT,
        ),
    ),
    "checkout.session.completed--payment-link": (
        sale(
            "cs_test_a1sbvJmTE93LSEyW3xgqsx4uRMvYnRTYTMPqQKS6G0BLfSZ5KFrvEMyn16",
            occurred_at=utc(2026, 11, 7, 21, 12, 1),
            note="Checkout paid: 25.00 USD.",
            customer=Customer(email="ravi@example.org", first_name="Ravi", last_name="Iyer"),
            aliases=("pi_3W21g4PqLk8WmTzD590ZMJAS",),
            transaction_id="pi_3W21g4PqLk8WmTzD590ZMJAS",
        ),
    ),
    # A free order has no payment, and shares no constant with other free orders.
    "checkout.session.completed--payment-no-cost": (
        sale(
            "cs_test_a17I9odAeMs6CH1FRpE5KPET7yqUbJa7uzxntxfVjfbHWhRqAALPmma2GI",
            occurred_at=utc(2026, 11, 6, 10, 0, 30),
            note="Checkout completed at no cost.",
            customer=Customer(email="reviewer@gearpress.example", first_name="Sam", last_name="Okafor"),
            transaction_id=None,
        ),
    ),
    "checkout.session.completed--payment-unpaid": (
        sale(
            BRAMS,
            occurred_at=utc(2026, 11, 3, 8, 2, 40),
            note="Checkout completed: 279.00 EUR on the way, by a payment method that takes days.",
            status=PurchaseStatus.PENDING,
            reference="web-order-10240",
            customer=BRAM,
            items=(),
            items_are_guessed=False,
            aliases=(BRAMS_PAYMENT,),
            transaction_id=BRAMS_PAYMENT,
        ),
    ),
    "checkout.session.async_payment_succeeded": (
        sale(
            BRAMS,
            occurred_at=utc(2026, 11, 9, 6, 15, 2),
            note="Checkout paid: 279.00 EUR.",
            reference="web-order-10240",
            customer=BRAM,
            aliases=(BRAMS_PAYMENT,),
            transaction_id=BRAMS_PAYMENT,
        ),
    ),
    "checkout.session.async_payment_failed": (
        sale(
            "cs_test_a1fCZPEBN7ICLv3KTSiTfAf5y07RRkLPUVv7FYJYKMFr9lEZ4IC5TVDjZv",
            occurred_at=utc(2026, 11, 10, 5, 31, 55),
            note="Delayed payment failed: 279.00 EUR did not arrive.",
            status=PurchaseStatus.NOT_PAID,
            reference="web-order-10251",
            customer=Customer(email="kontakt@pixelwerk.example", first_name="Pixelwerk", last_name="GmbH"),
            items=(),
            items_are_guessed=False,
            aliases=("pi_3X8gL3PqLk8WmTzD6HYNZmD9",),
            transaction_id="pi_3X8gL3PqLk8WmTzD6HYNZmD9",
        ),
    ),
    "checkout.session.expired": (
        sale(
            "cs_test_a1w9Ez12HblwWOeysT4NVdvX777yt7RaSRtoN3UrkGzhfYH8eZSCcKuFFw",
            occurred_at=utc(2026, 11, 9, 9, 30),
            note="Checkout left without payment; the session expired.",
            status=PurchaseStatus.NOT_PAID,
            reference="web-order-10290",
            customer=Customer(),
            items=(),
            items_are_guessed=False,
            transaction_id=None,
        ),
    ),
    "checkout.session.completed--setup": (),
    # The invoice of the cart above. Its session is not told here; both know the invoice's id.
    "invoice.paid--manual-from-checkout": (
        OrderFact(
            occurred_at=utc(2026, 11, 5, 19, 10, 34),
            note="Invoice paid: 1593.00 USD, for 2 × Render Farm Add-on, 5 × CAD Studio Lifetime.",
            order_id=CART_INVOICE,
            status=PurchaseStatus.COMPLETED,
            customer=replace(ORBIT, first_name="Orbit Dynamics", last_name="LLC", company=""),
            items=tuple(replace(item, order_id=CART_INVOICE) for item in CART_ITEMS),
            transaction_id=None,
            is_live=False,
        ),
    ),
}

# Subscriptions


def item(line: str, quantity: int, **changes: object) -> ItemFact:
    values: dict[str, object] = {"product": PRO, "variant": PRO_PRICE}
    return ItemFact(line=line, quantity=quantity, **{**values, **changes})  # type: ignore[arg-type]


def snapshot(status: PurchaseStatus, *items: ItemFact, since: datetime, **changes: object) -> Subscription:
    values: dict[str, object] = {"interval": "P1M", "is_paid_by_charges": True}
    return Subscription(  # type: ignore[arg-type]
        status=status, items=items, period_began_at=since, **{**values, **changes}
    )


def fact(subscription_id: str, occurred_at: datetime, note: str, **changes: object) -> SubscriptionFact:
    """One that names its customer by id only."""
    customers = {TEAM: PRIYA.external_id, TRIED: MIA.external_id, SOLO: "cus_KE4MMHJgfLT8is"}
    values: dict[str, object] = {
        "customer": Customer(external_id=customers[subscription_id]),
        "snapshot_rank": 1,
        "is_live": False,
    }
    return SubscriptionFact(  # type: ignore[arg-type]
        subscription_id=subscription_id, occurred_at=occurred_at, note=note, **{**values, **changes}
    )


def team(status: PurchaseStatus, *, since: datetime = NOVEMBER, quantity: int = 5, **changes: object) -> Subscription:
    return snapshot(status, item(TEAM_ITEM, quantity), since=since, **changes)


def solo(status: PurchaseStatus, **changes: object) -> Subscription:
    return snapshot(status, item(SOLO_ITEM, 1), since=utc(2026, 10, 20, 7, 30, 10), **changes)


def tried(status: PurchaseStatus, *, since: datetime = TRIAL_BEGIN, **changes: object) -> Subscription:
    return snapshot(status, item(TRIED_ITEM, 1), since=since, **changes)


ACTIVE, TRIAL, CANCELED = PurchaseStatus.ACTIVE, PurchaseStatus.TRIAL, PurchaseStatus.CANCELED
ENDED, OVERDUE, PAUSED, UNPAID = (
    PurchaseStatus.ENDED,
    PurchaseStatus.OVERDUE,
    PurchaseStatus.PAUSED,
    PurchaseStatus.UNPAID,
)

LIFECYCLE: Mapping[str, tuple[SubscriptionFact, ...]] = {
    "customer.subscription.created": (
        fact(
            TEAM,
            utc(2026, 10, 5, 12, 0, 4),
            "Subscription created: 3 × prod_IQoZULjEhuxvnd.",
            snapshot=team(ACTIVE, since=OCTOBER, quantity=3),
            snapshot_rank=0,
        ),
    ),
    "customer.subscription.created--trialing": (
        fact(
            TRIED,
            TRIAL_BEGIN,
            "Trial subscription created: 1 × prod_IQoZULjEhuxvnd, until 15 November 2026.",
            snapshot=tried(TRIAL, paid_through=TRIAL_END),
            snapshot_rank=0,
        ),
    ),
    "customer.subscription.trial_will_end": (
        fact(
            TRIED,
            utc(2026, 11, 12, 8),
            "Trial ends on 15 November 2026.",
            snapshot=tried(TRIAL, paid_through=TRIAL_END),
        ),
    ),
    "customer.subscription.updated--trial-to-active": (
        fact(
            TRIED,
            utc(2026, 11, 15, 8, 0, 8),
            "Trial over, the subscription goes on. New period begun, until 15 December 2026; its invoice tells when it "
            "is paid.",
            snapshot=tried(ACTIVE, since=TRIAL_END),
        ),
    ),
    "customer.subscription.paused": (
        fact(
            TRIED,
            utc(2026, 11, 15, 8, 0, 5),
            "Subscription paused (trial end without payment method).",
            snapshot=tried(PAUSED),
        ),
    ),
    "customer.subscription.resumed": (
        fact(
            TRIED,
            utc(2026, 11, 20, 8),
            "Subscription resumed; its period ends on 20 December 2026.",
            snapshot=tried(ACTIVE, since=utc(2026, 11, 20, 8)),
        ),
    ),
    # The period moves an hour before the renewal is paid, so this extends nothing.
    "customer.subscription.updated--renewal": (
        fact(
            TEAM,
            utc(2026, 11, 5, 12, 0, 13),
            "New period begun, until 5 December 2026; its invoice tells when it is paid.",
            snapshot=team(ACTIVE, quantity=3),
        ),
    ),
    "customer.subscription.updated--renewal--acacia": (
        fact(
            TEAM,
            utc(2026, 11, 5, 12, 0, 13),
            "New period begun, until 5 December 2026; its invoice tells when it is paid.",
            snapshot=team(ACTIVE, quantity=3),
        ),
    ),
    "customer.subscription.updated--renewal-basil-shape": (
        fact(
            SOLO,
            utc(2026, 10, 20, 7, 30, 21),
            "New period begun, until 20 November 2026; its invoice tells when it is paid.",
            snapshot=solo(ACTIVE),
        ),
    ),
    "customer.subscription.updated--quantity-3-to-5": (
        fact(
            TEAM,
            utc(2026, 11, 15, 12, 0, 4),
            "Quantity changed from 3 to 5 (prod_IQoZULjEhuxvnd).",
            snapshot=team(ACTIVE),
        ),
    ),
    "customer.subscription.pending_update_applied": (
        fact(
            TEAM,
            utc(2026, 11, 15, 12, 1, 4),
            "Change that waited for its payment took effect: 5 × prod_IQoZULjEhuxvnd.",
            snapshot=team(ACTIVE),
        ),
    ),
    "customer.subscription.updated--price-change": (
        fact(
            TEAM,
            utc(2026, 11, 20, 9, 12, 40),
            "Price changed from prod_IQoZULjEhuxvnd (price_1ad5eGPqLk8WmTzDK7D6RFRJ) to prod_PI4O6LZSiDVPWz "
            "(price_1wjzG6PqLk8WmTzDedbZLk5G).",
            snapshot=snapshot(
                ACTIVE,
                item(TEAM_ITEM, 5, product="prod_PI4O6LZSiDVPWz", variant="price_1wjzG6PqLk8WmTzDedbZLk5G"),
                since=NOVEMBER,
            ),
        ),
    ),
    # Flexible billing: the date alone says so.
    "customer.subscription.updated--cancel_at-flexible": (
        fact(
            TEAM,
            utc(2026, 11, 25, 16, 40),
            "Cancellation scheduled, usable until 5 December 2026 (feedback: unused).",
            snapshot=team(CANCELED, ends_at=DECEMBER),
        ),
    ),
    "customer.subscription.updated--cancel_at_period_end": (
        fact(
            SOLO,
            utc(2026, 11, 1, 11, 5),
            "Cancellation scheduled, usable until 20 November 2026 (feedback: too expensive).",
            snapshot=solo(CANCELED, ends_at=utc(2026, 11, 20, 7, 30, 10)),
        ),
    ),
    "customer.subscription.updated--cancel-undone": (
        fact(
            SOLO,
            utc(2026, 11, 1, 12, 5),
            "Cancellation withdrawn, the subscription renews again.",
            snapshot=solo(ACTIVE),
        ),
    ),
    # The seller collects nothing for a while, on purpose; what runs, runs on.
    "customer.subscription.updated--pause_collection": (
        fact(
            TEAM,
            utc(2026, 11, 26, 16, 40),
            "Collection of payments paused by the seller until 5 January 2027, the service goes on.",
            snapshot=team(ACTIVE, paid_through=DECEMBER),
        ),
    ),
    "customer.subscription.updated--past_due": (
        fact(
            TEAM,
            utc(2026, 12, 5, 13, 0, 18),
            "Payment overdue, Stripe keeps trying.",
            snapshot=team(OVERDUE, since=DECEMBER),
            overdue=True,
        ),
    ),
    "customer.subscription.updated--recovered-active": (
        fact(
            TEAM,
            utc(2026, 12, 8, 12, 0, 44),
            "Overdue payment received, in good standing again.",
            snapshot=team(ACTIVE, since=DECEMBER),
        ),
    ),
    "customer.subscription.updated--unpaid": (
        fact(
            TEAM,
            utc(2026, 12, 26, 12, 0, 4),
            "Payment given up by Stripe after its last attempt, the subscription stays unpaid.",
            snapshot=team(UNPAID, since=DECEMBER),
            overdue=True,
        ),
    ),
    "customer.subscription.deleted--payment_failed": (
        fact(
            TEAM,
            utc(2026, 12, 26, 12, 0, 4),
            "Subscription ended: its renewal was not paid.",
            snapshot=team(ENDED, since=DECEMBER, ends_at=utc(2026, 12, 26, 12, 0, 4)),
            snapshot_rank=2,
        ),
    ),
    "customer.subscription.deleted--period-end": (
        fact(
            TEAM,
            utc(2026, 12, 5, 12, 0, 6),
            "Subscription ended: it was canceled.",
            snapshot=team(ENDED, ends_at=DECEMBER),
            snapshot_rank=2,
        ),
    ),
    "customer.subscription.deleted--immediate": (
        fact(
            SOLO,
            utc(2026, 11, 1, 13, 5),
            "Subscription ended: it was canceled.",
            snapshot=solo(ENDED, ends_at=utc(2026, 11, 1, 13, 5)),
            snapshot_rank=2,
        ),
    ),
}

CHECKOUTS: Mapping[str, tuple[SubscriptionFact, ...]] = {
    "checkout.session.completed--subscription": (
        fact(
            TEAM,
            utc(2026, 10, 5, 12, 0, 7),
            "Subscription bought in Checkout, 147.00 USD paid.",
            order_id=FIRST_INVOICE,
            reference="web-order-10102",
            customer=PRIYA,
            customer_is_buyer=True,
            guessed_item=guess(FIRST_INVOICE),
            charge=Charge(order_id=FIRST_INVOICE, is_initial=True),
            is_confirmed=True,
            aliases=("cs_test_a1D4scXp0NRFQajFnraduK4tY7ZHH1NVrVm631EWwcxyyhnNoXJ8OdH4fg", FIRST_INVOICE),
        ),
    ),
    "checkout.session.completed--subscription-trial": (
        fact(
            TRIED,
            utc(2026, 11, 1, 8, 0, 2),
            "Trial begun in Checkout.",
            order_id=TRIAL_INVOICE,
            customer=MIA,
            customer_is_buyer=True,
            guessed_item=guess(TRIAL_INVOICE),
            charge=Charge(order_id=TRIAL_INVOICE, is_initial=True, is_trial=True),
            is_confirmed=True,
            aliases=("cs_test_a1V6aI4cPkojciE95RnE4vALPyYNjj0uvtA8yu5SFD2sihEVRsEwVPeX7t", TRIAL_INVOICE),
        ),
    ),
}

# Invoices


def payment(
    subscription_id: str, invoice_id: str, occurred_at: datetime, note: str, **changes: object
) -> SubscriptionFact:
    customer = MIA if subscription_id == TRIED else PRIYA
    values: dict[str, object] = {"customer": customer, "is_confirmed": True, "aliases": (invoice_id,)}
    return fact(subscription_id, occurred_at, note, **{**values, **changes})


FIRST_PAYMENT = payment(
    TEAM,
    FIRST_INVOICE,
    utc(2026, 10, 5, 12, 0, 8),
    "First period paid: 147.00 USD, paid through 5 November 2026.",
    order_id=FIRST_INVOICE,
    charge=Charge(order_id=FIRST_INVOICE, is_initial=True, paid_through={TEAM_ITEM: NOVEMBER}, period_began_at=OCTOBER),
    charged_items=(item(TEAM_ITEM, 3, order_id=FIRST_INVOICE, subtotal=147.0),),
)
RENEWAL = payment(
    TEAM,
    SECOND_INVOICE,
    utc(2026, 11, 5, 13, 0, 19),
    "Renewal paid: 147.00 USD, paid through 5 December 2026.",
    charge=Charge(order_id=SECOND_INVOICE, paid_through={TEAM_ITEM: DECEMBER}, period_began_at=NOVEMBER),
    charged_items=(item(TEAM_ITEM, 3, order_id=SECOND_INVOICE, subtotal=147.0),),
)
CHANGE = payment(
    TEAM,
    CHANGE_INVOICE,
    utc(2026, 11, 15, 12, 0, 8),
    "Change or usage of the subscription paid: 65.33 USD; the paid period stays as it is.",
    charge=Charge(order_id=CHANGE_INVOICE, is_proration=True),
)


def with_payment(known: SubscriptionFact, *names: str) -> SubscriptionFact:
    """Invoices before basil name their payment intent and charge."""
    assert known.charge is not None
    return replace(known, charge=replace(known.charge, aliases=names))


PAYMENTS: Mapping[str, tuple[PurchaseFact, ...]] = {
    "invoice.paid--subscription_create": (FIRST_PAYMENT,),
    "invoice.paid--subscription_create--acacia": (
        with_payment(FIRST_PAYMENT, "pi_3DRMRrPqLk8WmTzD0thzGbuS", "ch_3xYd21PqLk8WmTzDUoajlPFF"),
    ),
    "invoice.paid--subscription_cycle": (RENEWAL,),
    "invoice.payment_succeeded--subscription_cycle": (RENEWAL,),
    "invoice.paid--subscription_cycle--acacia": (
        with_payment(RENEWAL, "pi_3Hb2ZqPqLk8WmTzD1mVw84Ty", "ch_3Hb2ZqPqLk8WmTzD1Kc9s0Xa"),
    ),
    "invoice.paid--subscription_update-proration": (CHANGE,),
    "invoice.paid--subscription_update-proration--acacia": (
        with_payment(CHANGE, "pi_3Hq7LdPqLk8WmTzD0WnR3uEe", "ch_3Hq7LdPqLk8WmTzD0z5TgJ2b"),
    ),
    "invoice.paid--subscription_cycle-recovered": (
        payment(
            TEAM,
            "in_1amugWPqLk8WmTzDKz7sEGBy",
            utc(2026, 12, 8, 12, 0, 44),
            "Renewal paid: 245.00 USD, paid through 5 January 2027.",
            charge=Charge(
                order_id="in_1amugWPqLk8WmTzDKz7sEGBy", paid_through={TEAM_ITEM: JANUARY}, period_began_at=DECEMBER
            ),
            charged_items=(item(TEAM_ITEM, 5, order_id="in_1amugWPqLk8WmTzDKz7sEGBy", subtotal=245.0),),
        ),
    ),
    "invoice.paid--subscription_create-trial-zero": (
        payment(
            TRIED,
            TRIAL_INVOICE,
            utc(2026, 11, 1, 8, 0, 2),
            "Trial begun, until 15 November 2026.",
            order_id=TRIAL_INVOICE,
            charge=Charge(
                order_id=TRIAL_INVOICE,
                is_initial=True,
                is_trial=True,
                paid_through={TRIED_ITEM: TRIAL_END},
                period_began_at=TRIAL_BEGIN,
            ),
            charged_items=(item(TRIED_ITEM, 1, order_id=TRIAL_INVOICE, subtotal=0.0),),
        ),
    ),
    "invoice.paid--subscription_cycle-first-after-trial": (
        payment(
            TRIED,
            "in_1Qd1LTPqLk8WmTzDWiuxhvKI",
            utc(2026, 11, 15, 9, 0, 20),
            "Renewal paid: 49.00 USD, paid through 15 December 2026.",
            charge=Charge(
                order_id="in_1Qd1LTPqLk8WmTzDWiuxhvKI", paid_through={TRIED_ITEM: TRIAL_NEXT}, period_began_at=TRIAL_END
            ),
            charged_items=(item(TRIED_ITEM, 1, order_id="in_1Qd1LTPqLk8WmTzDWiuxhvKI", subtotal=49.0),),
        ),
    ),
    "invoice.payment_failed--subscription_cycle": (
        NoteFact(
            occurred_at=utc(2026, 12, 5, 13, 0, 18),
            note="Payment of 245.00 USD failed at attempt 1; Stripe tries again on 8 December 2026.",
            kind=PurchaseKind.SUBSCRIPTION,
            purchase_id=TEAM,
            is_live=False,
        ),
    ),
    "invoice.payment_action_required": (
        NoteFact(
            occurred_at=utc(2026, 12, 5, 13, 0, 18),
            note="Payment of 245.00 USD needs the customer's consent (3-D Secure); Stripe asked for it.",
            kind=PurchaseKind.SUBSCRIPTION,
            purchase_id=TEAM,
            is_live=False,
        ),
    ),
}

# Money that goes back, and customers


def dispute(occurred_at: datetime, status: str, **changes: object) -> tuple[DisputeFact]:
    """On Lena's payment."""
    values: dict[str, object] = {"dispute_id": "du_1etYlQPqLk8WmTzDh6NfYJAl", "order_id": LENAS_PAYMENT}
    values["note"] = f"Dispute over 299.00 USD (fraudulent): {status}."
    return (DisputeFact(occurred_at=occurred_at, is_live=False, **{**values, **changes}),)  # type: ignore[arg-type]


def given_back(occurred_at: datetime, note: str, **changes: object) -> tuple[ReturnFact]:
    """All of Lena's payment."""
    values: dict[str, object] = {
        "return_id": "re_3kojtqPqLk8WmTzDVndHJ6Gi",
        "order_id": LENAS_PAYMENT,
        "amount": 299.0,
        "is_live": False,
    }
    return (ReturnFact(occurred_at=occurred_at, note=note, **{**values, **changes}),)  # type: ignore[arg-type]


def partly_given_back(order_id: str, *aliases: str) -> tuple[ReturnFact]:
    """A part of Priya's first payment."""
    return given_back(
        utc(2026, 11, 10, 15),
        "Partial refund: 49.00 USD of 147.00 USD.",
        return_id="charge:ch_3xYd21PqLk8WmTzDUoajlPFF",
        order_id=order_id,
        amount=49.0,
        is_cumulative=True,
        aliases=aliases,
    )


OPENED, DECIDED = utc(2026, 11, 14, 3), utc(2026, 12, 24, 3)

MONEY: Mapping[str, tuple[PurchaseFact, ...]] = {
    "charge.refunded--full": given_back(
        utc(2026, 11, 12, 10, 10, 10),
        "Full refund: 299.00 USD.",
        return_id="charge:ch_3vAVL2PqLk8WmTzDgUVQ9K5n",
        is_whole_order=True,
        is_cumulative=True,
    ),
    "charge.refunded--partial": partly_given_back("pi_3DRMRrPqLk8WmTzD0thzGbuS"),
    "charge.refunded--partial--acacia": partly_given_back(FIRST_INVOICE, "pi_3DRMRrPqLk8WmTzD0thzGbuS"),
    "refund.created": given_back(utc(2026, 11, 12, 10, 10, 10), "Refund of 299.00 USD (requested_by_customer)."),
    "refund.updated": given_back(utc(2026, 11, 14, 10, 10, 10), "Refund of 299.00 USD (requested_by_customer)."),
    "charge.dispute.created": dispute(OPENED, "needs response"),
    "charge.dispute.funds_withdrawn": dispute(OPENED, "needs response"),
    "charge.dispute.created--inquiry": dispute(
        utc(2026, 11, 15, 3),
        "",
        note="Inquiry by the buyer's bank over 147.00 USD (general): warning needs response.",
        dispute_id="du_1GwDxPPqLk8WmTzDNfYWNgzY",
        order_id="pi_3DRMRrPqLk8WmTzD0thzGbuS",
        is_open=False,
    ),
    "charge.dispute.closed--won": dispute(DECIDED, "won", is_open=False),
    "charge.dispute.funds_reinstated": dispute(DECIDED, "won", is_open=False),
    "charge.dispute.closed--lost": dispute(DECIDED, "lost", is_open=False, is_lost=True),
}
CUSTOMERS: Mapping[str, tuple[PurchaseFact, ...]] = {
    "customer.updated--email-change": (
        CustomerFact(
            occurred_at=utc(2026, 11, 16, 9),
            note="Customer changed in Stripe: e-mail address.",
            customer=replace(PRIYA, email="licensing@northwind.example"),
            is_live=False,
        ),
    ),
}

IGNORED: Mapping[str, tuple[PurchaseFact, ...]] = dict.fromkeys(
    (
        *("customer.created", "customer.deleted", "price.created", "price.updated--archived"),
        *("product.created", "product.deleted", "product.updated--metadata"),
    ),
    (),
)

EXPECTED: Mapping[str, tuple[PurchaseFact, ...]] = {
    **SALES,
    **CHECKOUTS,
    **LIFECYCLE,
    **PAYMENTS,
    **MONEY,
    **CUSTOMERS,
    **IGNORED,
}
