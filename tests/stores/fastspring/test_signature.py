from __future__ import annotations

import pytest

from licensing_integration.exceptions import InvalidSignature
from licensing_integration.stores.base import Delivery, Secret
from licensing_integration.stores.fastspring import ADAPTER

SECRET = Secret("fs-test-secret")
EMPTY = b'{"events":[]}'
EMPTY_SIGNATURE = "wfcu2fgM/DNpwPhI2gGV/MQzZ/A9WkXW9ZC2QWUazvY="
# Raw UTF-8: a no-break space before the euro sign, as FastSpring sends it.
ORDER = (
    b'{"events":[{"id":"e1","processed":false,"created":1738052653763,"type":"order.completed","live":false,'
    b'"data":{"id":"o1","totalDisplay":"28,00\xc2\xa0\xe2\x82\xac"}}]}'
)
ORDER_SIGNATURE = "zy7J8cZcl68ssKtiG9vIitLeOqnW+MwkSBzW4qdGs+M="


def verify(body: bytes, signature: str, *secrets: str) -> None:
    delivery = Delivery(body=body, headers={"content-type": "application/json", "x-fs-signature": signature})
    ADAPTER.verify(delivery, [Secret(secret) for secret in secrets])


@pytest.mark.parametrize(("body", "signature"), [(EMPTY, EMPTY_SIGNATURE), (ORDER, ORDER_SIGNATURE)])
def test_known_answers(body: bytes, signature: str) -> None:
    verify(body, signature, SECRET)


def test_old_and_new_secret_both_count_during_a_rotation() -> None:
    verify(ORDER, ORDER_SIGNATURE, "the-new-one", SECRET)
    verify(ORDER, ORDER_SIGNATURE, SECRET, "the-new-one")


def test_white_space_around_the_header_is_harmless() -> None:
    verify(ORDER, f" {ORDER_SIGNATURE} ", SECRET)


def test_a_signature_is_good_for_its_own_body_only() -> None:
    with pytest.raises(InvalidSignature, match="matches none"):
        verify(EMPTY, ORDER_SIGNATURE, SECRET)


@pytest.mark.parametrize("damage", [str.lower, lambda s: s[:-1], lambda s: s.replace("+", "-").replace("/", "_")])
def test_the_signature_is_compared_to_the_letter(damage: object) -> None:
    with pytest.raises(InvalidSignature, match="matches none"):
        verify(ORDER, damage(ORDER_SIGNATURE), SECRET)  # type: ignore[operator]


def test_a_missing_header_is_explained() -> None:
    with pytest.raises(InvalidSignature, match="X-FS-Signature header is missing"):
        ADAPTER.verify(Delivery(body=ORDER, headers={}), [SECRET])


def test_missing_secrets_are_explained() -> None:
    with pytest.raises(InvalidSignature, match="No FastSpring webhook secret is configured"):
        verify(ORDER, ORDER_SIGNATURE)
