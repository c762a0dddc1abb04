"""Orders in the emulated LicenseSpring API: the only way to licenses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from licensing_integration.sandbox.licensespring_call import Call, find, find_product
from licensing_integration.sandbox.licensespring_customers import customer_of_order
from licensing_integration.sandbox.licensespring_errors import NOT_EMULATED, no_such, refused_order, wrong_field
from licensing_integration.sandbox.licensespring_filters import read_integer
from licensing_integration.sandbox.licensespring_issue import Draft, commit, draft_license
from licensing_integration.sandbox.licensespring_moments import is_order_time
from licensing_integration.sandbox.licensespring_show import show_order
from licensing_integration.sandbox.licensespring_store import (
    COMPANY_ID,
    KEY_ALPHABET,
    OrderRecord,
    ProductRecord,
    new_key,
)
from licensing_integration.sandbox.licensespring_users import ensure_user

KEY_PARAMETERS = ("product", "quantity", "key_length", "alphabet")
_MOST_KEYS = 10_000
_NOT_EMULATED_IN_ITEMS = ("active", "key", "license_policy", "customer_account_id")


def generate_keys(call: Call) -> Any:
    """Strings and nothing more: no license exists, nothing is reserved."""
    short_code = call.parameters.get("product", "")
    if not short_code:
        raise wrong_field("product", "This parameter is required.")
    quantity = _number(call, "quantity", default=1, low=1, high=_MOST_KEYS)
    length = _number(call, "key_length", default=16, low=16, high=240)
    alphabet = call.parameters.get("alphabet", KEY_ALPHABET)
    if len(alphabet) < 2:
        raise wrong_field("alphabet", "At least two characters are required.")
    product = find_product(call, short_code)
    if product is None:
        raise no_such("product")
    if product.is_user_based and call.options.user_product_keys == "refuse":
        raise wrong_field("product", "The product is user-based: its licenses have no keys.")
    return [new_key(length=length, alphabet=alphabet) for _ in range(quantity)]


def create_order(call: Call) -> Any:
    body = call.body
    _check_order(call)
    order = next(iter(call.store.orders.found_by("store_id", body["id"])), None)
    if order is not None and not body.get("append"):
        raise refused_order("order_id_exists", "Order with this ID already exists", status=409)
    drafts: Iterator[Draft] = _drafts(call)
    if call.options.order_is_atomic:
        drafts = iter(list(drafts))
    if order is None:
        order = _new_order(call)
    # Unless orders are atomic, a draft is made when its turn comes: a bad one leaves those before it behind.
    for draft in drafts:
        commit(call, draft, order=order)
    return show_order(call.store, order)


def list_orders(call: Call) -> Any:
    return call.page(call.store.orders, show=partial(show_order, call.store), is_delayed=True)


def get_order(call: Call) -> Any:
    return show_order(call.store, find(call.store.orders, call.id))


def update_order(call: Call) -> Any:
    order, wanted = find(call.store.orders, call.id), call.body["store_id"]
    if any(other is not order for other in call.store.orders.found_by("store_id", wanted)):
        raise refused_order("order_id_exists", "Order with this ID already exists", status=409)
    order.data["store_id"] = wanted
    call.store.touch(order)
    call.store.orders.index(order)
    for record in call.store.licenses.found_by("order", order.id):
        call.store.licenses.index(record)
    return show_order(call.store, order)


def list_managers(call: Call) -> Any:
    """An array; no source shows the form."""
    return [user.data for user in find(call.store.orders, call.id).managers]


def add_manager(call: Call) -> Any:
    order = find(call.store.orders, call.id)
    make_manager(call, order, email=call.body["email"], password=call.body.get("password"))
    return {"message": "Manager added."}


def remove_manager(call: Call) -> Any:
    order = find(call.store.orders, call.id)
    kept = [user for user in order.managers if user.id != call.body["license_user_id"]]
    if len(kept) == len(order.managers):
        raise wrong_field("license_user_id", "This license user does not manage the order.")
    order.managers[:] = kept
    return {"message": "Manager removed."}


def make_manager(call: Call, order: OrderRecord, *, email: str, password: str | None = None, **names: str) -> None:
    """The person becomes manager of every license of the order, those of later additions included."""
    user, _ = ensure_user(call, email=email, password=password, **names)
    user.data["is_manager"] = True
    if user not in order.managers:
        order.managers.append(user)


def _number(call: Call, name: str, *, default: int, low: int, high: int) -> int:
    if name not in call.parameters:
        return default
    try:
        number = read_integer(call.parameters[name])
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise wrong_field(name, f"A whole number between {low} and {high} is required.")
    return number


def _check_order(call: Call) -> None:
    body = call.body
    if len(body["id"]) > call.options.longest_order_id or not body["id"].isascii():
        raise refused_order("validation_error", f"id: at most {call.options.longest_order_id} ASCII characters.")
    if body.get("is_bundle"):
        raise refused_order("validation_error", f"is_bundle: {NOT_EMULATED}")
    if "customer_account_id" in body:
        raise refused_order("customer_account_not_found", "Customer account not found.")
    buyer = body.get("customer", {})
    if buyer.get("is_manager") and "email" not in buyer:
        raise refused_order("missing_parameters", "customer: a manager needs an email.")
    if "created" in body and not is_order_time(body["created"]):
        raise refused_order("validation_error", "created: the form is YYYY-MM-DD HH:MM:SS.")
    if "metadata" in body and not _is_json_object(body["metadata"]):
        raise refused_order("validation_error", "metadata: must be a JSON object as a text.")


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _new_order(call: Call) -> OrderRecord:
    body, head = call.body, call.store.head()
    data = {
        **head,
        "store_id": body["id"],
        "is_test": body.get("is_test", False),
        "type": "normal",
        "reference": body.get("reference"),
        "download_id": body.get("download_id"),
        "language": body.get("language"),
        "campaign_params": body.get("campaign_params"),
        "metadata": body.get("metadata"),
        "company": COMPANY_ID,
    }
    if "created" in body:
        data["created_at"] = f"{body['created'].replace(' ', 'T')}Z"
    order = OrderRecord(data=data, stored_at=call.store.now, customer=customer_of_order(call))
    call.store.orders.add(order)
    if order.customer is not None:
        order.customer.data["total_orders"] += 1
    buyer = body.get("customer") or {}
    if buyer.get("is_manager"):
        names = {name: buyer[name] for name in ("first_name", "last_name") if name in buyer}
        make_manager(call, order, email=buyer["email"], **names)
    return order


def _drafts(call: Call) -> Iterator[Draft]:
    keys: set[str] = set()
    for item in call.body["items"]:
        product = _product(call, item)
        head = {"product": product.id, "product_id": product.id, "note": item.get("note")}
        item_data = {**call.store.head(), **head}
        for wanted in item["licenses"]:
            draft = draft_license(call, item=item, wanted=wanted, product=product, item_data=item_data)
            if draft.key and draft.key in keys and call.options.duplicate_keys == "refuse":
                raise refused_order("validation_error", "key: given twice.")
            keys.add(draft.key)
            yield draft


def _product(call: Call, item: Mapping[str, Any]) -> ProductRecord:
    named = [name for name in _NOT_EMULATED_IN_ITEMS if name in item]
    if named:
        raise refused_order("validation_error", f"{named[0]}: {NOT_EMULATED}")
    if not item.get("licenses"):
        raise refused_order("missing_parameters", "licenses: at least one is needed.")
    product = find_product(call, item["product_code"])
    if product is None:
        raise refused_order("unknown_product", "Product does not exist.")
    if product.data["is_archived"]:
        raise refused_order("archived_product", "Product is archived.")
    if not product.data["active"]:
        raise refused_order("disabled_product", "Product is disabled.")
    return product
