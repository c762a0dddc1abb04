"""Licenses that the vendor's own integration made are taken over, never by its placeholders."""

from __future__ import annotations

import pytest

from tests.services.scenario import map_product, metadata
from tests.services.stripe.conftest import AVA, line, only, show

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("key", ["stripe_subscription_id", "subscription_id", "SUBSCRIPTION_ID_KEY"])
def test_a_subscription_the_vendor_licensed_keeps_its_license(account, send, cryptlex, vendor, shop_clock, key):
    map_product("prod_team", store="stripe")
    session, _ = account.subscribe(AVA, line("price_month"))
    made = vendor.make(**{key: session["subscription"]})
    shop_clock.advance(days=30)
    send(*account.renew(session["subscription"]))
    assert [one["id"] for one in cryptlex.licenses] == [made]
    assert cryptlex.licenses[0]["expiresAt"] is not None


def test_an_older_sale_the_vendor_licensed_keeps_its_license(
    rest, account, send, cryptlex, vendor, shop_clock, settings
):
    settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "adopt": "always"}]
    map_product("prod_studio", store="stripe")
    session, events = account.buy(AVA, line("price_studio"))
    made = vendor.make(stripe_transaction_id=session["payment_intent"])
    show(rest, account)
    send(*events)
    assert [one["id"] for one in cryptlex.licenses] == [made]


def test_a_free_sale_takes_over_none_of_those_that_share_a_placeholder(rest, account, send, cryptlex, vendor, settings):
    settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "adopt": "always"}]
    map_product("prod_studio", store="stripe")
    placeholders = {"stripe_subscription_id": "subscription_empty", "stripe_transaction_id": "transaction_empty"}
    stranger = vendor.make(**placeholders)
    session, events = account.buy(AVA, line("price_studio"), is_free=True)
    assert session["payment_intent"] is None
    show(rest, account)
    send(*events)
    assert len(cryptlex.licenses) == 2
    (theirs,) = [metadata(one) for one in cryptlex.licenses if one["id"] == stranger]
    (ours,) = [metadata(one) for one in cryptlex.licenses if one["id"] != stranger]
    assert theirs == placeholders
    assert set(ours.values()).isdisjoint(placeholders.values())


def test_new_licenses_carry_the_vendors_key(account, send, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"))
    send(*only(events, "invoice.paid"))
    assert metadata(cryptlex.licenses[0])["stripe_subscription_id"] == session["subscription"]
    assert "subscription_id" not in metadata(cryptlex.licenses[0])
