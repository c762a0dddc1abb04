"""Previews and rehearsals say what would happen, and nothing happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, connections
from django.utils import timezone

from licensing_integration.domain.desired import Override
from licensing_integration.domain.outcomes import EventState, LicenseState
from licensing_integration.domain.samples import Sample
from licensing_integration.models import LicenseLink, ProductMapping, Purchase, WebhookEvent
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import FastSpringShop
from licensing_integration.services import rehearsal
from licensing_integration.services.interventions import override_link
from licensing_integration.services.mapping_rehearsal import Rehearsal, events_of_product, rehearse, samples_of
from licensing_integration.services.rehearsal import preview_override, preview_purchase, preview_replay
from tests.services.conftest import AVA, only_link, only_purchase
from tests.services.scenario import map_product, photon_order


def everything() -> dict[str, Any]:
    """Every row of every table of ours, and the queue."""
    rows: dict[str, Any] = {
        model.__name__: sorted(map(repr, model.objects.values_list()))
        for model in apps.get_app_config("licensing_integration").get_models()
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, task_name, args FROM procrastinate_jobs ORDER BY id")
        return {**rows, "jobs": cursor.fetchall()}


@contextmanager
def nothing_happens(cryptlex: CryptlexSandbox) -> Iterator[None]:
    before, requests = everything(), len(cryptlex.requests)
    assert sum(map(len, before.values()))
    yield
    assert everything() == before
    assert len(cryptlex.requests) == requests


def event_ids() -> list[int]:
    return list(WebhookEvent.objects.order_by("id").values_list("id", flat=True))


def unsaved(product: str = "photon", **values: Any) -> ProductMapping:
    return ProductMapping(**{"store": "fastspring", "store_product": product, "product_id": "prod-new", **values})


# --- replays ---------------------------------------------------------------------------------------------------------


def test_replaying_what_is_applied_changes_nothing_and_says_so(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    deliver(photon_order(shop), photon_order(shop))

    with nothing_happens(cryptlex):
        preview = preview_replay(event_ids())

    assert preview.sentences == ("Nothing would change.",)
    assert (preview.changed, preview.unchanged, preview.failed, preview.not_looked_at) == (0, 2, 0, 0)


def test_a_held_event_would_issue_its_licenses(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox, settings: Any
) -> None:
    settings.STORES = [{**settings.STORES[0], "test_events": "hold"}]
    shop.live = False
    map_product("photon")
    deliver(photon_order(shop, quantity=2))
    assert WebhookEvent.objects.get().state == EventState.HELD

    with nothing_happens(cryptlex):
        preview = preview_replay(event_ids())

    assert preview.changed == 1
    assert "A license would be issued for Photon, unit 1." in preview.sentences
    assert "A license would be issued for Photon, unit 2." in preview.sentences
    assert preview.sentences[0].endswith("would become known: Completed.")


def test_what_many_events_would_bring_is_counted_first_and_nothing_is_told_twice(
    shop: FastSpringShop, deliver: Callable[..., None], settings: Any
) -> None:
    settings.STORES = [{**settings.STORES[0], "test_events": "hold"}]
    shop.live = False
    map_product("photon")
    deliver(*(photon_order(shop) for _ in range(3)))

    preview = preview_replay(event_ids())

    assert preview.summary == "3 licenses would be issued for Photon; 3 orders would become known."
    assert "A license would be issued for Photon. (3 times)" in preview.sentences
    references = {sentence.split()[1] for sentence in preview.sentences if "become known" in sentence}
    assert len(references) == 3
    assert references == {str(json.loads(event.body)["data"]["reference"]) for event in WebhookEvent.objects.all()}


def test_an_event_that_was_never_understood_says_what_each_license_would_become(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    """A notice that payment is overdue failed; the licenses of the subscription are active."""
    map_product("team")
    subscription, events = shop.subscribe(AVA, "team", quantity=2)
    deliver(*events)
    overdue = shop.overdue(subscription)
    deliver(overdue)
    WebhookEvent.objects.filter(event_type="subscription.payment.overdue").update(state=EventState.FAILED)
    _forget_overdue()

    with nothing_happens(cryptlex):
        preview = preview_replay(event_ids())

    keys = LicenseLink.objects.order_by("unit").values_list("key", flat=True)
    told = [sentence for sentence in preview.sentences if sentence.startswith("License")]
    assert told == [
        f"License …{key[-6:]} of Team, unit {unit}: active → suspended." for unit, key in enumerate(keys, 1)
    ]
    assert (preview.changed, preview.unchanged) == (1, 2)


def _forget_overdue() -> None:
    """As if the notice had never been understood."""
    purchase = only_purchase()
    state = {name: value for name, value in purchase.state.items() if "overdue" not in name and "grace" not in name}
    state["subscription"] = {**state["subscription"], "status": "active"}
    for name in ("snapshot_version", "snapshot_event_id"):
        state.pop(name, None)
    Purchase.objects.update(state=state, status="active")
    for link in LicenseLink.objects.all():
        link.desired = {**link.desired, "state": "active"}
        link.save()


def test_an_event_that_cannot_be_read_is_told_as_failed_and_the_others_are_looked_at(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    broken = photon_order(shop)
    del broken["data"]["items"][0]["product"]
    deliver(broken, photon_order(shop))

    with nothing_happens(cryptlex):
        preview = preview_replay(event_ids())

    assert (preview.changed, preview.unchanged, preview.failed) == (0, 1, 1)
    assert broken["id"] in preview.sentences[0]
    assert "data.items[0].product" in preview.sentences[0]


def test_only_so_many_events_are_looked_at(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "MOST_PREVIEWED", 2)
    deliver(*[photon_order(shop) for _ in range(3)])

    preview = preview_replay(event_ids())

    assert (preview.unchanged, preview.not_looked_at) == (2, 1)


def test_the_store_is_not_asked_again(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox, settings: Any
) -> None:
    deliver(photon_order(shop))
    api = {"api_username": "u", "api_password": "p", "api_base_url": "http://127.0.0.1:9"}
    settings.STORES = [{**settings.STORES[0], **api}]

    assert preview_replay(event_ids()).failed == 0


@pytest.mark.django_db(transaction=True)
def test_a_purchase_somebody_works_on_is_not_waited_for(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    deliver(photon_order(shop), photon_order(shop))
    first = Purchase.objects.earliest("id")
    other = connections.create_connection("default")
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM licensing_integration_purchase WHERE id = %s FOR UPDATE", [first.pk])
    try:
        preview = preview_replay(event_ids())
    finally:
        other.rollback()
        other.close()

    assert (preview.unchanged, preview.failed, preview.not_looked_at) == (1, 0, 1)
    assert "somebody is working on its purchase" in preview.sentences[0]


# --- purchases -------------------------------------------------------------------------------------------------------


def test_planning_a_settled_purchase_would_change_nothing(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    deliver(photon_order(shop))

    with nothing_happens(cryptlex):
        assert preview_purchase(only_purchase().pk) == ("Nothing would change.",)


def test_planning_a_waiting_purchase_again_tells_the_license_it_would_get(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    deliver(shop.buy(AVA, "plain"))
    ProductMapping.objects.create(store="fastspring", store_product="plain", product_id="prod-1")

    with nothing_happens(cryptlex):
        assert preview_purchase(only_purchase().pk) == ("A license would be issued for Plain.",)


def test_an_override_and_its_end_are_previewed(
    shop: FastSpringShop, deliver: Callable[..., None], work: Callable[[], int], cryptlex: CryptlexSandbox
) -> None:
    deliver(photon_order(shop))
    link = only_link()
    until = timezone.now() + timedelta(days=3)

    with nothing_happens(cryptlex):
        told = preview_override(link.pk, override=Override(until=until, state=LicenseState.SUSPENDED))
    assert told == (f"License …{link.key[-6:]} of Photon: active → suspended.",)

    override_link(link.pk, user_id=None, reason="Goodwill", until=until, state=LicenseState.SUSPENDED)
    work()
    with nothing_happens(cryptlex):
        told = preview_override(link.pk, override=None)
    assert told == (f"License …{link.key[-6:]} of Photon: suspended → active.",)


def test_a_purchase_of_a_store_that_is_configured_no_more_is_previewed_as_unknown(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox, settings: Any
) -> None:
    deliver(photon_order(shop))
    settings.STORES = [{**settings.STORES[0], "name": "renamed"}]
    override = Override(until=timezone.now() + timedelta(days=3), state=LicenseState.SUSPENDED)

    with nothing_happens(cryptlex):
        for told in (preview_purchase(only_purchase().pk), preview_override(only_link().pk, override=override)):
            assert len(told) == 1
            assert told[0].startswith("What would change is not known: No store named 'fastspring' is configured")


def test_an_override_that_outlasts_the_license_says_so_beforehand(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    map_product("team")
    _, events = shop.subscribe(AVA, "team")
    deliver(*events)
    link, until = only_link(), timezone.now() + timedelta(days=9999)

    with nothing_happens(cryptlex):
        told = preview_override(link.pk, override=Override(until=until, state=LicenseState.ACTIVE))
        chosen = preview_override(link.pk, override=Override(until=until, expires_at=until))

    assert f"License {link.masked_key} of Team expires on " in told[-1]
    assert "before the override ends" in told[-1]
    assert not any("before the override ends" in sentence for sentence in chosen)


# --- mappings --------------------------------------------------------------------------------------------------------


def requests_of(result: Rehearsal) -> list[str]:
    return [f"{call.method} {call.path}" for license in result.licenses for call in license.requests]


def test_a_past_event_shows_what_a_new_purchase_like_it_would_get(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    deliver(photon_order(shop, quantity=2))
    mapping = unsaved(max_activations=7)

    with nothing_happens(cryptlex):
        result = rehearse(mapping, event=WebhookEvent.objects.get())

    assert mapping.pk is None
    assert [license.link.unit for license in result.licenses] == [1, 2]
    assert not result.problems
    body = result.licenses[0].requests[-1].body
    assert body is not None
    assert (body["productId"], body["allowedActivations"]) == ("prod-new", 7)
    # The second license is made for the same user; the first one's is known from the real purchase.
    assert requests_of(result) == ["POST /v3/licenses", "POST /v3/licenses"]
    assert result.licenses[0].link.item.terms["origins"]["product_id"] == "product mapping"
    assert result.licenses[0].link.item.terms["origins"]["template_id"].startswith("store attribute")


@pytest.mark.parametrize("kind", ["order", "subscription"])
@pytest.mark.parametrize("store", ["fastspring", "stripe"])
def test_a_sample_of_every_store_gets_a_license(
    cryptlex: CryptlexSandbox, settings: Any, store: str, kind: str, db: None
) -> None:
    settings.STORES = [*settings.STORES, {**settings.STORES[0], "name": "stripe", "adapter": "stripe"}]
    mapping = unsaved("price_team", store=store, ended_action="revoke")
    map_product("other")

    with nothing_happens(cryptlex):
        result = rehearse(mapping, sample=Sample(kind=kind, product="price_team", quantity=3))

    assert kind in {known.slug for known in samples_of(store)}
    assert result.problems == ()
    assert [license.link.unit for license in result.licenses] == [1, 2, 3]
    assert requests_of(result) == ["POST /v3/users", "POST /v3/licenses", "POST /v3/licenses", "POST /v3/licenses"]
    assert (result.licenses[0].link.desired.get("expires_at") is not None) is (kind == "subscription")
    ended = next(value for value in result.licenses[0].policies if value.label == "Ended action")
    assert (ended.value, ended.origin) == ("Revoke", "product mapping")
    assert {value.origin for value in result.licenses[0].policies} == {"product mapping", "the store's default"}


def test_attributes_of_a_sample_count_like_the_stores_own(cryptlex: CryptlexSandbox, db: None) -> None:
    attributes = {"cryptlex_license_template_id": "tmpl-9"}
    sample = Sample(kind="order", product="photon", attributes=attributes)

    (license,) = rehearse(unsaved(), sample=sample).licenses

    assert license.link.desired["template_id"] == "tmpl-9"
    origin = license.link.item.terms["origins"]["template_id"]
    assert origin == "store attribute cryptlex_license_template_id"


def test_what_the_mapping_lacks_is_told_as_planning_would_tell_it(cryptlex: CryptlexSandbox, db: None) -> None:
    result = rehearse(unsaved(product_id=""), sample=Sample(kind="order", product="photon"))

    assert result.licenses == ()
    assert "photon would wait: " in result.problems[0]


def test_a_changed_mapping_is_rehearsed_as_changed_and_stays_as_it_was(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    mapping = map_product("plain")
    deliver(shop.buy(AVA, "plain", quantity=4))
    mapping.quantity_mode, mapping.product_id = "activations", "prod-2"

    with nothing_happens(cryptlex):
        (license,) = rehearse(mapping, event=WebhookEvent.objects.get()).licenses

    assert (license.link.desired["product_id"], license.link.desired["activations"]) == ("prod-2", 4)


def test_a_renewal_alone_makes_the_license_a_new_subscription_would_have(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    map_product("team")
    subscription, events = shop.subscribe(AVA, "team")
    deliver(*events)
    deliver(shop.renew(subscription))

    with nothing_happens(cryptlex):
        result = rehearse(unsaved("team", template_id="tmpl-7"), event=WebhookEvent.objects.latest("id"))

    assert [license.link.desired["template_id"] for license in result.licenses] == ["tmpl-7"]


def test_a_refund_alone_makes_no_license_and_says_why(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    order = photon_order(shop)
    deliver(order, shop.refund(order))

    with nothing_happens(cryptlex):
        result = rehearse(unsaved(), event=WebhookEvent.objects.get(event_type="return.created"))

    assert result.licenses == ()
    assert result.problems[0].startswith("By itself, this event would make no license")


def test_an_event_of_another_product_is_told_from_one_of_the_mappings_own(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox, settings: Any
) -> None:
    settings.STORES = [{**settings.STORES[0], "unmapped": "ignore"}]
    deliver(shop.buy(AVA, "plain"))

    result = rehearse(unsaved("photon"), event=WebhookEvent.objects.get())

    assert result.problems == ("The event speaks of plain, not of photon.",)


def test_an_event_that_cannot_be_read_is_a_problem_in_words(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    broken = photon_order(shop)
    del broken["data"]["items"][0]["product"]
    deliver(broken)

    result = rehearse(unsaved(), event=WebhookEvent.objects.get())

    assert "data.items[0].product" in result.problems[0]


def test_few_licenses_of_many_are_shown_and_the_rest_counted(cryptlex: CryptlexSandbox, db: None) -> None:
    result = rehearse(unsaved(), sample=Sample(kind="order", product="photon", quantity=25))

    assert (len(result.licenses), result.more) == (20, 5)


def test_what_the_license_server_cannot_do_is_noted(cryptlex: CryptlexSandbox, db: None) -> None:
    mapping = unsaved(is_maintained=True, maintenance_duration="1y")

    (license,) = rehearse(mapping, sample=Sample(kind="order", product="photon")).licenses

    assert any("maintenance" in note.lower() for note in license.notes)


def test_the_events_offered_are_those_of_purchases_of_the_product(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    deliver(photon_order(shop))
    deliver(shop.buy(AVA, "plain"))
    deliver(photon_order(shop))

    found = events_of_product("fastspring", "photon")

    assert [event.pk for event in found] == [event_ids()[2], event_ids()[0]]


def test_nobody_waits_long_for_a_preview_of_replays(
    shop: FastSpringShop, post: Callable[..., Any], work: Callable[[], int]
) -> None:
    post(*(photon_order(shop) for _ in range(3)))
    work()
    preview = preview_replay(event_ids(), seconds=0)
    assert (preview.unchanged, preview.not_looked_at) == (1, 2)


def test_a_purchase_with_very_many_licenses_is_not_previewed(
    shop: FastSpringShop, post: Callable[..., Any], work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    post(photon_order(shop, quantity=3))
    work()
    purchase = only_purchase()
    assert preview_purchase(purchase.pk) == (rehearsal.NOTHING,)
    monkeypatch.setattr(rehearsal, "MOST_LICENSES", 2)
    assert "more than 2 licenses" in preview_purchase(purchase.pk)[0]
