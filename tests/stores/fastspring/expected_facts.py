"""What each fixture says, event by event, written out by hand. A missing entry means that its type is ignored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

from licensing_integration.domain.facts import (
    Charge,
    Customer,
    DisputeFact,
    ItemFact,
    NoteFact,
    OrderFact,
    PurchaseFact,
    ReturnedLine,
    ReturnFact,
    Subscription,
    SubscriptionFact,
)
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus

AVA = Customer(
    email="ava.lindqvist@example.com",
    first_name="Ava",
    last_name="Lindqvist",
    company="Northlight Media Ltd",
    external_id="dzZvolYoRqeWGsxiR0rdZQ",
)
BEN = Customer(
    email="ben.okafor@example.com", first_name="Ben", last_name="Okafor", external_id="J08Cj7RwMRvlgFNfaPdXxg"
)
CLEO = Customer(
    email="cleo.marchetti@example.com",
    first_name="Cleo",
    last_name="Marchetti",
    company="Marchetti Design",
    external_id="68fbbyc2hmcDlxZD9Mm_HQ",
)
DAN = Customer(
    email="dan.whitmore@example.com", first_name="Dan", last_name="Whitmore", external_id="dlnz8H48KKYyFgxHmx1T-w"
)

UUID = "c49038a0-4caf-4857-a0c1-fbb9651a0970"
MONTHLY_ATTRIBUTES = {
    "cryptlex_product_id": "ee7834e4-65c4-4161-addd-e3b52e1ce78d",
    "cryptlex_license_template_id": "9c3178f6-125c-49c9-ae8d-add220b4e1dd",
    "uuid": UUID,
    "product_short_code": "studio",
    "cryptlex_mappings_quantity": "allowed_activations",
    "single_license": "true",
}
ANNUAL_ATTRIBUTES = {
    "cryptlex_product_id": "40f26c26-3a3f-452b-a9f4-d8811b7af8a9",
    "cryptlex_license_template_id": "2e5dc3c5-5455-4ef3-a663-bd7e3b7dd028",
    "uuid": UUID,
    "product_short_code": "studio",
    "cryptlex_license_subscription_interval": "P1Y",
}
SOLO_ATTRIBUTES = {
    "cryptlex_product_id": "ac36278b-f61f-4445-ad12-093bd7ae82ae",
    "cryptlex_license_template_id": "62c5302c-3397-4acd-ab23-3d16212e1db3",
    "uuid": UUID,
    "product_short_code": "solo",
}
RENDER_ATTRIBUTES = {
    "cryptlex_product_id": "4f6a7806-5150-4a6b-a8dd-33e12c1c8ee2",
    "cryptlex_license_template_id": "02e05509-3dbc-4193-a299-771aef8b4c80",
    "uuid": UUID,
    "product_short_code": "render",
    "feature_code": "render-node-addon",
}
PHOTON_ATTRIBUTES = {
    "cryptlex_product_id": "290f25ad-4bba-4228-a109-ed1ef2549065",
    "cryptlex_license_template_id": "41f2b2fe-1820-4333-a886-0e4bca2f7512",
    "uuid": UUID,
    "product_short_code": "photon4",
    "max_activations": "2",
}
KEYED_ATTRIBUTES = {
    "cryptlex_product_id": "9eafba63-7306-450f-a128-7a836be9cfbb",
    "cryptlex_license_template_id": "c93c40dc-1c86-478a-aed2-68ce6f6a82d6",
    "uuid": UUID,
    "product_short_code": "photon4k",
    "cryptlex_mappings_quantity": "total_licenses",
}
AUDIO_ATTRIBUTES = {
    "cryptlex_product_id": "62fde2c6-aaa2-49a3-aaf2-067ee1f5b92b",
    "cryptlex_license_template_id": "fa2c2049-e22d-4453-a030-21847bc1916a",
    "uuid": UUID,
    "product_short_code": "audiocl",
}


def utc(*parts: int, ms: int = 0) -> datetime:
    return datetime(*parts, microsecond=ms * 1000, tzinfo=UTC)  # type: ignore[misc, arg-type]


def studio(status: PurchaseStatus, **changes: object) -> Subscription:
    """Ava's subscription, bought on 14 March 2025."""
    values: dict[str, object] = {
        "quantity": 10,
        "product": "studio-team-monthly",
        "display": "Studio Team - Monthly",
        "attributes": MONTHLY_ATTRIBUTES,
        "begun_on": date(2025, 3, 14),
        "interval": "P1M",
        "sequence": 1,
    }
    return Subscription(status=status, **{**values, **changes})  # type: ignore[arg-type]


def studio_fact(**changes: object) -> SubscriptionFact:
    values: dict[str, object] = {
        "subscription_id": "kJJAoGBdrrobkbheIgkQ1w",
        "order_id": "byByxZBM5kekTXy2BujqoQ",
        "reference": "ACM250314-9059-91128",
        "customer": AVA,
    }
    return SubscriptionFact(**{**values, **changes})  # type: ignore[arg-type]


def cleos_studio(status: PurchaseStatus, *, ends_at: datetime | None = None) -> Subscription:
    return Subscription(
        status=status,
        paid_through=utc(2025, 4, 21),
        ends_at=ends_at,
        quantity=3,
        product="studio-team-monthly",
        display="Studio Team - Monthly",
        attributes=MONTHLY_ATTRIBUTES,
        sequence=1,
        begun_on=date(2025, 3, 21),
        interval="P1M",
    )


def cleos_studio_fact(**changes: object) -> SubscriptionFact:
    values: dict[str, object] = {
        "subscription_id": "8ML3h5QENqklK21fF_g7Bw",
        "order_id": "yy-5BOQaMo6oCTHA6n5pBg",
        "reference": "ACM250321-7104-54211",
        "customer": CLEO,
    }
    return SubscriptionFact(**{**values, **changes})  # type: ignore[arg-type]


def solo(status: PurchaseStatus, *, paid_through: datetime, sequence: int) -> Subscription:
    """Cleo's trial, begun on 15 March 2025."""
    return Subscription(
        status=status,
        paid_through=paid_through,
        quantity=1,
        product="studio-solo-monthly",
        display="Studio Solo - Monthly",
        attributes=SOLO_ATTRIBUTES,
        sequence=sequence,
        begun_on=date(2025, 3, 15),
        interval="P1M",
    )


def solo_fact(**changes: object) -> SubscriptionFact:
    values: dict[str, object] = {
        "subscription_id": "VbO5lq5MgY2Jyd7Yu2GQRg",
        "order_id": "FX92DGSVn325Rwao9JQC0A",
        "reference": "ACM250315-1120-44902",
        "customer": CLEO,
    }
    return SubscriptionFact(**{**values, **changes})  # type: ignore[arg-type]


ACTIVE, TRIAL, OVERDUE = PurchaseStatus.ACTIVE, PurchaseStatus.TRIAL, PurchaseStatus.OVERDUE
PAUSED, CANCELED, ENDED = PurchaseStatus.PAUSED, PurchaseStatus.CANCELED, PurchaseStatus.ENDED

ORDERS: Mapping[str, tuple[PurchaseFact, ...]] = {
    "order.completed--one-time-qty1": (
        OrderFact(
            occurred_at=utc(2025, 3, 12, 9, 41, 7, ms=345),
            note="Order completed: 1 × photon-editor.",
            order_id="6hUfHRqNUCQlTU8QNbKrcw",
            status=PurchaseStatus.COMPLETED,
            reference="ACM250312-4821-30177",
            customer=AVA,
            items=(
                ItemFact(
                    line="photon-editor",
                    product="photon-editor",
                    quantity=1,
                    display="Photon Editor 4",
                    attributes=PHOTON_ATTRIBUTES,
                    order_id="6hUfHRqNUCQlTU8QNbKrcw",
                    subtotal=79.0,
                ),
            ),
        ),
    ),
    # A test order; isAddon stands on the line and means nothing.
    "order.completed--one-time-qty3": (
        OrderFact(
            occurred_at=utc(2025, 3, 12, 15, 2, 55, ms=178),
            note="Order completed: 3 × photon-editor-keyed.",
            order_id="6XeULywtM4B8vKLPnM0cvA",
            status=PurchaseStatus.COMPLETED,
            reference="ACM250312-7710-81125",
            customer=BEN,
            items=(
                ItemFact(
                    line="photon-editor-keyed",
                    product="photon-editor-keyed",
                    quantity=3,
                    display="Photon Editor 4 (keyed)",
                    attributes=KEYED_ATTRIBUTES,
                    order_id="6XeULywtM4B8vKLPnM0cvA",
                    subtotal=177.0,
                ),
            ),
            given_keys={
                "photon-editor-keyed": ("PHK4-9QJ2-LM7X-0A1C", "PHK4-3VTT-88RD-61EE", "PHK4-ZK04-7PNB-2F9D"),
            },
            is_live=False,
        ),
    ),
    "order.completed--bundle": (
        OrderFact(
            occurred_at=utc(2025, 3, 18, 11, 47, 2, ms=128),
            note="Order completed: 1 × creator-bundle, 1 × photon-editor, 1 × audio-cleaner.",
            order_id="NygOIrdqR8GaeLRJUjg11g",
            status=PurchaseStatus.COMPLETED,
            reference="ACM250318-5573-20641",
            customer=DAN,
            items=(
                ItemFact(
                    line="creator-bundle",
                    product="creator-bundle",
                    quantity=1,
                    display="Creator Bundle",
                    attributes={"cryptlex_is_bundle": "true"},
                    order_id="NygOIrdqR8GaeLRJUjg11g",
                    subtotal=149.0,
                ),
                ItemFact(
                    line="photon-editor",
                    product="photon-editor",
                    quantity=1,
                    display="Photon Editor 4",
                    attributes=PHOTON_ATTRIBUTES,
                    order_id="NygOIrdqR8GaeLRJUjg11g",
                    subtotal=0.0,
                    driver="bundle:creator-bundle",
                ),
                ItemFact(
                    line="audio-cleaner",
                    product="audio-cleaner",
                    quantity=1,
                    display="Audio Cleaner",
                    attributes=AUDIO_ATTRIBUTES,
                    order_id="NygOIrdqR8GaeLRJUjg11g",
                    subtotal=0.0,
                    driver="bundle:creator-bundle",
                ),
            ),
        ),
    ),
    "order.completed--subscription-qty5": (
        studio_fact(
            occurred_at=utc(2025, 3, 14, 8, 24, 13, ms=833),
            note="Subscription bought: 5 × studio-team-monthly, paid through 14 April 2025.",
            snapshot=studio(ACTIVE, quantity=5, paid_through=utc(2025, 4, 14)),
            customer_is_buyer=True,
            charge=Charge(order_id="byByxZBM5kekTXy2BujqoQ", sequence=1, is_initial=True),
            is_confirmed=True,
        ),
    ),
    "order.completed--subscription-trial": (
        solo_fact(
            occurred_at=utc(2025, 3, 15, 17, 5, 30, ms=463),
            note="Trial started: 1 × studio-solo-monthly, until 29 March 2025.",
            snapshot=solo(TRIAL, paid_through=utc(2025, 3, 29), sequence=1),
            customer_is_buyer=True,
            is_confirmed=True,
        ),
    ),
    "order.completed--subscription-addon": (
        SubscriptionFact(
            occurred_at=utc(2025, 3, 19, 13, 12, 44, ms=582),
            note="Subscription bought: 2 × studio-team-annual with 3 × render-node-addon, paid through 19 March 2026.",
            subscription_id="ZGowu6F8WzRZ96IAmzNj-Q",
            snapshot=Subscription(
                status=ACTIVE,
                paid_through=utc(2026, 3, 19),
                quantity=2,
                product="studio-team-annual",
                attributes=ANNUAL_ATTRIBUTES,
                sequence=1,
                begun_on=date(2025, 3, 19),
                interval="P1Y",
                display="Studio Team - Annual",
                add_ons=("render-node-addon",),
            ),
            order_id="-7Yg2di-HkstpAvWuXUWbg",
            reference="ACM250319-6641-77310",
            customer=AVA,
            customer_is_buyer=True,
            add_ons=(
                ItemFact(
                    line="addon:render-node-addon:-7Yg2di-HkstpAvWuXUWbg",
                    product="render-node-addon",
                    quantity=3,
                    display="Render Add-on",
                    attributes=RENDER_ATTRIBUTES,
                    order_id="-7Yg2di-HkstpAvWuXUWbg",
                    subtotal=24.0,
                    driver="addon:studio-team-annual",
                ),
            ),
            charge=Charge(order_id="-7Yg2di-HkstpAvWuXUWbg", sequence=1, is_initial=True),
            is_confirmed=True,
        ),
    ),
    "order.completed--subscription-unexpanded": (
        SubscriptionFact(
            occurred_at=utc(2025, 3, 20, 7, 30, ms=89),
            note="Subscription bought: 1 × studio-team-monthly.",
            subscription_id="mZQxaMHTYL7Y_t9EkMubXw",
            snapshot=Subscription(
                status=ACTIVE,
                quantity=1,
                product="studio-team-monthly",
                attributes=MONTHLY_ATTRIBUTES,
                display="Studio Team - Monthly",
            ),
            order_id="xAC5q5aJDC20vQboQIsrLw",
            reference="ACM250320-3308-15572",
            customer=BEN,
            customer_is_buyer=True,
            charge=Charge(order_id="xAC5q5aJDC20vQboQIsrLw", sequence=1, is_initial=True),
            is_confirmed=True,
        ),
    ),
    # The activation comes first in the batch although it was created last.
    "order.completed--batch-with-subscription.activated": (
        cleos_studio_fact(
            occurred_at=utc(2025, 3, 21, 19, 13, 17, ms=661),
            note="Subscription activated, paid through 21 April 2025.",
            snapshot=cleos_studio(ACTIVE),
        ),
        cleos_studio_fact(
            occurred_at=utc(2025, 3, 21, 19, 13, 17, ms=636),
            note="Subscription bought: 3 × studio-team-monthly, paid through 21 April 2025.",
            snapshot=cleos_studio(ACTIVE),
            customer_is_buyer=True,
            charge=Charge(order_id="yy-5BOQaMo6oCTHA6n5pBg", sequence=1, is_initial=True),
            is_confirmed=True,
        ),
    ),
    "order.payment.pending": (
        OrderFact(
            occurred_at=utc(2025, 5, 14, 8, 22, 55, ms=757),
            note="Payment pending: the buyer chose a payment method that takes time.",
            order_id="5knraRpijuhlPIq07qukYA",
            status=PurchaseStatus.PENDING,
            reference="ACM250514-8490-56112",
            customer=DAN,
        ),
    ),
    "order.canceled--payment-expired": (
        OrderFact(
            occurred_at=utc(2025, 5, 21, 16, 46, 40, ms=369),
            note="Order canceled before it was paid (reason EXPIRE).",
            order_id="AJ4sXKAzu2Hnwf_iZjCGVg",
            status=PurchaseStatus.NOT_PAID,
            customer=DAN,
        ),
    ),
}

LIFECYCLE: Mapping[str, tuple[PurchaseFact, ...]] = {
    "subscription.activated": (
        studio_fact(
            occurred_at=utc(2025, 3, 14, 8, 24, 13, ms=790),
            note="Subscription activated, paid through 14 April 2025.",
            snapshot=studio(ACTIVE, quantity=5, paid_through=utc(2025, 4, 14)),
        ),
    ),
    "subscription.activated--trial": (
        solo_fact(
            occurred_at=utc(2025, 3, 15, 17, 5, 30, ms=420),
            note="Trial activated, until 29 March 2025.",
            snapshot=solo(TRIAL, paid_through=utc(2025, 3, 29), sequence=1),
        ),
    ),
    "subscription.trial.reminder": (
        solo_fact(
            occurred_at=utc(2025, 3, 26, 6, 1, 2, ms=3),
            note="Trial reminder sent; the trial ends on 29 March 2025.",
            snapshot=solo(TRIAL, paid_through=utc(2025, 3, 29), sequence=1),
        ),
    ),
    "subscription.updated--quantity-change": (
        studio_fact(
            occurred_at=utc(2025, 3, 27, 16, 44, 8, ms=160),
            note="Subscription updated: 8 × studio-team-monthly, paid through 14 April 2025.",
            snapshot=studio(ACTIVE, quantity=8, paid_through=utc(2025, 4, 14)),
        ),
    ),
    "subscription.updated--next-and-end-date": (
        studio_fact(
            occurred_at=utc(2025, 4, 1, 10, ms=71),
            note="Subscription updated: 8 × studio-team-monthly, paid through 20 April 2025, ends on 20 April 2026.",
            snapshot=studio(ACTIVE, quantity=8, paid_through=utc(2025, 4, 20), ends_at=utc(2026, 4, 20)),
        ),
    ),
    "subscription.updated--payment-method": (
        studio_fact(
            occurred_at=utc(2025, 4, 2, 10, ms=70),
            note="Payment method updated.",
            snapshot=studio(ACTIVE, quantity=8, paid_through=utc(2025, 4, 20)),
        ),
    ),
    "subscription.payment.reminder": (
        studio_fact(
            occurred_at=utc(2025, 4, 7, 6, 4, 42, ms=64),
            note="Payment reminder sent; the next charge is on 14 April 2025.",
            snapshot=studio(ACTIVE, quantity=5, paid_through=utc(2025, 4, 14)),
        ),
    ),
    "subscription.payment.overdue": (
        studio_fact(
            occurred_at=utc(2025, 5, 21, 6, 7, 47, ms=795),
            note="Payment overdue: FastSpring sent overdue notice 1 of 4.",
            snapshot=studio(OVERDUE, paid_through=utc(2025, 5, 14), sequence=2),
            overdue=True,
            is_confirmed=True,
        ),
    ),
    # Canceled is still paid for. `changed` is older than the cancellation, on purpose.
    "subscription.canceled": (
        studio_fact(
            occurred_at=utc(2025, 6, 2, 20, 17, 40, ms=103),
            note="Subscription canceled; stays usable until 13 June 2025.",
            snapshot=studio(CANCELED, paid_through=utc(2025, 6, 14), ends_at=utc(2025, 6, 13), sequence=3),
            is_confirmed=True,
        ),
    ),
    "subscription.uncanceled": (
        studio_fact(
            occurred_at=utc(2025, 6, 4, 16, 34, 8, ms=164),
            note="Cancellation withdrawn; the subscription renews on 14 June 2025.",
            snapshot=studio(ACTIVE, paid_through=utc(2025, 6, 14), sequence=3),
            is_confirmed=True,
        ),
    ),
    "subscription.paused": (
        studio_fact(
            occurred_at=utc(2025, 7, 14, 6, 3, 30, ms=71),
            note="Subscription paused.",
            snapshot=studio(PAUSED, paid_through=utc(2025, 9, 14), sequence=4),
            is_confirmed=True,
        ),
        studio_fact(
            occurred_at=utc(2025, 7, 14, 6, 3, 30, ms=86),
            note="Subscription updated (paused): 10 × studio-team-monthly, paid through 14 September 2025.",
            snapshot=studio(PAUSED, paid_through=utc(2025, 9, 14), sequence=4),
            is_confirmed=True,
        ),
    ),
    "subscription.resumed": (
        studio_fact(
            occurred_at=utc(2025, 8, 3, 12, 0, 30, ms=71),
            note="Subscription resumed, paid through 3 September 2025.",
            snapshot=studio(ACTIVE, paid_through=utc(2025, 9, 3), sequence=5),
            is_confirmed=True,
        ),
    ),
    "subscription.deactivated": (
        studio_fact(
            occurred_at=utc(2025, 9, 14, 8, 14, 56, ms=331),
            note="Subscription ended.",
            snapshot=studio(ENDED, paid_through=utc(2025, 9, 14), ends_at=utc(2025, 9, 14), sequence=6),
            is_confirmed=True,
        ),
    ),
    "subscription.deactivated--immediate": (
        cleos_studio_fact(
            occurred_at=utc(2025, 3, 22, 6, 38, 40, ms=824),
            note="Subscription ended.",
            snapshot=cleos_studio(ENDED, ends_at=utc(2025, 3, 22)),
        ),
    ),
    "subscription.deactivated--unexpanded": (
        cleos_studio_fact(
            occurred_at=utc(2025, 3, 22, 6, 38, 40, ms=825),
            note="Subscription ended.",
            snapshot=cleos_studio(ENDED, ends_at=utc(2025, 3, 22)),
            customer=None,
        ),
    ),
}

CHARGES: Mapping[str, tuple[PurchaseFact, ...]] = {
    "subscription.charge.completed": (
        studio_fact(
            occurred_at=utc(2025, 4, 14, 6, 14, 14, ms=77),
            note="Renewal paid, period 2, paid through 14 May 2025.",
            snapshot=studio(ACTIVE, quantity=8, paid_through=utc(2025, 5, 14), sequence=2),
            charge=Charge(order_id="8HwG8yE_Nj3LyGczNof5KQ", sequence=2),
            is_confirmed=True,
        ),
    ),
    "subscription.charge.completed--unexpanded": (
        SubscriptionFact(
            occurred_at=utc(2025, 4, 14, 6, 14, 14, ms=78),
            note="Renewal paid, period 2.",
            subscription_id="kJJAoGBdrrobkbheIgkQ1w",
            charge=Charge(order_id="xAvcbea-3uYzFCdvbO1EGw", sequence=2),
            is_confirmed=True,
        ),
    ),
    "subscription.charge.completed--trial-conversion": (
        solo_fact(
            occurred_at=utc(2025, 3, 29, 6, 2, 12, ms=313),
            note="Renewal paid, period 2, paid through 29 April 2025.",
            snapshot=solo(ACTIVE, paid_through=utc(2025, 4, 29), sequence=2),
            charge=Charge(order_id="ky9kUIcjYEtz2L9WG_aFjg", sequence=2),
            is_confirmed=True,
        ),
    ),
    # Paid for a change, not for a period: `next` and `sequence` are those of the renewal before it.
    "subscription.charge.completed--proration": (
        studio_fact(
            occurred_at=utc(2025, 4, 22, 11, 40, 2, ms=543),
            note="Change of the subscription paid (proration), paid through 14 May 2025.",
            snapshot=studio(ACTIVE, paid_through=utc(2025, 5, 14), sequence=2),
            charge=Charge(order_id="0srLzz8iNKgJszp2d6QjXQ", sequence=2, is_proration=True),
            is_confirmed=True,
        ),
    ),
    "subscription.charge.failed": (
        NoteFact(
            occurred_at=utc(2025, 5, 14, 6, 12, 5, ms=845),
            note="Charge failed: EXPIRED_CARD.",
            kind=PurchaseKind.SUBSCRIPTION,
            purchase_id="kJJAoGBdrrobkbheIgkQ1w",
        ),
    ),
    "subscription.charge.failed--unexpanded": (
        NoteFact(
            occurred_at=utc(2025, 5, 14, 6, 12, 5, ms=846),
            note="Charge failed: EXPIRED_CARD.",
            kind=PurchaseKind.SUBSCRIPTION,
            purchase_id="kJJAoGBdrrobkbheIgkQ1w",
        ),
    ),
}

REFUNDS: Mapping[str, tuple[PurchaseFact, ...]] = {
    "return.created--full-refund": (
        ReturnFact(
            occurred_at=utc(2025, 3, 24, 14, 2, 43, ms=526),
            note="Order refunded: 1 × photon-editor (in full).",
            return_id="19UeAlB0OD-s-7h3u47NAw",
            order_id="6hUfHRqNUCQlTU8QNbKrcw",
            lines=(ReturnedLine(product="photon-editor", quantity=1, is_full=True, amount=79.0),),
            is_whole_order=True,
        ),
    ),
    "return.created--partial-quantity": (
        ReturnFact(
            occurred_at=utc(2025, 3, 25, 10, 20, 1, ms=167),
            note="Part of the order refunded: 1 × photon-editor-keyed (in part).",
            return_id="juhYW6MwXWElBe15CmHLGA",
            order_id="6XeULywtM4B8vKLPnM0cvA",
            lines=(ReturnedLine(product="photon-editor-keyed", quantity=1, is_full=False, amount=59.0),),
            is_live=False,
        ),
    ),
    # The refund alone: a refund does not cancel the subscription, so nothing else is said of it.
    "return.created--subscription-order": (
        ReturnFact(
            occurred_at=utc(2025, 3, 26, 9, 9, 9, ms=94),
            note="Order refunded: 5 × studio-team-monthly (in full).",
            return_id="-rlubcktHT5NKHEUtZgXdw",
            order_id="byByxZBM5kekTXy2BujqoQ",
            lines=(
                ReturnedLine(
                    product="studio-team-monthly",
                    quantity=5,
                    is_full=True,
                    amount=60.0,
                    subscription_id="kJJAoGBdrrobkbheIgkQ1w",
                ),
            ),
            is_whole_order=True,
        ),
    ),
    "chargeback.created": (
        DisputeFact(
            occurred_at=utc(2025, 5, 9, 17, 0, 4, ms=12),
            note="Chargeback opened by the buyer's bank (reason FRAUDULENT).",
            dispute_id="dsp_6dtaqbtq3cee7fqg3522hjexam",
            order_id="6hUfHRqNUCQlTU8QNbKrcw",
        ),
    ),
    "fulfillment.failed": (
        NoteFact(
            occurred_at=utc(2025, 4, 10, 9, 1, 1, ms=1),
            note="Fulfilment failed in FastSpring: Does not have available licenses: 3, "
            "LicenseDispenser[yoiEYeJ3RnSwTghMu_oDDQ,].",
            kind=PurchaseKind.ORDER,
            purchase_id="fL3xJ8sPScFoCMnM7T9xRg",
            reference="ACM250410-9535-94173",
            attention="FastSpring could not fulfil order ACM250410-9535-94173: Does not have available licenses: 3, "
            "LicenseDispenser[yoiEYeJ3RnSwTghMu_oDDQ,]. The buyer has paid, but no license is issued before FastSpring "
            "completes the order. Correct the fulfilment there and process the order again.",
        ),
    ),
}

IGNORED = {"account.created": (), "account.updated": ()}

EXPECTED: Mapping[str, tuple[PurchaseFact, ...]] = {**ORDERS, **LIFECYCLE, **CHARGES, **REFUNDS, **IGNORED}
