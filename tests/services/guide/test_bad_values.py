"""A value that means nothing is told with its name, holds back that one item, and nothing is lost by it."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from licensing_integration.domain.licensespring_attributes import FIELDS
from licensing_integration.models import LicenseLink, ProductMapping
from licensing_integration.services.catalog import save_mapping
from licensing_integration.services.interventions import resync_link
from tests.services.guide.proofs import on_both_servers
from tests.services.scenario import map_product, sentences, waiting_products

IN_ANY_CASE = "Cryptlex makes the customer the user of the license in any case."

# Attribute, a value of it that means nothing, and what a mapping says instead.
BAD_VALUES = [
    ("max_activations", "many", {"max_activations": 5}),
    ("floating_cloud", "-1", {"floating_cloud": 3}),
    ("license_type", "forever", {"license_type": "perpetual"}),
    ("valid_duration", "1 year", {"valid_duration": "1y"}),
    ("maintenance_duration", "P1Y", {"maintenance_duration": "1y"}),
    ("enable_maintenance_duration", "sure", {"is_maintained": True}),
    ("max_consumptions", "0", {"max_consumptions": 100}),
    ("is_license_manager", "2", {"is_customer_manager": True}),
    ("assign_customer_as_user", "nobody", {"is_customer_user": True}),
    ("grace_period", "2d", {"grace_hours": 48}),
    ("single_license", "one", {"quantity_mode": "activations"}),
    ("floating_users_from_quantity", "8", {"quantity_mode": "floating", "floating_cloud": 1}),
    ("feature_code", "p" * 257, {"feature_code": "pdf"}),
]


def mend(guide, product, **values):
    """Somebody corrects it in the product mapping; on a LicenseSpring there is none yet, nor for a feature."""
    mapping = ProductMapping.objects.filter(store_product=product).first()
    if mapping is None:
        server = {"licensespring": "spring", "cryptlex": "cryptlex"}[guide.server]
        map_product(product, **{"server": server, "product_id": "", "template_id": "", **values})
        return
    for name, value in values.items():
        setattr(mapping, name, value)
    save_mapping(mapping, user_id=None)


def test_there_is_a_bad_value_of_every_attribute():
    tried = {attribute for attribute, _, _ in BAD_VALUES}
    others = {"single_license", "floating_users_from_quantity", "feature_code"}
    assert tried == {attribute.name for attribute in FIELDS.values()} | others


def test_a_mapping_takes_no_more_hours_of_grace_than_an_attribute():
    hours = ProductMapping._meta.get_field("grace_hours")
    assert hours.clean(876_000, None) == 876_000
    with pytest.raises(ValidationError, match="less than or equal to 876000"):
        hours.clean(876_001, None)


@on_both_servers
@pytest.mark.parametrize(("attribute", "value", "mended"), BAD_VALUES, ids=[bad[0] for bad in BAD_VALUES])
def test_a_bad_value_is_told_and_mended(guide, work, attribute, value, mended):
    bad = "extra" if attribute == "feature_code" else "photon"
    guide.sell_together(guide.item("studio"), guide.item(bad, **{attribute: value}))
    assert (len(guide.licenses), waiting_products()) == (1, [bad])
    told = f"{bad.title()} waits: Store attribute {attribute} is '{value[:40]}'; it must be"
    assert told in sentences(kind="item.waiting")
    mend(guide, bad, **mended)
    work()
    assert waiting_products() == []
    assert len(guide.licenses) == (1 if attribute == "feature_code" else 2)
    assert f"{bad.title()} no longer waits." in sentences(kind="item.mapped")


@pytest.mark.parametrize("server", ["licensespring"])
def test_an_account_that_is_not_configured_is_told_without_its_uuid(guide, work):
    """The uuid opens LicenseSpring's other API, so it is not repeated."""
    guide.sell_together(guide.item("studio"), guide.item("photon", uuid="another-account"))
    assert (len(guide.licenses), waiting_products()) == (1, ["photon"])
    told = sentences(kind="item.waiting")
    assert "Store attribute uuid is of another LicenseSpring account than spring" in told
    assert "another-account" not in told
    mend(guide, "photon")
    work()
    assert (len(guide.licenses), waiting_products()) == (2, [])


@pytest.mark.parametrize("server", ["licensespring"])
@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"short_code": "nope"}, 'The order asked for short code "nope".'),
        ({"custom_field_Nope": "secret"}, 'The order asked for short code "photon", custom field "Nope".'),
    ],
)
def test_a_name_licensespring_does_not_know_is_told_and_mended_there(guide, work, attributes, told):
    guide.on.box.options.order_is_atomic = True  # else the next look waits for minutes
    guide.sell_together(guide.item("studio"), guide.item("photon", **attributes))
    assert len(guide.licenses) == 1
    assert told in sentences(kind="license.failed")
    assert "secret" not in sentences()
    if "short_code" in attributes:
        guide.on.box.add_product(short_code="nope")
    else:
        guide.on.box.add_custom_field(product="photon", name="Nope")
    resync_link(LicenseLink.objects.latest("id").pk, user_id=None, reason="Corrected.")
    work()
    assert len(guide.licenses) == 2


@on_both_servers
def test_a_feature_the_server_does_not_know_is_told_and_mended_there(guide, work):
    guide.sell_together(guide.item("studio"), guide.feature("scan"))
    if guide.server == "licensespring":
        assert 'feature code "scan"' in sentences(kind="license.failed")
        guide.on.box.add_feature(product="studio", code="scan")
    else:
        guide.says("Cryptlex has no feature named scan, so it is only in the license's metadata")
        guide.on.box.add_feature(name="scan")
    resync_link(LicenseLink.objects.get().pk, user_id=None, reason="Made there.")
    work()
    guide.has_features("scan")


@on_both_servers
@pytest.mark.parametrize(
    ("attributes", "missing"),
    [
        ({"floating_users_from_quantity": "true"}, "needs floating_cloud = 1 and single_license = true as well"),
        ({"floating_users_from_quantity": "true", "single_license": "true"}, "needs floating_cloud = 1 as well"),
    ],
)
def test_what_an_attribute_needs_besides_is_told(guide, attributes, missing):
    guide.sell(quantity=8, **attributes)
    assert (guide.licenses, waiting_products()) == ([], ["studio"])
    guide.says("Store attribute floating_users_from_quantity is 'true'", missing)


@on_both_servers
def test_more_floating_users_than_activations_raise_the_activations(guide):
    """A user who may not activate would be none, and the buyer has paid."""
    guide.sell(floating_cloud="5", max_activations="2")
    guide.has(
        licensespring={"floating_users": 5, "max_activations": 5},
        cryptlex={"allowedActivations": 5, "metadata licensing_integration_max_activations": "5"},
    )


@on_both_servers
@pytest.mark.parametrize(
    ("product", "value", "by_licensespring", "by_cryptlex"),
    [
        ("studio", "true", "LicenseSpring has users only on licenses of user-based products", ""),
        ("studio", "false", "", IN_ANY_CASE),
        ("team", "true", "", ""),
        ("team", "false", "so the customer is one.", IN_ANY_CASE),
    ],
)
def test_what_cannot_be_had_of_a_user_is_told(guide, product, value, by_licensespring, by_cryptlex):
    guide.sell(product, assign_customer_as_user=value)
    wanted = by_licensespring if guide.server == "licensespring" else by_cryptlex
    guide.says(wanted)
    issued = sentences(kind="license.issued")
    assert ("customer" in issued or "user-based" in issued) is bool(wanted)
