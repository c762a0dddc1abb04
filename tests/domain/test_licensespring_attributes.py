"""Every custom attribute of LicenseSpring's FastSpring guide: what it does, what it refuses, and who wins over it."""

from __future__ import annotations

from typing import Any

import pytest

from licensing_integration.domain.outcomes import (
    ExpiryMode,
    LicenseType,
    PolicyPreset,
    PurchaseKind,
    QuantityMode,
)
from licensing_integration.domain.resolving import resolve_terms
from licensing_integration.domain.servers import Server, Servers
from licensing_integration.domain.terms import MappingTerms, Terms
from licensing_integration.exceptions import InvalidTerm
from licensing_integration.license_servers.base import SLOT_METADATA_KEY
from licensing_integration.license_servers.cryptlex.values import TRIAL_KEY
from licensing_integration.stores.registry import adapter_choices, get_adapter

SPRING = Server(name="spring", kind="licensespring")
CRYPTLEX = Server(name="lex", kind="cryptlex")
BOTH = Servers((CRYPTLEX, SPRING))
BASE = {"uuid": "account-1", "product_short_code": "photon"}


def _resolve(
    mapping: MappingTerms | None = None,
    *,
    kind: PurchaseKind = PurchaseKind.ORDER,
    servers: Servers = BOTH,
    **attributes: str,
) -> Terms:
    terms = resolve_terms(mapping, {**BASE, **attributes}, kind=kind, servers=servers)
    assert terms is not None
    return terms


def _refusal(mapping: MappingTerms | None = None, **attributes: str) -> str:
    with pytest.raises(InvalidTerm) as refusal:
        _resolve(mapping, **attributes)
    return str(refusal.value)


# --- single attributes -----------------------------------------------------------------------------------------------

ROWS: list[tuple[str, str, str, Any]] = [
    ("max_activations", "5", "max_activations", 5),
    ("floating_cloud", "8", "floating_cloud", 8),
    ("license_type", "Time-Limited", "license_type", LicenseType.TIME_LIMITED),
    ("license_type", "perpetual", "license_type", LicenseType.PERPETUAL),
    ("license_type", "subscription", "license_type", LicenseType.SUBSCRIPTION),
    ("license_type", "consumption", "license_type", LicenseType.CONSUMPTION),
    ("valid_duration", "30d", "valid_duration", "30d"),
    ("valid_duration", "2W", "valid_duration", "2w"),
    ("valid_duration", "6m", "valid_duration", "6m"),
    ("valid_duration", "00001d", "valid_duration", "1d"),
    ("maintenance_duration", "010W", "maintenance_duration", "10w"),
    ("maintenance_duration", "1y", "maintenance_duration", "1y"),
    ("enable_maintenance_duration", "TRUE", "is_maintained", True),
    ("enable_maintenance_duration", "false", "is_maintained", False),
    ("max_consumptions", "1000", "max_consumptions", 1000),
    ("is_license_manager", "true", "is_customer_manager", True),
    ("assign_customer_as_user", "true", "is_customer_user", True),
    ("grace_period", "48", "grace_hours", 48),
    ("grace_period", "0", "grace_hours", 0),
    ("grace_period", "876000", "grace_hours", 876_000),
]


@pytest.mark.parametrize(("attribute", "value", "field", "result"), ROWS)
def test_an_attribute_becomes_a_term_and_says_where_it_came_from(attribute, value, field, result):
    terms = _resolve(None, **{attribute.upper(): f" {value} "})
    assert getattr(terms, field) == result
    assert terms.origins[field] == f"store attribute {attribute}"


@pytest.mark.parametrize("field", sorted({field for _, _, field, _ in ROWS}))
def test_what_nobody_says_is_left_to_the_license_server(field):
    terms = _resolve()
    assert getattr(terms, field) in (None, "")
    assert field not in terms.origins


@pytest.mark.parametrize(
    ("attribute", "value", "allowed"),
    [
        ("max_activations", "five", "a whole number above zero"),
        ("max_activations", "0", "a whole number above zero"),
        ("max_activations", "-1", "a whole number above zero"),
        ("max_activations", "2.0", "a whole number above zero"),
        ("max_activations", "99999999999", "a whole number above zero"),
        ("floating_cloud", "true", "a whole number above zero"),
        ("license_type", "eternal", "one of perpetual, time-limited, subscription, consumption"),
        ("valid_duration", "30", "a number above zero and d, w, m or y"),
        ("valid_duration", "0d", "a number above zero and d, w, m or y"),
        ("valid_duration", "P30D", "a number above zero and d, w, m or y"),
        ("maintenance_duration", "1 y", "a number above zero and d, w, m or y"),
        ("enable_maintenance_duration", "yes", "true or false"),
        ("max_consumptions", "1,000", "a whole number above zero"),
        ("is_license_manager", "1", "true or false"),
        ("assign_customer_as_user", "maybe", "true or false"),
        ("grace_period", "2d", "a whole number of hours"),
        ("grace_period", "-5", "a whole number of hours"),
        ("grace_period", "876001", "a whole number of hours, in digits, of at most 876000 (100 years)"),
        ("single_license", "ja", "true or false"),
        ("floating_users_from_quantity", "x", "true or false"),
    ],
)
def test_a_value_that_means_nothing_is_reported_with_its_name_and_what_is_allowed(attribute, value, allowed):
    sentence = _refusal(None, **{attribute: value})
    assert sentence.startswith(f"Store attribute {attribute} is '{value}'; it must be {allowed}")


def test_a_long_value_is_cut_in_the_message():
    assert f"'{'x' * 40}'" in _refusal(None, license_type="x" * 200)


def test_an_empty_value_is_none():
    assert _resolve(None, max_activations=" ", custom_field_Seats="").custom_fields == {}


def test_one_attribute_twice_in_different_capitals_must_say_the_same():
    assert _resolve(None, MAX_activations="3", max_activations="3").max_activations == 3
    assert "max_activations is there twice" in _refusal(None, MAX_activations="3", max_activations="4")


# --- custom fields ---------------------------------------------------------------------------------------------------


def test_custom_fields_keep_the_capitals_of_their_names_and_the_mapping_wins_name_by_name():
    mapping = MappingTerms(server="spring", custom_fields={"Color": "red"})
    terms = _resolve(mapping, Custom_Field_Seats="5", custom_field_Color="blue")
    assert terms.custom_fields == {"Seats": "5", "Color": "red"}
    assert terms.origins["custom field Seats"] == "store attribute custom_field_Seats"
    assert terms.origins["custom field Color"] == "product mapping"


def test_a_custom_field_must_have_a_plain_name():
    assert "must have a plain name" in _refusal(None, **{"custom_field_" + "x" * 300: "1"})


def _written_by_ours() -> list[str]:
    adapters = [get_adapter(slug) for slug, _ in adapter_choices()]
    ids = [written for adapter in adapters for written, *_ in adapter.reference_keys.values()]
    return [SLOT_METADATA_KEY, TRIAL_KEY.upper(), *ids, *(f"{adapter.slug}_driver" for adapter in adapters)]


@pytest.mark.parametrize("name", _written_by_ours())
def test_a_custom_field_cannot_have_the_name_of_what_licenses_are_found_by(name):
    told = f"The custom field {name} of the "
    assert told + f"store attribute custom_field_{name} has" in _refusal(None, **{f"custom_field_{name}": "1"})
    assert told + "product mapping has" in _refusal(MappingTerms(server="spring", custom_fields={name: "1"}))


# --- quantity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "mode", "origin"),
    [
        ({}, QuantityMode.PER_UNIT, "default"),
        ({"single_license": "false"}, QuantityMode.PER_UNIT, "default"),
        ({"single_license": "true"}, QuantityMode.ACTIVATIONS, "store attribute single_license"),
        ({"single_license": "true", "floating_cloud": "3"}, QuantityMode.ACTIVATIONS, "store attribute single_license"),
        (
            {"single_license": "true", "floating_cloud": "1", "floating_users_from_quantity": "true"},
            QuantityMode.FLOATING,
            "store attribute floating_users_from_quantity",
        ),
        (
            {"single_license": "true", "floating_cloud": "1", "floating_users_from_quantity": "false"},
            QuantityMode.ACTIVATIONS,
            "store attribute single_license",
        ),
    ],
)
def test_what_a_quantity_becomes(attributes, mode, origin):
    terms = _resolve(None, **attributes)
    assert (terms.quantity_mode, terms.origins["quantity_mode"]) == (mode, origin)


@pytest.mark.parametrize(
    ("attributes", "missing"),
    [
        ({}, "needs floating_cloud = 1 and single_license = true as well"),
        ({"floating_cloud": "1"}, "needs single_license = true as well"),
        ({"single_license": "true"}, "needs floating_cloud = 1 as well"),
    ],
)
def test_seats_by_quantity_need_a_floating_license_for_all_units(attributes, missing):
    assert missing in _refusal(None, floating_users_from_quantity="true", **attributes)


def test_the_seats_may_come_from_the_mapping():
    mapping = MappingTerms(server="spring", floating_cloud=1)
    terms = _resolve(mapping, single_license="true", floating_users_from_quantity="true")
    assert terms.quantity_mode is QuantityMode.FLOATING


def test_the_mappings_quantity_mode_wins_even_over_what_cannot_be_read():
    mapping = MappingTerms(server="spring", quantity_mode=QuantityMode.PER_UNIT)
    assert _resolve(mapping, single_license="ja").quantity_mode is QuantityMode.PER_UNIT


@pytest.mark.parametrize(
    ("cryptlex_mode", "is_contradiction"), [("allowed_activations", False), ("total_licenses", True)]
)
def test_both_vendors_words_for_the_quantity_may_agree_but_not_contradict_each_other(cryptlex_mode, is_contradiction):
    mapping = MappingTerms(server="lex", product_id="id-1")
    attributes = {"cryptlex_mappings_quantity": cryptlex_mode, "single_license": "true"}
    if is_contradiction:
        assert "contradict each other" in _refusal(mapping, **attributes)
    else:
        assert _resolve(mapping, **attributes).quantity_mode is QuantityMode.ACTIVATIONS


# --- mapping over attribute ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "attribute"),
    [
        ("max_activations", 9, "max_activations"),
        ("floating_cloud", 9, "floating_cloud"),
        ("license_type", LicenseType.CONSUMPTION, "license_type"),
        ("valid_duration", "9d", "valid_duration"),
        ("is_maintained", False, "enable_maintenance_duration"),
        ("maintenance_duration", "9y", "maintenance_duration"),
        ("max_consumptions", 9, "max_consumptions"),
        ("grace_hours", 9, "grace_period"),
        ("is_customer_manager", False, "is_license_manager"),
        ("is_customer_user", False, "assign_customer_as_user"),
    ],
)
def test_the_mapping_wins_and_a_wrong_attribute_beneath_it_does_not_matter(field, value, attribute):
    terms = _resolve(MappingTerms(server="spring", **{field: value}), **{attribute: "nonsense"})
    assert getattr(terms, field) == value
    assert terms.origins[field] == "product mapping"


def test_a_duration_of_the_mapping_is_checked_like_an_attribute():
    sentence = _refusal(MappingTerms(server="spring", valid_duration="1 month"))
    assert sentence.startswith("The valid duration from the product mapping is '1 month'; it must be a number above")


# --- on which license server they count ------------------------------------------------------------------------------


def test_they_count_on_cryptlex_too_for_products_that_follow_the_guide():
    mapping = MappingTerms(server="lex", product_id="id-1")
    terms = _resolve(mapping, max_activations="5", cryptlex_license_template_id="tmpl-1")
    assert (terms.max_activations, terms.template_id, terms.is_annotated) == (5, "tmpl-1", True)


def test_words_like_these_mean_nothing_at_a_product_that_does_not_follow_the_guide():
    attributes = {"cryptlex_product_id": "id-1", "license_type": "Pro", "max_activations": "many", "uuid": "x"}
    terms = resolve_terms(None, attributes, kind=PurchaseKind.ORDER, servers=BOTH)
    assert terms is not None
    assert (terms.max_activations, terms.license_type, terms.is_annotated) == (None, None, False)


def test_an_id_of_cryptlex_is_never_sent_to_a_licensespring():
    terms = _resolve(
        MappingTerms(server="spring"),
        cryptlex_product_id="id-1",
        cryptlex_license_template_id="tmpl-1",
        cryptlex_entitlement_set_id="set-1",
        cryptlex_subscription_interval="P1M",
        cryptlex_mappings_quantity="allowed_activations",
    )
    assert (terms.product_id, terms.template_id, terms.entitlement_set_id, terms.interval) == ("photon", "", "", "")
    assert terms.quantity_mode is QuantityMode.PER_UNIT


def test_products_mapped_by_the_guides_attributes_alone_follow_its_policies():
    assert _resolve().preset is PolicyPreset.LICENSESPRING
    assert _resolve(MappingTerms(server="spring")).preset is PolicyPreset.LICENSESPRING
    assert _resolve(MappingTerms(server="spring", product_id="photon")).preset is None
    assert _resolve(MappingTerms(server="lex", product_id="id-1")).preset is None


# --- the end ---------------------------------------------------------------------------------------------------------


def test_a_perpetual_one_time_license_has_no_end():
    terms = _resolve(None, license_type="perpetual")
    assert (terms.expiry, terms.origins["expiry"]) == (ExpiryMode.PERPETUAL, "store attribute license_type")


def test_a_subscription_ends_with_what_is_paid_for_whatever_its_type_by_attribute():
    assert _resolve(None, kind=PurchaseKind.SUBSCRIPTION, license_type="perpetual").expiry is ExpiryMode.PAID_THROUGH


def test_a_mapping_that_never_ends_contradicts_a_type_that_does():
    mapping = MappingTerms(server="spring", expiry=ExpiryMode.PERPETUAL)
    assert _resolve(mapping, license_type="perpetual").expiry is ExpiryMode.PERPETUAL
    assert "but the license type from the store attribute license_type is time-limited" in _refusal(
        mapping, license_type="time-limited"
    )


# --- features --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "attributes", "servers", "code", "origin"),
    [
        (None, {"feature_code": "pdf"}, BOTH, "pdf", "store attribute feature_code"),
        (None, {"feature_code": "pdf", **BASE}, BOTH, "pdf", "store attribute feature_code"),
        (None, {"feature_code": "pdf", **BASE}, Servers((CRYPTLEX,)), "pdf", "store attribute feature_code"),
        (None, {"feature_code": "pdf", "cryptlex_product_id": "x"}, BOTH, "pdf", "store attribute feature_code"),
        (MappingTerms(feature_code="xps"), {"feature_code": "pdf"}, BOTH, "xps", "product mapping"),
        (
            MappingTerms(feature_code="xps"),
            {"cryptlex_product_id": "x"},
            Servers((CRYPTLEX,)),
            "xps",
            "product mapping",
        ),
    ],
)
def test_a_feature_is_no_license_of_its_own(mapping, attributes, servers, code, origin):
    terms = resolve_terms(mapping, attributes, kind=PurchaseKind.ORDER, servers=servers)
    assert terms == Terms(server="", product_id="", feature_code=code, origins={"feature_code": origin})


@pytest.mark.parametrize(
    ("mapping", "servers"),
    [(MappingTerms(product_id="id-1"), BOTH), (MappingTerms(server="lex"), BOTH), (None, Servers((CRYPTLEX,)))],
)
def test_who_names_a_license_product_for_it_wants_a_license(mapping, servers):
    attributes = {"feature_code": "pdf", "cryptlex_product_id": "id-1"}
    terms = resolve_terms(mapping, attributes, kind=PurchaseKind.ORDER, servers=servers)
    assert terms is not None
    assert (terms.product_id, terms.feature_code) == ("id-1", "")


def test_a_feature_that_needs_no_license_is_none():
    mapping = MappingTerms(is_license_needed=False)
    assert resolve_terms(mapping, {"feature_code": "pdf"}, kind=PurchaseKind.ORDER, servers=BOTH) is None


def test_a_feature_code_must_be_plain_text():
    with pytest.raises(InvalidTerm, match="Store attribute feature_code is"):
        resolve_terms(None, {"feature_code": "a\tb"}, kind=PurchaseKind.ORDER, servers=BOTH)
