"""A shop that follows LicenseSpring's FastSpring guide, and one license server behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from licensing_integration.admin.history import entries_of_link
from licensing_integration.domain.servers import ServerKind
from licensing_integration.models import HistoryEntry, LicenseLink
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import DemoSubscription, Event, FastSpringShop
from licensing_integration.sandbox.licensespring import LicenseSpringSandbox
from tests.services.conftest import AVA
from tests.services.scenario import metadata

ACCOUNT = "0b6d4a52-1f0c-4c63-9a53-1d0e6f1b7a10"
License = dict[str, Any]


class Server(ABC):
    """A license server with its licenses as the API shows them, everything that belongs to one in one dictionary."""

    kind: ServerKind
    box: LicenseSpringSandbox | CryptlexSandbox

    @property
    def licenses(self) -> list[License]:
        """Oldest first."""
        return [self.view(license) for license in self.box.licenses]

    @abstractmethod
    def view(self, license: License) -> License: ...

    @abstractmethod
    def is_on(self, license: License) -> bool: ...

    @abstractmethod
    def is_valid_through(self, license: License, end: datetime) -> bool:
        """Whether it ends where a subscription ends that is paid until ``end``."""

    @abstractmethod
    def write_note(self, text: str) -> None:
        """Somebody writes it on the only license, by hand."""

    @abstractmethod
    def grant(self, code: str) -> None:
        """Somebody puts a feature on the only license, by hand, beside those it has."""

    def call(self, method: str, path: str, **members: Any) -> Any:
        url, body = self.box.base_url + path, members or None
        answer = requests.request(method, url, headers=self.headers, json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    @property
    @abstractmethod
    def headers(self) -> dict[str, str]: ...


class LicenseSpring(Server):
    kind = ServerKind.LICENSESPRING

    def __init__(self, box: LicenseSpringSandbox) -> None:
        self.box: LicenseSpringSandbox = box

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Api-Key {self.box.api_key}"}

    def view(self, license: License) -> License:
        managers = self.call("GET", f"/api/v1/orders/{license['order']}/managers/")
        return {
            **license,
            "validity_period": (license["validity_period"] or "")[:10],
            "product": license["product"]["short_code"],
            "features": [entry["product_feature"]["code"] for entry in license["product_features"]],
            "users": [user["true_email"] for user in license["license_users"]],
            "managers": [user["true_email"] for user in managers],
            **{f"custom field {entry['name']}": entry["value"] for entry in license["product_custom_fields"]},
            **{f"metadata {name}": value for name, value in license["metadata"].items()},
        }

    def is_on(self, license: License) -> bool:
        return bool(license["enabled"])

    def is_valid_through(self, license: License, end: datetime) -> bool:
        return bool(license["validity_period"] == f"{end:%Y-%m-%d}")

    def write_note(self, text: str) -> None:
        (license,) = self.box.licenses
        self.call("PATCH", f"/api/v1/licenses/{license['id']}/", note=text)

    def grant(self, code: str) -> None:
        (license,) = self.licenses
        features = [{"product_feature": name} for name in [*license["features"], code]]
        self.call("POST", f"/api/v1/licenses/{license['id']}/update_features/", product_features=features)


class Cryptlex(Server):
    kind = ServerKind.CRYPTLEX

    def __init__(self, box: CryptlexSandbox) -> None:
        self.box: CryptlexSandbox = box

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.box.access_token}"}

    def view(self, license: License) -> License:
        entitlements = self.call("GET", f"/v3/licenses/{license['id']}/feature-entitlements")
        return {
            **license,
            "features": [entry["featureName"] for entry in entitlements],
            "meters": {entry["name"]: entry["allowedUses"] for entry in license["meterAttributes"]},
            "user": license["user"]["email"] if license["user"] else None,
            **{f"metadata {name}": value for name, value in metadata(license).items()},
        }

    def is_on(self, license: License) -> bool:
        return not license["suspended"] and not license["revoked"]

    def is_valid_through(self, license: License, end: datetime) -> bool:
        """A day is added: FastSpring charges during the day whose beginning is the end of what is paid for."""
        return moment(license["expiresAt"]) == end + timedelta(days=1)

    def write_note(self, text: str) -> None:
        (license,) = self.box.licenses
        self.call("PATCH", f"/v3/licenses/{license['id']}", notes=text)

    def grant(self, code: str) -> None:
        (license,) = self.box.licenses
        ids = {feature["name"]: feature["id"] for feature in self.call("GET", "/v3/features")}
        self.call("POST", f"/v3/licenses/{license['id']}/feature-entitlements", featureId=ids[code])


@dataclass(kw_only=True)
class Guide:
    """The shop, and what became of its sales. ``has_looked``, ``has_read``, ``was_told_of_none``: what the test has
    looked at so far."""

    on: Server
    shop: FastSpringShop
    deliver: Callable[..., None]
    has_looked: bool = field(default=False, init=False)
    has_read: bool = field(default=False, init=False)
    was_told_of_none: bool = field(default=False, init=False)

    @property
    def server(self) -> ServerKind:
        return self.on.kind

    # Selling

    def item(self, product: str = "studio", *, quantity: int = 1, short_code: str = "", **attributes: str) -> License:
        """An order line of a product that follows the guide."""
        return self.shop.item(product, quantity=quantity, attributes=self._attributes(product, short_code, attributes))

    def feature(self, code: str, **more: Any) -> License:
        """An order line of an add-on: a product of its own whose path is the code."""
        return self.shop.item(code, attributes={"uuid": ACCOUNT, "feature_code": code}, **more)

    def add_on(self, code: str, subscription: DemoSubscription) -> License:
        """An order line of an add-on to a subscription."""
        driver = {"type": "addon", "path": subscription.product}
        return self.feature(code, driver=driver, parentSubscription=subscription.id)

    def sell(self, product: str = "studio", *, quantity: int = 1, short_code: str = "", **attributes: str) -> Event:
        """Somebody buys it once; the order."""
        return self.sell_together(self.item(product, quantity=quantity, short_code=short_code, **attributes))

    def sell_together(self, *items: License) -> Event:
        order = self.shop.order(AVA, *items)
        self.deliver(order)
        return order

    def subscribe(
        self, product: str = "studio", *, quantity: int = 1, trial: bool = False, **attributes: str
    ) -> DemoSubscription:
        """Somebody subscribes; both events in one delivery."""
        subscription, events = self.subscription(product, quantity=quantity, trial=trial, **attributes)
        self.deliver(*events)
        return subscription

    def subscription(
        self, product: str = "studio", *, quantity: int = 1, trial: bool = False, **attributes: str
    ) -> tuple[DemoSubscription, list[Event]]:
        """A new one, and the activation and order that are to be delivered."""
        given = self._attributes(product, "", attributes)
        return self.shop.subscribe(AVA, product, quantity=quantity, attributes=given, trial=trial)

    def report(self, event_type: str, subscription: DemoSubscription, /, **data: Any) -> Event:
        """The shop reports the subscription as it is now, with these members besides."""
        event = self.shop.report(event_type, subscription)
        event["data"] |= data
        self.deliver(event)
        return event

    def change(self, event_type: str, subscription: DemoSubscription, **changes: Any) -> Event:
        event = self.shop.change(subscription, event_type, **changes)
        self.deliver(event)
        return event

    def renew(self, subscription: DemoSubscription) -> Event:
        event = self.shop.renew(subscription)
        self.deliver(event)
        return event

    def _attributes(self, product: str, short_code: str, more: Mapping[str, str]) -> dict[str, str]:
        return {"uuid": ACCOUNT, "product_short_code": short_code or product, **more}

    # What is on the license server

    @property
    def licenses(self) -> list[License]:
        self.has_looked = True
        return self.on.licenses

    @property
    def license(self) -> License:
        (license,) = self.licenses
        return license

    @property
    def note(self) -> str:
        """What stands on the only license for people."""
        return self.license[{ServerKind.LICENSESPRING: "note", ServerKind.CRYPTLEX: "notes"}[self.server]] or ""

    def has(self, *, licensespring: Mapping[str, Any], cryptlex: Mapping[str, Any]) -> None:
        """Every license, and there is one at least, shows this."""
        wanted = licensespring if self.server is ServerKind.LICENSESPRING else cryptlex
        licenses = self.licenses
        assert licenses
        assert [{name: license.get(name) for name in wanted} for license in licenses] == [dict(wanted)] * len(licenses)

    def shows(self, *, licensespring: Sequence[str], cryptlex: Sequence[str]) -> list[tuple[Any, ...]]:
        """These members of every license, oldest first."""
        names = licensespring if self.server is ServerKind.LICENSESPRING else cryptlex
        return [tuple(license[name] for name in names) for license in self.licenses]

    def has_features(self, *codes: str) -> None:
        assert [sorted(license["features"]) for license in self.licenses] == [sorted(codes)] * len(self.licenses)

    def is_on(self, *, until: datetime | None = None) -> None:
        """Every license can be used, as long as a subscription that is paid ``until`` then."""
        assert [self.on.is_on(license) for license in self.licenses] == [True] * max(len(self.licenses), 1)
        if until is not None:
            assert all(self.on.is_valid_through(license, until) for license in self.licenses)

    def is_off(self) -> None:
        assert [self.on.is_on(license) for license in self.licenses] == [False] * max(len(self.licenses), 1)

    def changes_nothing(self, event_type: str, subscription: DemoSubscription, /, **data: Any) -> None:
        """The event reaches the history, and the license server is not so much as asked."""
        before = self.licenses
        self.on.box.clear_requests()
        self.report(event_type, subscription, **data)
        assert [f"{request.method} {request.path}" for request in self.on.box.requests] == []
        assert self.licenses == before

    # What the history says

    def stories(self) -> list[str]:
        """The history of each license as its page shows it; that of the purchases while there is no license."""
        self.has_read = True
        links = list(LicenseLink.objects.order_by("id"))
        told = [entries_of_link(link) for link in links] or [HistoryEntry.objects.all()]
        return ["\n".join(entry.sentence for entry in entries) for entries in told]

    def says(self, *sentences: str) -> None:
        """Every license's history does."""
        for story in self.stories():
            for sentence in sentences:
                assert sentence in story

    def says_there_is_none(self, sentence: str) -> None:
        """The history names the server, and what it has nothing for."""
        assert sentence.lower().startswith((self.server.value, f"the {self.server.value}"))
        self.says(sentence)
        self.was_told_of_none = True


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def in_ms(when: datetime) -> int:
    return int(when.timestamp() * 1000)
