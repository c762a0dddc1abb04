"""What LicenseSpring's FastSpring guide says of whole sales, from the order to the license on the server."""

from __future__ import annotations

from datetime import UTC, datetime

from licensing_integration.models import LicenseLink
from tests.services.conftest import AVA
from tests.services.guide.conftest import OTHER_ACCOUNT
from tests.services.guide.proofs import on_both_servers, proves
from tests.services.guide.selling import in_ms
from tests.services.scenario import sentences, waiting_products

BUYER = AVA.email.lower()
SINGLE = {"single_license": "true"}
SEATS = {"floating_cloud": "1", "floating_users_from_quantity": "true", **SINGLE}


@proves("C1", licensespring="works", cryptlex="equivalent")
def test_the_buyer_of_a_user_based_product_manages_it(guide):
    guide.sell("team")
    guide.has(licensespring={"managers": [BUYER], "users": [BUYER], "license_key": None}, cryptlex={"user": BUYER})
    name = (
        f"…{guide.license['key'][-6:]}" if guide.server == "cryptlex" else f"{guide.license['id']}, which has no key,"
    )
    guide.says(f"Issued license {name} on ")


@proves("C2", licensespring="works", cryptlex="equivalent")
def test_one_product_is_sold_once_and_as_a_subscription(guide):
    """The product's type and its attribute are those of the one-time sale; the subscription wins."""
    guide.sell(license_type="perpetual")
    subscription = guide.subscribe(license_type="perpetual")
    once, subscribed = guide.licenses
    assert guide.on.is_valid_through(subscribed, subscription.next)
    if guide.server == "licensespring":
        assert (once["license_type"], once["validity_period"]) == ("perpetual", "")
        assert subscribed["license_type"] == "subscription"
    else:
        assert (once["subscriptionInterval"], once["expiresAt"]) == (None, None)
    guide.says("Issued license")


@proves("C3", licensespring="works", cryptlex="equivalent")
def test_a_trial_ends_by_itself_or_becomes_full_with_the_first_charge(guide):
    subscription = guide.subscribe(trial=True)
    guide.is_on(until=subscription.next)
    trial = {"licensespring": {"is_trial": True}, "cryptlex": {"metadata licensing_integration_trial": "true"}}
    guide.has(**trial)
    guide.renew(subscription)
    guide.is_on(until=subscription.next)
    guide.has(licensespring={"is_trial": False}, cryptlex={"metadata licensing_integration_trial": "false"})
    guide.says("Trial started: 1 × studio", "Renewal paid, period 2", "Renewed, valid until")


@proves("C4", licensespring="works", cryptlex="works")
def test_a_quantity_is_as_many_licenses(guide):
    guide.sell(quantity=3)
    assert len(guide.licenses) == 3
    assert len({license.get("license_key") or license["key"] for license in guide.licenses}) == 3
    guide.sell("team", quantity=2)
    assert len(guide.licenses) == 5
    guide.says("Issued license")


@proves("C5", licensespring="works", cryptlex="equivalent")
def test_a_quantity_is_one_license_of_that_size(guide):
    guide.sell(quantity=3, max_activations="20", **SINGLE)
    guide.sell("team", quantity=5, **SINGLE)
    keyed, named = guide.licenses
    if guide.server == "licensespring":
        assert (keyed["max_activations"], named["max_license_users"]) == (3, 5)
    else:
        assert (keyed["allowedActivations"], named["allowedActivations"]) == (3, 5)
    guide.says("Issued license")


@proves("C6", licensespring="works", cryptlex="equivalent")
def test_a_quantity_is_the_floating_users_of_one_license(guide):
    subscription = guide.subscribe(quantity=2, max_activations="20", **SEATS)
    guide.has(
        licensespring={"is_floating_cloud": True, "floating_users": 2, "max_activations": 20},
        cryptlex={"type": "hosted-floating", "allowedActivations": 2},
    )
    guide.change("subscription.updated", subscription, quantity=30)
    guide.has(
        licensespring={"is_floating_cloud": True, "floating_users": 30, "max_activations": 30},
        cryptlex={"type": "hosted-floating", "allowedActivations": 30},
    )
    guide.says("Issued license", "Changed")


@proves("C7", licensespring="works", cryptlex="equivalent")
def test_a_new_quantity_of_a_subscription_is_the_size_of_its_single_license(guide):
    keyed = guide.subscribe(quantity=3, **SINGLE)
    named = guide.subscribe("team", quantity=3, **SINGLE)
    for quantity in (7, 2):
        guide.change("subscription.updated", keyed, quantity=quantity)
        guide.change("subscription.updated", named, quantity=quantity)
        one, other = guide.licenses
        if guide.server == "licensespring":
            assert (one["max_activations"], other["max_license_users"]) == (quantity, quantity)
        else:
            assert (one["allowedActivations"], other["allowedActivations"]) == (quantity, quantity)
    guide.says("Subscription updated: 7 ×", "Changed, valid until")


@on_both_servers
def test_a_new_quantity_of_separate_licenses_makes_more_of_them_or_takes_some_away(guide):
    """More than the guide, which does nothing then: the store takes money for the new quantity."""
    subscription = guide.subscribe(quantity=2)
    guide.change("subscription.updated", subscription, quantity=3)
    assert len(guide.licenses) == 3
    guide.is_on(until=subscription.next)
    guide.change("subscription.updated", subscription, quantity=1)
    assert [guide.on.is_on(license) for license in guide.licenses] == [True, False, False]


@proves("C8", licensespring="works", cryptlex="equivalent")
def test_add_ons_are_kept_in_step_when_a_subscription_is_updated(guide):
    subscription = guide.subscribe()
    for code in ("pdf", "ocr"):
        guide.sell_together(guide.add_on(code, subscription))
    guide.has_features("pdf", "ocr")
    for listed in (["pdf", "ocr"], ["ocr"], [], ["pdf"]):
        guide.report("subscription.updated", subscription, addons=[{"product": code} for code in listed])
        guide.has_features(*listed)
    guide.says("Add-on bought: 1 × pdf.", "Changed, valid until")


@proves("C9", licensespring="works", cryptlex="works")
def test_another_product_leaves_the_license_as_it_is_for_a_person(guide):
    subscription = guide.subscribe()
    before = guide.licenses
    attributes = {**subscription.attributes, "product_short_code": "photon"}
    guide.change("subscription.updated", subscription, product="photon", attributes=attributes)
    assert guide.licenses == before
    assert LicenseLink.objects.get().failure_mode == "permanent"
    guide.says("cannot move a license to another product", "It needs a person.")
    for _ in range(2):
        guide.renew(subscription)
        guide.is_on(until=subscription.next)  # it was paid for
        link = LicenseLink.objects.get()
        assert link.failure_mode == "permanent"  # and the question stays
        assert link.expires_at >= subscription.next  # what people and the buyer's order page are shown
    guide.says("It was renewed all the same.")


@on_both_servers
def test_a_license_on_another_server_than_the_new_product_is_kept_valid(guide, other_account):
    """A person decides what becomes of it; meanwhile it follows what is paid for."""
    subscription = guide.subscribe()
    attributes = {**subscription.attributes, "product_short_code": "photon", "uuid": OTHER_ACCOUNT}
    guide.change("subscription.updated", subscription, product="photon", attributes=attributes)
    guide.renew(subscription)
    guide.is_on(until=subscription.next)
    assert LicenseLink.objects.get().failure_mode == "permanent"
    guide.report("subscription.deactivated", subscription, active=False, state="deactivated")
    guide.is_off()
    assert LicenseLink.objects.get().state == "suspended"
    assert other_account.licenses == []
    guide.says("cannot be moved to", "suspended", "all the same.")


@proves("C10", licensespring="works", cryptlex="equivalent")
def test_the_end_date_is_one_line_of_the_note(guide):
    subscription = guide.subscribe()
    guide.on.write_note("Asked for an invoice.")
    for day in (datetime(2031, 5, 1, tzinfo=UTC), datetime(2031, 6, 1, tzinfo=UTC)):
        guide.report("subscription.updated", subscription, end=in_ms(day))
        assert guide.note.splitlines() == ["Asked for an invoice.", f"End Date: {day:%Y-%m-%d}"]
    guide.report("subscription.updated", subscription)
    assert guide.note == "Asked for an invoice."
    guide.says("ends on 1 June 2031.", "Changed, valid until")


@proves("C11", licensespring="works", cryptlex="equivalent")
def test_an_ordinary_product_is_sold_for_a_limited_time(guide):
    guide.sell(license_type="time-limited", valid_duration="1y")
    guide.has(
        licensespring={"license_type": "time-limited", "valid_duration": "1y", "validity_period": ""},
        cryptlex={"subscriptionInterval": "P1Y", "subscriptionStartTrigger": "activation", "expiresAt": None},
    )
    guide.says("Issued license")


@proves("C12", licensespring="works", cryptlex="equivalent")
def test_a_feature_goes_on_the_license_it_was_bought_for(guide):
    path = {"type": "addon", "path": "photon"}
    guide.sell_together(guide.item("studio"), guide.item("photon"), guide.feature("pdf", driver=path))
    assert [license["features"] for license in guide.licenses] == [[], ["pdf"]]
    guide.sell_together(guide.item("studio"), guide.item("photon"), guide.feature("ocr"))
    assert [license["features"] for license in guide.licenses] == [[], ["pdf"], [], []]
    assert waiting_products() == ["ocr"]
    assert "Nothing says which license gets the feature 'ocr'" in sentences(kind="item.waiting")
    guide.says("Order completed: 1 × studio, 1 × photon, 1 ×")


@proves("C13", licensespring="works", cryptlex="works")
def test_refunds_and_disputes_are_told_and_change_nothing(guide):
    order = guide.sell()
    before = guide.licenses
    guide.deliver(guide.shop.refund(order))
    guide.deliver(guide.shop.chargeback(order["data"]["id"]))
    assert guide.licenses == before
    guide.says("Order refunded: 1 × studio (in full).", "Chargeback opened by the buyer's bank.")
