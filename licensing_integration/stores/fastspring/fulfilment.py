"""FastSpring asks for the license keys of an order it is about to complete, and shows the answer to the buyer.

The product's fulfilment "Generate a License", generator "Remote Server Request"; ``order.completed`` comes only after
it. What is sent is set up there: https://developer.fastspring.com/docs/license-key-fulfillments.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from licensing_integration.domain.facts import Customer, ItemFact, PreparationFact, PurchaseFact
from licensing_integration.exceptions import MalformedPayload
from licensing_integration.stores.base import FulfilmentRequest, KeyRequest, RawEvent, Secret
from licensing_integration.stores.fastspring import notes
from licensing_integration.stores.fastspring.request_hash import verified_parameters
from licensing_integration.stores.fastspring.shapes import MAX_EMAIL, is_live, read_head
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.storable import storable

EVENT_TYPE: Final = "fulfilment.requested"
TEST: Final = "test"
SEQUENCE: Final = "sequence"  # number of the subscription's period

# What FastSpring sends by itself; every other parameter is one the merchant has typed in. Names of the Classic platform
# for the same things are among them.
BUILT_IN: Final = frozenset(
    {
        *("name", "email", "company", "product", "internalProductName", "quantity", "reference", "referrer"),
        *("subscription", "subscriptionReference", SEQUENCE, "periods", "tags", TEST),
    }
)
SINGLE_LICENSE: Final = "single_license"
OUTPUT: Final = "output"
# By the names of FastSpring's output formats. Where the keys of a multi-line format end is nowhere told; ours have no
# line breaks, so both quantity based formats get a line for each.
_SINGLE, _LINES = "single", "lines"
_OUTPUTS: Final = {"": _LINES, "lines": _LINES, "single-line": _LINES, "multi-line": _LINES, "single": _SINGLE}


def read_fulfilment(request: FulfilmentRequest, keys: Sequence[Secret], *, received_at: datetime) -> KeyRequest:
    """What is asked for, once one of the private ``keys`` proves that FastSpring asks."""
    parameters = verified_parameters(request, keys)
    document = storable(_document(parameters, received_at=received_at))
    data = Payload(document).require("data")
    reference, product, subscription_id = _reference(data), _product(data), _subscription(data)
    quantity, is_single = _quantity(data), _is_single(data)
    _check_rebill(data)
    is_test = not is_live(Payload(document))
    # The merchant's own pairs are among it, so that a corrected one makes another event. The buyer's data are not.
    name = json.dumps([reference, product, subscription_id, quantity, is_test, sorted(_attributes(data).items())])
    event = RawEvent(
        external_id=f"fulfilment:{hashlib.sha256(name.encode()).hexdigest()}",
        event_type=EVENT_TYPE,
        occurred_at=received_at,
        is_live=not is_test,
        body=json.dumps(document, ensure_ascii=False),
    )
    return KeyRequest(
        event=event,
        reference=reference,
        product=product,
        quantity=quantity,
        subscription_id=subscription_id,
        write=partial(write_keys, quantity=quantity, is_single=is_single),
    )


def write_keys(keys: Sequence[str], *, is_per_unit: bool, quantity: int, is_single: bool) -> str:
    """The answer: a key per line and no line more. One license may stand for all units where the product says so; a
    part of them never does."""
    if len(keys) != (quantity if is_per_unit else 1) or (is_single and len(keys) > 1):
        wanted = "one key was" if is_single else f"{quantity} keys were"
        found = "is 1 license" if len(keys) == 1 else f"are {len(keys)} licenses"
        raise MalformedPayload(
            "quantity",
            f"{wanted} asked for, but there {found}. Let the quantity mode of the product "
            "mapping and the output format of the fulfilment in FastSpring say the same",
        )
    return "\n".join(keys)


def translate_fulfilment_requested(event: Payload) -> tuple[PurchaseFact, ...]:
    head, data = read_head(event), event.require("data")
    product, quantity = _product(data), _quantity(data)
    fact = PreparationFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=notes.keys_requested(product, quantity=quantity),
        reference=_reference(data),
        subscription_id=_subscription(data),
        item=ItemFact(line=product, product=product, quantity=quantity, attributes=_attributes(data)),
        customer=_customer(data),
    )
    return (fact,)


def _document(parameters: Mapping[str, str], *, received_at: datetime) -> dict[str, object]:
    """The request as an event."""
    return {
        "type": EVENT_TYPE,
        "live": not _is_test(parameters),
        "created": int(received_at.timestamp() * 1000),
        "data": dict(parameters),
    }


def _is_test(parameters: Mapping[str, str]) -> bool:
    """``test`` is missing, empty or false where the order is live. What is neither must not be taken for money."""
    return bool(parameters.get(TEST, "").strip()) and Payload(dict(parameters), path="data").boolean(TEST)


def _check_rebill(data: Payload) -> None:
    """A renewal asks again, under another reference. Only the subscription's id tells whose licenses it is about;
    without it there would be a new license every period."""
    if _subscription(data) or not data.text(SEQUENCE, default="").strip():
        return
    if data.integer(SEQUENCE) > 1:
        raise data.require(SEQUENCE).malformed(
            "a renewal that names no subscription. Set the Fulfillment Applicability of the product's fulfilment in "
            "FastSpring to Non-Rebills / First Orders Only, or let it send the parameter subscription as well"
        )


def _first(data: Payload, *names: str) -> str:
    """The first of these parameters that is filled in: an id never blank, never long."""
    name = next((name for name in names if data.text(name, default="").strip()), names[0])
    return data.identifier(name)


def _reference(data: Payload) -> str:
    return _first(data, "reference")


def _product(data: Payload) -> str:
    return _first(data, "product", "internalProductName")


def _subscription(data: Payload) -> str:
    names = ("subscription", "subscriptionReference")
    return _first(data, *names) if any(data.text(name, default="").strip() for name in names) else ""


def _quantity(data: Payload) -> int:
    return data.integer("quantity", minimum=1)


def _is_single(data: Payload) -> bool:
    asked = data.text(OUTPUT, default="").strip().lower()
    if asked not in _OUTPUTS:
        raise data.require(OUTPUT).malformed("none of lines, multi-line and single")
    if _OUTPUTS[asked] == _SINGLE:
        return True
    return bool(data.text(SINGLE_LICENSE, default="").strip()) and data.boolean(SINGLE_LICENSE)


def _attributes(data: Payload) -> Mapping[str, str]:
    """What the merchant has typed in, as if it stood on the product."""
    own = {*BUILT_IN, OUTPUT}
    typed_in = {name: value.as_json_text() for name, value in data.mapping.items() if name not in own}
    return {**typed_in, SINGLE_LICENSE: "true"} if _is_single(data) else typed_in


def _customer(data: Payload) -> Customer | None:
    """The buyer, as far as the merchant has it sent."""
    email = data.text("email", default="").strip().lower()
    first, _, last = data.text("name", default="").strip().rpartition(" ")
    customer = Customer(
        email=email if len(email) <= MAX_EMAIL else "",
        first_name=first or last,
        last_name=last if first else "",
        company=data.text("company", default="").strip(),
    )
    return customer if customer != Customer() else None
