"""What a customer is told of a license: plain words, a reason, and what to do."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from licensing_integration.domain import planning
from licensing_integration.services import explain
from tests.factories import HistoryEntryFactory, LicenseLinkFactory

pytestmark = pytest.mark.django_db

# Nobody outside knows these.
INTERNAL = ("slot", "mapping", "plan", "policy", "template", "sync", "worker", "server", "webhook", "override", "staff")


def test_a_suspended_license_says_since_when_why_and_what_to_do(settings: Settings) -> None:
    settings.ORDER_PAGE_NAME = "Acme Software"
    link = LicenseLinkFactory(
        state="suspended", desired={"state": "suspended"}, reason="The payment is overdue since 3 March 2026."
    )
    HistoryEntryFactory(link=link, kind="license.issued", at=datetime(2026, 1, 1, tzinfo=UTC))
    HistoryEntryFactory(link=link, kind="license.suspended", at=datetime(2026, 3, 10, tzinfo=UTC))
    HistoryEntryFactory(link=link, kind="license.resync", at=datetime(2026, 4, 1, tzinfo=UTC))
    assert explain.explain(link) == (
        "Hello,\n\n"
        f"this is about your license for Photon Editor (the key that ends in {link.key[-6:]}). It is on hold since "
        "10 March 2026. The reason: the latest payment for your subscription has not arrived. Please pay the open "
        "invoice: the store has sent you an e-mail with a link for that. The license then works again by itself.\n\n"
        "Best regards\nAcme Software"
    )


def test_the_whole_key_is_never_in_it() -> None:
    link = LicenseLinkFactory()
    assert link.key not in explain.explain(link)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"expires_at": datetime(2031, 7, 2, tzinfo=UTC)}, "valid until 2 July 2031"),
        ({}, "does not expire"),
        ({"expires_at": datetime(2020, 7, 2, tzinfo=UTC)}, "ran out on 2 July 2020"),
        (
            {"state": "revoked", "desired": {"state": "revoked"}, "reason": "It was refunded."},
            "no longer valid. The reason: the purchase was refunded",
        ),
        ({"is_new": True}, "being prepared"),
        ({"sync_state": "attention"}, "come back to you"),
        ({"sync_state": "pending"}, "this takes a moment"),
    ],
)  # fmt: skip
def test_every_state_has_its_words(values: dict[str, object], says: str) -> None:
    assert says in explain.explain(LicenseLinkFactory(**values))


def test_a_license_that_ran_out_is_not_explained_by_what_was_paid() -> None:
    told = explain.explain(LicenseLinkFactory(expires_at=datetime(2020, 7, 2, tzinfo=UTC)))
    assert "It ran out on 2 July 2020. You can buy it again at any time in our store. If you have paid" in told
    assert "The reason" not in told


def test_a_license_that_ran_out_while_a_payment_is_missing_is_not_to_be_bought_again() -> None:
    reason = "The payment is overdue since 3 March 2026; usable until 9 March 2026."
    told = explain.explain(LicenseLinkFactory(expires_at=datetime(2026, 3, 4, tzinfo=UTC), reason=reason))
    assert "It ran out on 4 March 2026. The reason: the latest payment" in told
    assert "Please pay the open invoice" in told
    assert "buy it again" not in told


def test_a_license_that_ran_out_is_not_said_to_hold_any_longer() -> None:
    until = timezone.now() + timedelta(days=10)
    link = LicenseLinkFactory(
        override_state="active", override_until=until, expires_at=datetime(2020, 7, 2, tzinfo=UTC)
    )
    assert "This holds until" not in explain.explain(link)


def test_what_fails_for_some_time_takes_no_moment() -> None:
    since = timezone.now() - timedelta(days=2)
    told = explain.explain(LicenseLinkFactory(is_new=True, failing_since=since, failure_mode="config"))
    assert "It takes longer than usual; we are looking into it." in told
    assert "a moment" not in told


@pytest.mark.parametrize("expiry", ["template", "interval", "paid_through"])
def test_a_license_whose_end_is_not_known_yet_is_not_said_to_be_endless(expiry: str) -> None:
    """Such as one that the template ends 30 days after its first activation."""
    link = LicenseLinkFactory()
    link.desired |= {"expiry": expiry, "valid_duration": "30d"}
    assert "It works. The reason" in explain.explain(link)


def test_what_somebody_changed_on_the_server_is_not_explained_by_the_purchase() -> None:
    """Nothing here suspended it: the reason tells why it should be active."""
    link = LicenseLinkFactory(state="suspended", desired={"state": "active"}, reason="The order is paid.")
    HistoryEntryFactory(link=link, kind="license.issued", at=datetime(2026, 1, 1, tzinfo=UTC))
    HistoryEntryFactory(link=link, kind="license.observed", at=datetime(2026, 2, 1, tzinfo=UTC))
    told = explain.explain(link)
    assert "on hold since 1 February 2026. That should not be so." in told
    assert "paid" not in told


def test_a_server_with_one_kind_of_off_was_changed_by_nobody() -> None:
    link = LicenseLinkFactory(state="suspended", desired={"state": "revoked"}, reason="It was refunded.")
    assert explain.state_wanted_instead(link) == ""
    assert "the purchase was refunded" in explain.explain(link)


def test_a_decision_of_ours_says_until_when() -> None:
    until = timezone.now() + timedelta(days=10)
    link = LicenseLinkFactory(override_state="active", override_until=until, reason="Set by staff until 1 May 2031.")
    told = explain.explain(link)
    assert "we have arranged it so for you" in told
    assert "This holds until" in told


def test_a_decision_of_ours_that_has_run_out_does_not_hold_any_more() -> None:
    until = timezone.now() - timedelta(days=1)
    assert "This holds until" not in explain.explain(LicenseLinkFactory(override_state="active", override_until=until))


def test_every_reason_that_planning_gives_is_known() -> None:
    source = Path(planning.__file__).read_text(encoding="utf-8")
    tree = ast.parse(source)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    nodes = [node for node in ast.walk(tree) if id(node) not in documentation]
    reasons = {_beginning(node) for node in nodes if _is_reason(node)}
    assert len(reasons) > 15
    assert {reason for reason in reasons if explain.cause_of(reason) == explain.Cause()} == set()


def _is_reason(node: ast.AST) -> bool:
    """A sentence, or how one begins; the one question that planning asks is for staff."""
    text = _beginning(node)
    return len(text) > 4 and text[0].isupper() and "Decide" not in text


def _beginning(node: ast.AST) -> str:
    match node:
        case ast.JoinedStr(values=[ast.Constant(value=str() as text), *_]) | ast.Constant(value=str() as text):
            return text
        case _:
            return ""


def test_no_word_of_ours_is_in_any_of_them() -> None:
    told = [f"{cause.why} {cause.what_to_do}".lower() for cause in explain.CAUSES.values()]
    assert [(word, text) for word in INTERNAL for text in told if word in text] == []


def test_of_two_reasons_that_begin_alike_the_longer_counts() -> None:
    left = explain.cause_of("The subscription has ended; the policy says to let the license run out.")
    assert "works until" in left.why
    assert explain.cause_of("Something nobody foresaw.") == explain.Cause()


_ACTIVE_UNTIL_MAY = {"state": "active", "expiry": "paid_through", "expires_at": "2031-05-01T00:00:00+00:00"}


@pytest.mark.parametrize(
    ("desired", "expires_at", "ends"),
    [
        (_ACTIVE_UNTIL_MAY, None, datetime(2031, 5, 1, tzinfo=UTC)),
        ({"state": "active", "expiry": "template"}, datetime(2031, 4, 1, tzinfo=UTC), datetime(2031, 4, 1, tzinfo=UTC)),
        ({"state": "active", "expiry": "template"}, datetime(2041, 4, 1, tzinfo=UTC), None),
        ({"state": "active", "expiry": "perpetual"}, datetime(2031, 4, 1, tzinfo=UTC), None),
        ({**_ACTIVE_UNTIL_MAY, "state": "suspended"}, None, None),
    ],
)
def test_a_license_that_ends_before_its_override_does_not_hold_so_long(
    desired: dict[str, str], expires_at: datetime | None, ends: datetime | None
) -> None:
    until = datetime(2040, 1, 1, tzinfo=UTC)
    link = LicenseLinkFactory(desired=desired, expires_at=expires_at, override_until=until, override_state="active")
    assert explain.end_before(link, until) == ends
    if desired["state"] == "active":
        assert ("This holds until 1 January 2040." in explain.explain(link)) is (ends is None)


def test_why_it_should_be_is_no_reason_for_a_license_that_could_not_be_made() -> None:
    link = LicenseLinkFactory(is_new=True, sync_state="attention", failure_mode="permanent")
    told = explain.explain(link)
    assert "The reason" not in told
    assert "We are looking into it" in told
