"""An order that LicenseSpring carried out, and whose answer never came: its id finds it again, with its key."""

from __future__ import annotations

import pytest

from tests.faults.lives import deliveries_of, orders
from tests.faults.posting import post
from tests.faults.servers import SPRING
from tests.faults.stack import Stack
from tests.faults.verdict import check, kinds_of

pytestmark = pytest.mark.slow

ISSUE = SPRING.calls["issue"]
LOSSES = (
    {"kind": "commit_then_status", "status": 500},
    {"kind": "commit_then_status", "status": 502, "raw_body": "<html>Bad Gateway</html>"},
    {"kind": "commit_then_drop"},
    {"kind": "commit_then_delay", "seconds": 5.0},  # longer than a worker has for a license
)


def test_an_order_whose_answer_was_lost_is_found_by_its_id(stack: Stack) -> None:
    lives = orders(len(LOSSES), quantity=1, servers=[SPRING])
    for loss in LOSSES:
        stack.spring.faults.add(method=ISSUE.method, path=ISSUE.path, **loss)
    with stack.workers():
        post(stack, *deliveries_of(lives))
        stack.wait_for_quiet()
    check(stack, lives)
    assert stack.spring.protocol.faults.total() == len(LOSSES)
    assert kinds_of(stack).count("license.adopted") == len(LOSSES)


def test_an_order_that_is_not_listed_yet_is_refused_and_waited_for(stack: Stack) -> None:
    """We look too early and find nothing; what keeps the second license from being made is the id of the order."""
    lives = orders(1, quantity=2, servers=[SPRING])
    stack.spring.visibility_delay = 5
    stack.spring.faults.add(kind="commit_then_drop", method=ISSUE.method, path=ISSUE.path, times=2)
    with stack.workers():
        post(stack, *deliveries_of(lives))
        stack.wait_for_quiet()
    check(stack, lives)
    assert 409 in stack.spring.answers(ISSUE)
    assert kinds_of(stack).count("license.adopted") == 2


def test_keys_of_orders_whose_answers_never_came_are_not_taken_for_those_on_the_server(stack: Stack) -> None:
    """Each attempt brings a fresh key; the license keeps the one of the order that was carried out."""
    (life,) = orders(1, quantity=3, servers=[SPRING])
    path = {"method": ISSUE.method, "path": ISSUE.path}
    stack.spring.faults.add(kind="drop", times=3, **path)
    stack.spring.faults.add(kind="commit_then_drop", times=3, **path)
    with stack.workers():
        post(stack, *deliveries_of([life]))
        stack.wait_for_quiet()
    check(stack, [life])
    assert len(stack.spring.answers(SPRING.calls["key"])) >= 6
