"""Every captured FastSpring delivery, by itself, all the way to the license server."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from licensing_integration.models import LicenseLink, Purchase, PurchaseItem, WebhookEvent
from licensing_integration.sandbox.fastspring import sign
from licensing_integration.services.receive import receive
from tests.services.conftest import SECRET
from tests.services.scenario import states

FOLDER = Path(__file__).parent.parent / "stores" / "fastspring" / "fixtures"
APPLIED, IGNORED = "applied", "ignored"


class Expected(NamedTuple):
    """``verdicts``: of the events, as they stand in the delivery. ``licenses``: state and activations of each license
    on the server; where a product does not ask for activations, by quantity or by number, it has its template's single
    one."""

    verdicts: list[str]
    licenses: list[tuple[str, int]]
    statuses: list[str]


def _note(status: str = "unknown") -> Expected:
    """History only; the purchase is known by name."""
    return Expected([APPLIED], [], [status])


def _licensed(count: int, *, status: str = "completed") -> Expected:
    return Expected([APPLIED], [("active", 1)] * count, [status])


def _seats(seats: int, *, state: str = "active", status: str = "active", events: int = 1) -> Expected:
    """One license with as many activations as seats were bought."""
    return Expected([APPLIED] * events, [(state, seats)], [status])


def _waits(status: str = "active") -> Expected:
    """In its first period and without its order: a license comes with that, or in an hour."""
    return Expected([APPLIED], [], [status])


EXPECTED = {
    "account.created": Expected([IGNORED], [], []),
    "account.updated": Expected([IGNORED], [], []),
    "chargeback.created": _note(),
    "fulfillment.failed": _note(),
    "order.canceled--payment-expired": _note("not_paid"),
    "order.completed--batch-with-subscription.activated": _seats(3, events=2),
    "order.completed--bundle": Expected([APPLIED], [("active", 2), ("active", 1)], ["completed"]),
    "order.completed--one-time-qty1": Expected([APPLIED], [("active", 2)], ["completed"]),
    "order.completed--one-time-qty3": _licensed(3),
    "order.completed--subscription-addon": _licensed(2 + 3, status="active"),
    "order.completed--subscription-qty5": _seats(5),
    "order.completed--subscription-trial": _licensed(1, status="trial"),
    "order.completed--subscription-unexpanded": _seats(1),
    "order.payment.pending": _note("pending"),
    "return.created--full-refund": _note(),
    "return.created--partial-quantity": _note(),
    "return.created--subscription-order": _note(),
    "subscription.activated": _waits(),
    "subscription.activated--trial": _waits("trial"),
    "subscription.canceled": _seats(10, status="canceled"),
    "subscription.charge.completed": _seats(8),
    "subscription.charge.completed--proration": _seats(10),
    "subscription.charge.completed--trial-conversion": _licensed(1, status="active"),
    "subscription.charge.completed--unexpanded": _note("active"),  # names neither product nor quantity
    "subscription.charge.failed": _note(),
    "subscription.charge.failed--unexpanded": _note(),
    "subscription.deactivated": _note("ended"),
    "subscription.deactivated--immediate": _note("ended"),
    "subscription.deactivated--unexpanded": _note("ended"),
    "subscription.paused": _seats(10, state="suspended", status="paused", events=2),
    "subscription.payment.overdue": _seats(10, state="suspended", status="overdue"),
    "subscription.payment.reminder": _waits(),
    "subscription.resumed": _seats(10),
    "subscription.trial.reminder": _waits("trial"),
    "subscription.uncanceled": _seats(10),
    "subscription.updated--next-and-end-date": _waits(),
    "subscription.updated--payment-method": _waits(),
    "subscription.updated--quantity-change": _waits(),
}


def test_the_table_names_every_fixture():
    assert set(EXPECTED) == {path.stem for path in FOLDER.glob("*.json")}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_captured_delivery_ends_as_expected(name, work, cryptlex):
    body = (FOLDER / f"{name}.json").read_bytes()
    for _ in range(2):  # the second time it is a redelivery and changes nothing
        receive("fastspring", body=body, headers={"x-fs-signature": sign(body, secret=SECRET)})
        work()
        seen = Expected(
            list(WebhookEvent.objects.order_by("id").values_list("state", flat=True)),
            [(s, x["allowedActivations"]) for s, x in zip(states(cryptlex), cryptlex.licenses, strict=True)],
            list(Purchase.objects.order_by("id").values_list("status", flat=True)),
        )
        assert seen == EXPECTED[name]
    assert not PurchaseItem.objects.exclude(problem="").exists()
    assert set(LicenseLink.objects.values_list("sync_state", flat=True)) <= {"settled"}
    assert {license["userId"] for license in cryptlex.licenses} <= {user["id"] for user in cryptlex.users}
