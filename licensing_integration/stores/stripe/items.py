"""What was bought: the lines of a Checkout session, the items of a subscription, the lines of an invoice.

Metadata that describes a license may stand on the purchase, on a line, on its price or on its product. The first of
these that has any counts, and all its pairs come from there, so that two half descriptions are never mixed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from licensing_integration.domain.facts import ItemFact
from licensing_integration.domain.purchases import MAIN_LINE
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe.shapes import (
    expanded,
    in_major_units,
    item_of_line,
    price_object,
    price_of,
    product_of,
    read_amount,
    read_currency,
)

# Of metadata keys that describe a license, in lower case; the second names the product in LicenseSpring's guide.
PREFIXES: Final = ("cryptlex_", "product_short_code")

Metadata = Mapping[str, str]


def pick_attributes(*sources: Metadata) -> Metadata:
    """The first of ``sources`` that describes a license, else nothing."""
    return next((pairs for pairs in sources if any(map(_describes_license, pairs))), {})


def _describes_license(key: str) -> bool:
    return key.strip().lower().startswith(PREFIXES)


def guess_item(metadata: Metadata, *, order_id: str, lines: Sequence[Payload] = ()) -> ItemFact:
    """A purchase whose lines are unknown here: what its own metadata says, and of a single line what that says."""
    attributes = pick_attributes(metadata)
    if len(lines) != 1:
        return ItemFact(line=MAIN_LINE, product="", quantity=1, attributes=attributes, order_id=order_id)
    (line,) = lines
    return ItemFact(
        line=MAIN_LINE,
        product=product_of(line),
        variant=price_of(line),
        quantity=_read_quantity(line),
        display=_read_display(line),
        attributes=attributes,
        order_id=order_id,
    )


def read_one_time_items(
    lines: Iterable[Payload], *, order_id: str, purchase: Sequence[Metadata] = ()
) -> tuple[ItemFact, ...]:
    """One-time lines of a session or an invoice, named by price and sorted by name.

    A session and its invoice need not list their lines alike, so several lines of one price are told apart by quantity.
    """
    named = sorted(((_base_name(line), line) for line in lines), key=lambda pair: (pair[0], -_read_quantity(pair[1])))
    seen: Counter[str] = Counter()
    items = []
    for name, line in named:
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name}#{seen[name]}"
        items.append((unique, line))
    return _items(items, order_id=order_id, purchase=purchase)


def read_subscription_items(
    lines: Iterable[Payload], *, order_id: str = "", purchase: Sequence[Metadata] = ()
) -> tuple[ItemFact, ...]:
    """Items of a subscription, from itself (``si_…``) or from the invoice lines that charge for them, sorted by name.

    An item may be charged for on several lines: those that end last say how it is now, and steps of one price (tiers)
    for the same period add up.
    """
    latest: dict[str, list[Payload]] = {}
    for line in sorted(lines, key=_end_of):
        name = subscription_line(line)
        same_end = [other for other in latest.get(name, ()) if _end_of(other) == _end_of(line)]
        latest[name] = [*same_end, line]
    items = _items([(name, found[-1]) for name, found in latest.items()], order_id=order_id, purchase=purchase)
    return tuple(replace(item, quantity=sum(map(_read_quantity, latest[item.line]))) for item in items)


def subscription_line(line: Payload) -> str:
    """The name of a subscription's item: its id. Versions too old to tell it know one item per subscription."""
    is_item = line.text("object", default="") == "subscription_item"
    return (line.identifier("id") if is_item else item_of_line(line)) or MAIN_LINE


def _end_of(line: Payload) -> int:
    period = expanded(line, "period")
    return period.integer("end", default=0) if period is not None else 0


def _base_name(line: Payload) -> str:
    return price_of(line) or product_of(line) or line.identifier("id")


def _items(
    lines: Iterable[tuple[str, Payload]], *, order_id: str, purchase: Sequence[Metadata]
) -> tuple[ItemFact, ...]:
    """``purchase``: metadata of the purchase as a whole. It belongs to the first line by name."""
    named = sorted(lines, key=lambda pair: pair[0])
    return tuple(
        _item(line, name=name, order_id=order_id, purchase=() if index else purchase)
        for index, (name, line) in enumerate(named)
    )


def _item(line: Payload, *, name: str, order_id: str, purchase: Sequence[Metadata]) -> ItemFact:
    return ItemFact(
        line=name,
        product=product_of(line),
        variant=price_of(line),
        quantity=_read_quantity(line),
        is_metered=_is_metered(line),
        display=_read_display(line),
        attributes=pick_attributes(*purchase, *_own_metadata(line)),
        order_id=order_id,
        subtotal=_read_paid(line),
    )


def _read_quantity(line: Payload) -> int:
    """One where there is none: metered items are counted afterwards."""
    return line.integer("quantity", default=1, minimum=0)


def _is_metered(line: Payload) -> bool:
    """Only where the whole price is there: in a subscription, not on an invoice's line."""
    price = price_object(line)
    recurring = expanded(price, "recurring") if price is not None else None
    return recurring is not None and recurring.text("usage_type", default="") == "metered"


def _own_metadata(line: Payload) -> tuple[Metadata, ...]:
    """Of the line, its price and its product, as far as they are there."""
    price = _whole_price(line)
    product = expanded(price, "product") if price is not None else None
    return tuple(thing.strings("metadata") for thing in (line, price, product) if thing is not None)


def _whole_price(line: Payload) -> Payload | None:
    """An invoice line since basil names its price by id only; ``enrich`` may have fetched it."""
    return line.fetched("prices", price_of(line)) or price_object(line)


def _read_display(line: Payload) -> str:
    """The product's name; sessions and one-time invoice lines repeat it as their description."""
    price = _whole_price(line)
    product = expanded(price, "product") if price is not None else None
    name = product.text("name", default="") if product is not None else ""
    is_recurring = bool(item_of_line(line))  # whose description is a sentence with quantity, price and period
    return name or ("" if is_recurring else line.text("description", default="")).strip()


def _read_paid(line: Payload) -> float | None:
    """What was paid for a line, so with its discounts and taxes; ``None`` for an item of a subscription."""
    if line.has("amount_total"):
        return read_amount(line, "amount_total")
    amount = line.amount("amount", default=None)
    if amount is None or not line.has("currency"):
        return None
    discounts = sum(entry.amount("amount", default=0) for entry in line.items("discount_amounts"))
    taxes = sum(entry.amount("amount", default=0) for entry in line.items("taxes") if _is_on_top(entry))
    taxes += sum(entry.amount("amount", default=0) for entry in line.items("tax_amounts") if _is_on_top(entry))
    return in_major_units(amount - discounts + taxes, read_currency(line))


def _is_on_top(tax: Payload) -> bool:
    """Whether a tax is not part of the price already; before basil that was ``inclusive: false``."""
    if tax.has("inclusive"):
        return not tax.boolean("inclusive")
    return tax.text("tax_behavior", default="") == "exclusive"
