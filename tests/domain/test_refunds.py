"""How much of what pays for a purchase went back, told in a word."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.domain.refunds import RefundedPart, refunded_part
from tests.domain.samples import bought, charged, folded, given_back, line, ordered, returned

NOTHING, PART, ALL = RefundedPart.NOTHING, RefundedPart.PART, RefundedPart.ALL
PRICED = line(quantity=2, subtotal=20.0)


@pytest.mark.parametrize(
    ("refund", "part"),
    [
        (returned(5, given_back(quantity=1)), PART),
        (returned(5, given_back(quantity=2)), ALL),
        (returned(5, is_whole_order=True), ALL),
        (returned(5, given_back(quantity=1, amount=3.0)), PART),  # goodwill, which takes no unit back
        (replace(returned(5), amount=3.0), PART),
        (replace(returned(5), amount=20.0), ALL),
        (replace(returned(5), amount=20.0, has_failed=True), NOTHING),
        (returned(5, given_back("another")), NOTHING),
        (returned(5, given_back(quantity=1, subscription_id="sub-2")), NOTHING),
    ],
)
def test_an_order_is_refunded_in_part_or_as_a_whole(refund, part):
    assert refunded_part(folded(ordered(PRICED), refund)) is part


def test_a_line_of_nothing_keeps_no_refund_from_being_whole():
    order = ordered(PRICED, line("audio", quantity=0))
    assert refunded_part(folded(order, returned(5, is_whole_order=True))) is ALL


def test_orders_of_very_many_lines_are_judged_at_once():
    order = ordered(*(line(f"product-{number}") for number in range(800)))
    began = time.process_time()
    assert refunded_part(folded(order)) is NOTHING
    assert refunded_part(folded(order, returned(5, given_back("product-7")))) is PART
    assert time.process_time() - began < 5


def test_one_product_of_two_is_a_part():
    order = ordered(line(), line("audio"))
    assert refunded_part(folded(order)) is NOTHING
    assert refunded_part(folded(order, returned(5, given_back("audio", is_full=True)))) is PART


def test_of_a_subscription_the_current_period_counts():
    first = returned(5, is_whole_order=True)
    assert refunded_part(folded(bought(), first)) is ALL
    assert refunded_part(folded(bought(), first, charged(30, 2))) is NOTHING


def test_nothing_went_back_of_what_nobody_has_told_yet():
    assert refunded_part(folded(returned(5, is_whole_order=True), kind=PurchaseKind.ORDER)) is NOTHING
