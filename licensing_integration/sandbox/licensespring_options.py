"""How the emulated LicenseSpring service behaves where its documentation is silent, contradictory or unclear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(kw_only=True)
class LicenseSpringOptions:
    """Each default is the better supported of the possible behaviours, or the one that is worse for a client.

    Access and limits
        ``bad_key_status``: 401 or 403. ``rate_limit``: requests per rolling window in seconds for the whole account,
        ``None`` = no limit; the plans have 600 to 2,400 per 60. ``flood_guards``: also 200 requests per 10 seconds and
        address, and 50 per second and key. ``throttle_status``: 429, or 403 with the same text.
        ``missing_slash``: what a path without its last slash gets, whatever the method.
    Requests
        ``unknown_members`` / ``unknown_filters``: ``refuse`` finds a client's mistakes; ``ignore`` is what the service
        probably does, and an ignored filter returns everything. ``ignored_filters``: documented filters that are
        ignored all the same; the spelling of ``subscription_id`` is not certain. ``loose_filters``: exact filters
        that find what merely contains the text, in any case. ``default_order``: without ``order_by``.
        ``page_cap``: a higher ``limit`` is cut silently. ``next_origin``: in place of the own address in ``next``.
    Errors and answers
        ``order_error_shape``: the body of what ``create_order`` refuses. ``order_status``: 200 or 201.
        ``order_id_name``: under which name an order shows the client's id. ``order_items_name``: its items.
        ``expiry_shown``: form of ``validity_period`` in answers. ``is_status_capitalised``: ``Active``, not ``active``.
        ``unlimited_shown``: whether a license tells that its activations are unlimited.
    Orders
        ``order_is_atomic``: whether one bad license undoes the order. ``longest_order_id``: characters.
        ``customer_match``: when an order's customer is one that exists; ``customer_overwritten``: whether its names
        then become those of the order. ``users_required``: a user-based license needs a user.
        ``user_product_keys``: whether keys are handed out for user-based products. ``duplicate_keys``: a key in use.
        ``trial_needs_product``: trials only where the product allows them. ``floating_above_activations``: more
        simultaneous users than activations. ``subscription_id_kept``: whether the item's id reaches its licenses.
        ``unknown_custom_fields``: a name the product does not have. ``features_by_default``: of a license for which
        none are named. ``expiry_lost``: new licenses show ``0000-00-00``, a defect the vendor has had.
    Licenses
        ``below_usage``: limits under what is in use. ``metadata_patch``: by key or as a whole.
        ``enabled_patched``: whether PATCH can do what enable and disable do. ``omitted_consumptions``: what a metered
        feature that stays has used. ``bulk_is_atomic``: whether one bad entry undoes a bulk update.
        ``assign_twice_status``: 200 = nothing happens. ``duplicate_customers``: a second one with the same address.
    """

    bad_key_status: int = 403
    rate_limit: tuple[int, float] | None = None
    flood_guards: bool = False
    throttle_status: int = 429
    retry_after_sent: bool = False
    missing_slash: Literal["redirect", "not_found"] = "redirect"

    unknown_members: Literal["refuse", "ignore"] = "refuse"
    unknown_filters: Literal["refuse", "ignore"] = "refuse"
    ignored_filters: tuple[str, ...] = ("subscription_id",)
    loose_filters: tuple[str, ...] = ()
    default_order: Literal["unstable", "newest_first", "oldest_first"] = "unstable"
    page_cap: int = 100
    next_origin: str = ""

    order_error_shape: Literal["code", "detail", "errors", "fields"] = "code"
    order_status: int = 200
    order_id_name: Literal["client_order_id", "store_id", "both"] = "client_order_id"
    order_items_name: Literal["order_items", "back_office_order_items"] = "order_items"
    expiry_shown: Literal["datetime", "date"] = "datetime"
    is_status_capitalised: bool = True
    unlimited_shown: bool = False

    order_is_atomic: bool = False
    longest_order_id: int = 64
    customer_match: Literal["never", "email", "email_and_reference"] = "never"
    customer_overwritten: bool = False
    users_required: bool = True
    user_product_keys: Literal["refuse", "allow"] = "refuse"
    duplicate_keys: Literal["refuse", "allow"] = "refuse"
    trial_needs_product: bool = True
    floating_above_activations: Literal["refuse", "allow"] = "refuse"
    subscription_id_kept: bool = True
    unknown_custom_fields: Literal["refuse", "ignore"] = "refuse"
    features_by_default: Literal["none", "all"] = "none"
    expiry_lost: bool = False

    below_usage: Literal["refuse", "allow"] = "refuse"
    metadata_patch: Literal["replace", "merge"] = "replace"
    enabled_patched: bool = False
    omitted_consumptions: Literal["reset", "keep"] = "reset"
    bulk_is_atomic: bool = False
    assign_twice_status: int = 400
    duplicate_customers: Literal["allow", "refuse"] = "allow"

    accept_any_product: bool = False
