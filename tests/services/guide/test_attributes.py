"""Every custom attribute of LicenseSpring's FastSpring guide, from the order to the license on the server."""

from __future__ import annotations

from datetime import timedelta

import pytest

from licensing_integration.models import ProductMapping
from tests.services.conftest import AVA
from tests.services.guide.conftest import OTHER_ACCOUNT
from tests.services.guide.proofs import proves

BUYER = AVA.email.lower()
POLICY = "policy-of-a-year"


def map_maintenance(guide):
    """On Cryptlex a policy holds the length of maintenance; mappings name it."""
    if guide.server == "cryptlex":
        guide.on.box.add_maintenance_policy(id=POLICY, interval="P1Y")
        ProductMapping.objects.update(maintenance_policy_id=POLICY)


@proves("A1", licensespring="works", cryptlex="equivalent")
def test_the_uuid_chooses_the_account(guide, other_account):
    guide.sell("photon", uuid=OTHER_ACCOUNT)
    assert (len(guide.licenses), len(other_account.licenses)) == (0, 1)
    guide.says("on other.")


@proves("A2", licensespring="works", cryptlex="equivalent")
def test_the_short_code_chooses_the_product_and_several_may_share_one(guide):
    if guide.server == "cryptlex":
        ProductMapping.objects.filter(store_product="photon").update(product_id="studio")
    guide.sell_together(guide.item("studio"), guide.item("photon", short_code="studio"))
    assert len(guide.licenses) == 2
    guide.has(licensespring={"product": "studio"}, cryptlex={"productId": "studio"})
    guide.says("Issued license")


@proves("A3", licensespring="works", cryptlex="equivalent")
def test_max_activations(guide):
    guide.sell(max_activations="5")
    guide.has(licensespring={"max_activations": 5}, cryptlex={"allowedActivations": 5})
    guide.says("Issued license", "Order completed: 1 × studio.")


@proves("A4", licensespring="works", cryptlex="equivalent")
def test_floating_cloud(guide):
    guide.sell(floating_cloud="3", max_activations="10")
    guide.has(
        licensespring={"is_floating_cloud": True, "floating_users": 3, "max_activations": 10},
        cryptlex={
            "type": "hosted-floating",
            "allowedActivations": 3,
            "metadata licensing_integration_max_activations": "10",
        },
    )
    guide.says("Issued license")
    if guide.server == "cryptlex":
        guide.says("Cryptlex has no separate number of devices for a floating license")


@proves("A5", licensespring="works", cryptlex="equivalent")
def test_floating_users_from_quantity(guide):
    attributes = {"floating_cloud": "1", "floating_users_from_quantity": "true", "single_license": "true"}
    guide.sell(quantity=8, max_activations="20", **attributes)
    guide.has(
        licensespring={"is_floating_cloud": True, "floating_users": 8, "max_activations": 20},
        cryptlex={"type": "hosted-floating", "allowedActivations": 8},
    )
    assert len(guide.licenses) == 1
    guide.says("Issued license", "Order completed: 8 × studio.")


@proves("A6", licensespring="works", cryptlex="equivalent")
def test_one_product_becomes_licenses_of_several_types(guide):
    for license_type in ("perpetual", "time-limited", "subscription", "consumption"):
        guide.sell(license_type=license_type, valid_duration="1y", max_consumptions="500")
    shown = guide.shows(
        licensespring=("license_type", "valid_duration", "max_consumptions"),
        cryptlex=("subscriptionInterval", "subscriptionStartTrigger", "meters"),
    )
    on_licensespring = [
        ("perpetual", None, None),
        ("time-limited", "1y", None),
        ("subscription", None, None),
        ("consumption", None, 500),
    ]
    # Without a type of licenses there, what is left over is the template's month.
    on_cryptlex = [
        (None, "creation", {}),
        ("P1Y", "activation", {}),
        ("P1M", "creation", {}),
        ("P1M", "creation", {"consumptions": 500}),
    ]
    assert shown == (on_licensespring if guide.server == "licensespring" else on_cryptlex)
    guide.says("Issued license")


@proves("A7", licensespring="works", cryptlex="equivalent")
def test_valid_duration(guide):
    guide.sell(license_type="time-limited", valid_duration="2w")
    guide.has(
        licensespring={"valid_duration": "2w", "validity_period": ""},
        cryptlex={"subscriptionInterval": "P14D", "subscriptionStartTrigger": "activation", "expiresAt": None},
    )
    guide.says("Issued license")


@proves("A8", licensespring="works", cryptlex="equivalent")
def test_maintenance_duration(guide):
    map_maintenance(guide)
    guide.sell(maintenance_duration="6m")
    guide.has(
        licensespring={"enable_maintenance_period": True, "maintenance_duration": "6m"},
        cryptlex={"maintenancePolicyId": POLICY},
    )
    guide.says("Issued license")


@pytest.mark.parametrize("server", ["cryptlex"])
@pytest.mark.parametrize("given", [{"maintenance_duration": "6m"}, {"enable_maintenance_duration": "true"}])
def test_maintenance_without_a_policy_in_the_mapping_is_told(guide, given):
    guide.sell(**given)
    assert guide.license["maintenancePolicyId"] is None
    guide.says("Cryptlex takes the length of maintenance from a maintenance policy; name one in the product mapping.")


@proves("A9", licensespring="works", cryptlex="equivalent")
def test_enable_maintenance_duration(guide):
    """The product ``photon`` brings maintenance, ``studio`` does not."""
    map_maintenance(guide)
    guide.sell("photon", enable_maintenance_duration="false")
    guide.sell("studio", enable_maintenance_duration="TRUE")
    shown = guide.shows(licensespring=("enable_maintenance_period",), cryptlex=("maintenancePolicyId",))
    assert shown == [(False,), (True,)] if guide.server == "licensespring" else [(None,), (POLICY,)]
    guide.says("Issued license")


@proves("A10", licensespring="works", cryptlex="equivalent")
def test_max_consumptions(guide):
    guide.sell(license_type="consumption", max_consumptions="500")
    guide.has(
        licensespring={"license_type": "consumption", "max_consumptions": 500},
        cryptlex={"meters": {"consumptions": 500}},
    )
    guide.says("Issued license")


@proves("A11", licensespring="works", cryptlex="no equivalent")
def test_is_license_manager(guide):
    guide.sell(is_license_manager="true")
    guide.has(
        licensespring={"managers": [BUYER]},
        cryptlex={"metadata licensing_integration_license_manager": "true"},
    )
    guide.says("Issued license")
    if guide.server == "cryptlex":
        guide.says_there_is_none("Cryptlex knows no license manager; the license's metadata say it.")
        return
    guide.sell("team", is_license_manager="false")  # who buys a user-based product is one otherwise
    assert [license["managers"] for license in guide.licenses] == [[BUYER], []]


@proves("A12", licensespring="works", cryptlex="equivalent")
def test_assign_customer_as_user(guide):
    guide.sell("team", assign_customer_as_user="true")
    guide.has(licensespring={"users": [BUYER]}, cryptlex={"user": BUYER})
    guide.says("Issued license")


@proves("A13", licensespring="works", cryptlex="equivalent")
def test_grace_period(guide):
    subscription = guide.subscribe(grace_period="48")
    hours_added = 48 if guide.server == "cryptlex" else 0
    guide.is_on(until=subscription.next + timedelta(hours=hours_added))
    true_end = subscription.next + timedelta(days=1)
    guide.has(
        licensespring={"allow_grace_period": True, "grace_period": 48},
        cryptlex={"metadata licensing_integration_paid_through": f"{true_end:%Y-%m-%dT%H:%M:%SZ}"},
    )
    guide.says("Issued license")


@proves("A14", licensespring="works", cryptlex="equivalent")
def test_custom_field(guide):
    guide.sell(custom_field_Seats="Row 5")
    guide.has(licensespring={"custom field Seats": "Row 5"}, cryptlex={"metadata Seats": "Row 5"})
    guide.says("Issued license")


@proves("A15", licensespring="works", cryptlex="equivalent")
def test_single_license(guide):
    guide.sell(quantity=3, single_license="true")
    guide.has(licensespring={"max_activations": 3}, cryptlex={"allowedActivations": 3})
    assert len(guide.licenses) == 1
    guide.says("Issued license", "Order completed: 3 × studio.")


@proves("A16", licensespring="works", cryptlex="equivalent")
def test_feature_code(guide):
    guide.sell_together(guide.item("studio"), guide.feature("pdf"))
    guide.has_features("pdf")
    assert len(guide.licenses) == 1
    guide.says("Issued license", "Order completed: 1 × studio, 1 × pdf.")


@proves("A17", licensespring="works", cryptlex="equivalent")
def test_trial_days(guide):
    subscription = guide.subscribe(trial=True)
    guide.is_on(until=subscription.next)
    guide.has(
        licensespring={"license_type": "subscription", "is_trial": True},
        cryptlex={"metadata licensing_integration_trial": "true"},
    )
    guide.says("Issued license", "Trial started: 1 × studio")
