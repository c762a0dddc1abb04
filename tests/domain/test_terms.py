"""What a product becomes: mapping before attributes before template, and every value knows where it came from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from licensing_integration.domain.outcomes import ExpiryMode, PurchaseKind, QuantityMode
from licensing_integration.domain.resolving import resolve_terms
from licensing_integration.domain.servers import Server, Servers
from licensing_integration.domain.store_attributes import parse_flag
from licensing_integration.domain.terms import MappingTerms, Policies, Terms, resolve_policies
from licensing_integration.exceptions import InvalidTerm, ProductNotMapped

SERVERS = Servers((Server(name="cryptlex", kind="cryptlex"),))
ATTRIBUTES = {"cryptlex_product_id": "attribute-product"}
FULL_ATTRIBUTES = {
    "cryptlex_product_id": "attribute-product",
    "cryptlex_license_template_id": "attribute-template",
    "cryptlex_entitlement_set_id": "attribute-set",
    "cryptlex_max_allowed_release_version": "1.9",
    "cryptlex_license_subscription_interval": "P1M",
    "cryptlex_mappings_quantity": "allowed_activations",
}
FULL_MAPPING = MappingTerms(
    server="eu",
    product_id="mapped-product",
    template_id="mapped-template",
    entitlement_set_id="mapped-set",
    max_release_version="2.0",
    interval="P1Y",
    expiry=ExpiryMode.INTERVAL,
    quantity_mode=QuantityMode.FLOATING,
    activations_per_unit=2,
)
TEXT_FIELDS = ("product_id", "template_id", "entitlement_set_id", "max_release_version", "interval")


def _resolve(
    mapping: MappingTerms | None = None,
    attributes: dict[str, str] | None = None,
    *,
    kind: PurchaseKind = PurchaseKind.SUBSCRIPTION,
) -> Terms:
    terms = resolve_terms(mapping, ATTRIBUTES if attributes is None else attributes, kind=kind, servers=SERVERS)
    assert terms is not None
    return terms


# --- precedence and provenance ---------------------------------------------------------------------------------------


def test_the_mapping_wins_field_by_field_over_the_attributes():
    terms = _resolve(FULL_MAPPING, FULL_ATTRIBUTES)
    assert {name: getattr(terms, name) for name in TEXT_FIELDS} == {
        name: getattr(FULL_MAPPING, name) for name in TEXT_FIELDS
    }
    assert (terms.server, terms.expiry, terms.quantity_mode) == ("eu", ExpiryMode.INTERVAL, QuantityMode.FLOATING)
    assert terms.activations_per_unit == 2
    assert set(terms.origins.values()) == {"product mapping"}


def test_what_the_mapping_leaves_empty_comes_from_the_attributes():
    terms = _resolve(MappingTerms(template_id="mapped-template"), FULL_ATTRIBUTES)
    assert terms.template_id == "mapped-template"
    assert terms.product_id == "attribute-product"
    assert terms.quantity_mode is QuantityMode.ACTIVATIONS
    assert terms.origins == {
        "product_id": "store attribute cryptlex_product_id",
        "template_id": "product mapping",
        "entitlement_set_id": "store attribute cryptlex_entitlement_set_id",
        "max_release_version": "store attribute cryptlex_max_allowed_release_version",
        "interval": "store attribute cryptlex_license_subscription_interval",
        "quantity_mode": "store attribute cryptlex_mappings_quantity",
        "expiry": "default",
        "server": "store attribute cryptlex_product_id",
    }


def test_what_nobody_says_is_left_to_the_template():
    terms = _resolve()
    assert (terms.template_id, terms.interval, terms.entitlement_set_id) == ("", "", "")
    assert terms.origins["template_id"] == "license template"
    assert terms.origins["quantity_mode"] == "default"
    assert terms.server == "cryptlex"


def test_attribute_names_in_capitals_and_padded_values_count():
    assert _resolve(None, {" Cryptlex_Product_ID ": " prod-1 "}).product_id == "prod-1"


@pytest.mark.parametrize("mapping", [None, MappingTerms(), MappingTerms(template_id="t")])
def test_a_product_nobody_maps_is_said_so(mapping):
    with pytest.raises(ProductNotMapped, match="cryptlex_product_id"):
        resolve_terms(mapping, {}, kind=PurchaseKind.ORDER, servers=SERVERS)


def test_no_license_needed_is_a_mapping_too():
    mapping = MappingTerms(is_license_needed=False)
    assert resolve_terms(mapping, FULL_ATTRIBUTES, kind=PurchaseKind.ORDER, servers=SERVERS) is None


# --- bundle markers and flags ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["true", "TRUE", " yes ", "Y", "1", "on"])
def test_a_bundle_marker_gets_no_license_in_any_spelling(spelling):
    attributes = {**ATTRIBUTES, "cryptlex_is_bundle": spelling}
    assert resolve_terms(None, attributes, kind=PurchaseKind.ORDER, servers=SERVERS) is None
    assert parse_flag(spelling) is True


@pytest.mark.parametrize("spelling", ["false", "No", "n", "0", "OFF", "", "  "])
def test_a_product_that_is_no_bundle_gets_one(spelling):
    assert _resolve(None, {**ATTRIBUTES, "cryptlex_is_bundle": spelling}).product_id == "attribute-product"
    assert parse_flag(spelling) is False


def test_a_misspelt_bundle_marker_is_not_guessed_at():
    with pytest.raises(InvalidTerm, match="cryptlex_is_bundle: 'ture' is neither true nor false"):
        _resolve(None, {**ATTRIBUTES, "cryptlex_is_bundle": "ture"})


def test_a_mapping_wins_over_the_bundle_marker():
    assert _resolve(FULL_MAPPING, {"cryptlex_is_bundle": "true"}).product_id == "mapped-product"


# --- single terms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cryptlex_license_subscription_interval", "cryptlex_subscription_interval"])
def test_both_names_of_the_interval_count(name):
    terms = _resolve(None, {**ATTRIBUTES, name: "P1Y"})
    assert (terms.interval, terms.origins["interval"]) == ("P1Y", f"store attribute {name}")


def test_both_names_of_the_interval_may_agree_but_not_contradict_each_other():
    names = ["cryptlex_license_subscription_interval", "cryptlex_subscription_interval"]
    assert _resolve(None, {**ATTRIBUTES, names[0]: "P1M", names[1]: "P1M"}).interval == "P1M"
    with pytest.raises(InvalidTerm, match="contradict"):
        _resolve(None, {**ATTRIBUTES, names[0]: "P1M", names[1]: "P1Y"})


@pytest.mark.parametrize("value", ["P1Y", "P6M", "P2W", "P7D", "PT24H", "P1Y2M3DT4H"])
def test_iso_durations_are_intervals(value):
    assert _resolve(replace(FULL_MAPPING, interval=value)).interval == value


@pytest.mark.parametrize("value", ["month", "1M", "P", "PT", "P1", "p1m", "P-1M", "P1M "])
def test_anything_else_is_no_interval(value):
    with pytest.raises(InvalidTerm, match="product mapping"):
        _resolve(replace(FULL_MAPPING, interval=value))


@pytest.mark.parametrize("value", ["2", "v2.0", "2.x", "2.0.0.0.0", "2."])
def test_a_release_is_written_in_digits(value):
    with pytest.raises(InvalidTerm, match="cryptlex_max_allowed_release_version"):
        _resolve(None, {**ATTRIBUTES, "cryptlex_max_allowed_release_version": value})


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("total_licenses", QuantityMode.PER_UNIT),
        ("Total_Licenses", QuantityMode.PER_UNIT),
        ("allowed_activations", QuantityMode.ACTIVATIONS),
        ("", QuantityMode.PER_UNIT),
    ],
)
def test_quantity_modes_by_attribute(value, mode):
    assert _resolve(None, {**ATTRIBUTES, "cryptlex_mappings_quantity": value}).quantity_mode is mode


def test_a_misspelt_quantity_mode_is_not_guessed_at():
    with pytest.raises(InvalidTerm, match=r"'total-licences'; it must be total_licenses or allowed_activations"):
        _resolve(None, {**ATTRIBUTES, "cryptlex_mappings_quantity": "total-licences"})


# --- expiry ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "wanted", "expiry"),
    [
        (PurchaseKind.SUBSCRIPTION, None, ExpiryMode.PAID_THROUGH),
        (PurchaseKind.SUBSCRIPTION, ExpiryMode.INTERVAL, ExpiryMode.INTERVAL),
        (PurchaseKind.SUBSCRIPTION, ExpiryMode.PERPETUAL, ExpiryMode.PERPETUAL),
        (PurchaseKind.SUBSCRIPTION, ExpiryMode.TEMPLATE, ExpiryMode.TEMPLATE),
        (PurchaseKind.ORDER, None, ExpiryMode.TEMPLATE),
        (PurchaseKind.ORDER, ExpiryMode.PAID_THROUGH, ExpiryMode.TEMPLATE),  # nobody pays for it again
        (PurchaseKind.ORDER, ExpiryMode.INTERVAL, ExpiryMode.TEMPLATE),
        (PurchaseKind.ORDER, ExpiryMode.PERPETUAL, ExpiryMode.PERPETUAL),
    ],
)
def test_expiry_fits_the_kind_of_purchase(kind, wanted, expiry):
    assert _resolve(MappingTerms(expiry=wanted), kind=kind).expiry is expiry


# --- policies --------------------------------------------------------------------------------------------------------


def test_products_mapped_by_attributes_alone_have_the_policies_of_their_store():
    stores_own = Policies(extra_days=3)
    assert resolve_policies(None, defaults=stores_own) == stores_own
    mine = Policies(extra_days=9)
    assert resolve_policies(MappingTerms(policies=mine), defaults=stores_own) == mine
