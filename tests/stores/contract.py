"""What every store adapter keeps to. A store's tests subclass ``StoreAdapterContract`` and say how it signs."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licensing_integration.domain.facts import Fact
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.exceptions import InvalidSignature, PayloadError, RemoteError
from licensing_integration.http import Query, fill_path
from licensing_integration.stores.base import LONGEST_HEADER, Delivery, Secret, StoreAdapter
from licensing_integration.stores.payload import IDENTIFIER_LENGTH, Payload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)
# The tests of every store inherit the same functions, which is what "differing executors" means.
GARBAGE = settings(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.differing_executors]
)


class Garbler:
    """A store API that answers every question with the same thing."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def get(self, path: str, *, ids: Mapping[str, str] | None = None, params: Query | None = None) -> object:
        assert fill_path(path, ids=ids or {}).startswith("/")
        return self._answer


class StoreAdapterContract(ABC):
    adapter: ClassVar[StoreAdapter]
    envelope: ClassVar[Mapping[str, Any]]  # an event around ``data``, all but its type
    body: ClassVar[bytes]  # a delivery as the store sends it

    @abstractmethod
    def sign(self, body: bytes, secret: str) -> Mapping[str, str]:
        """The headers, names in lower case, of a delivery the store signed with ``secret``."""

    # Declared sets

    def test_slug_can_be_part_of_an_address(self) -> None:
        assert self.adapter.slug.isidentifier()
        assert self.adapter.slug.islower()

    def test_no_event_type_is_both_handled_and_ignored(self) -> None:
        assert not set(self.adapter.translators) & self.adapter.ignored

    def test_every_declared_event_type_is_a_plain_name(self) -> None:
        for event_type in {*self.adapter.translators, *self.adapter.ignored}:
            assert event_type == event_type.strip() != ""
            assert "*" not in event_type

    def test_every_purchase_kind_has_a_reference_key(self) -> None:
        assert set(self.adapter.reference_keys) == set(PurchaseKind)
        assert len(set(self.adapter.reference_keys.values())) == len(PurchaseKind)

    # Signatures

    def test_accepts_what_the_store_signed(self) -> None:
        assert self._verify(self.sign(self.body, "right"), secrets=["right"]) == ["right"]

    @pytest.mark.parametrize("secrets", [["right", "new"], ["new", "right"], ["", "right"]])
    def test_accepts_any_of_several_secrets(self, secrets: list[str]) -> None:
        assert self._verify(self.sign(self.body, "right"), secrets=secrets) == ["right"]

    @pytest.mark.parametrize("secrets", [[], [""], ["", " "]])
    @pytest.mark.parametrize("signed_with", ["right", "", " "])
    def test_refuses_everything_without_a_secret(self, secrets: list[str], signed_with: str) -> None:
        with pytest.raises(InvalidSignature):
            self._verify(self.sign(self.body, signed_with), secrets=secrets)

    def test_refuses_another_secret(self) -> None:
        with pytest.raises(InvalidSignature):
            self._verify(self.sign(self.body, "wrong"), secrets=["right", "new"])

    def test_refuses_an_unsigned_delivery(self) -> None:
        with pytest.raises(InvalidSignature):
            self._verify({}, secrets=["right"])

    def test_refuses_a_changed_body(self) -> None:
        headers = self.sign(self.body, "right")
        with pytest.raises(InvalidSignature):
            self.adapter.verify(Delivery(body=self.body + b" ", headers=headers), [Secret("right")])

    @pytest.mark.parametrize("value", ["", "x", "é", "\udc80", "=" * 1000])
    def test_refuses_a_nonsensical_signature(self, value: str) -> None:
        headers = dict.fromkeys(self.sign(self.body, "right"), value)
        with pytest.raises(InvalidSignature):
            self._verify(headers, secrets=["right"])

    def test_refusal_says_nothing_secret(self) -> None:
        headers = self.sign(self.body, "wrong-secret")
        with pytest.raises(InvalidSignature) as refusal:
            self._verify(headers, secrets=["right-secret"])
        right = self.sign(self.body, "right-secret")
        told = [secret for secret in ("right-secret", *right.values()) if secret in str(refusal.value)]
        assert told == []

    def _verify(self, headers: Mapping[str, str], *, secrets: list[str]) -> list[str]:
        delivery = Delivery(body=self.body, headers=headers)
        return list(self.adapter.verify(delivery, [Secret(secret) for secret in secrets]))

    def test_a_test_event_is_rightly_signed_and_can_make_no_license(self) -> None:
        secret, now = Secret("right"), datetime.now(UTC).replace(microsecond=0)
        delivery = self.adapter.make_test_event(secret, event_id="test-1", now=now)
        assert list(self.adapter.verify(delivery, [secret])) == [secret]
        (event,) = self.adapter.split(delivery)
        assert event.event_type in self.adapter.ignored
        assert (event.external_id, event.is_live, event.occurred_at, event.problem) == ("test-1", False, now, "")

    # Headers

    def test_no_signature_is_kept(self) -> None:
        (name, header), *others = self.sign(self.body, "the-secret").items()
        assert not others
        keep = self.adapter.kept_headers.get(name, lambda value: "")
        digests = [part for part in re.split(r"[,=\s]", header) if len(part) > 20]
        assert digests
        assert not [digest for digest in digests if digest in keep(header)]

    @pytest.mark.parametrize("value", ["", "x" * 10_000, "t=" + "1" * 10_000, ",,,=", "ü\x00"])
    def test_of_any_header_little_is_kept(self, value: str) -> None:
        assert all(len(keep(value)) <= LONGEST_HEADER for keep in self.adapter.kept_headers.values())

    def test_header_names_are_in_lower_case(self) -> None:
        assert all(name == name.lower() for name in self.adapter.kept_headers)

    # Splitting

    @GARBAGE
    @given(body=st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
    def test_splitting_never_raises_on_bytes(self, body: bytes) -> None:
        self._assert_storable(body)

    @GARBAGE
    @given(value=JSON)
    def test_splitting_never_raises_on_json(self, value: object) -> None:
        self._assert_storable(json.dumps(value).encode())

    @GARBAGE
    @given(data=st.data())
    def test_splitting_never_raises_on_a_damaged_delivery(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(self.body)))
        cut = data.draw(st.integers(0, 20))
        inserted = data.draw(st.binary(max_size=8))
        self._assert_storable(self.body[:position] + inserted + self.body[position + cut :])

    def _assert_storable(self, body: bytes) -> None:
        events = self.adapter.split(Delivery(body=body, headers={}))
        assert events, "an authentic delivery leaves a trace, whatever is in it"
        assert len({event.external_id for event in events}) == len(events)
        for event in events:
            assert 0 < len(event.external_id) <= IDENTIFIER_LENGTH
            assert len(event.event_type) <= IDENTIFIER_LENGTH
            assert "\x00" not in event.external_id + event.event_type + event.body + event.problem
            (event.external_id + event.event_type + event.body + event.problem).encode()
            assert event.problem or (event.event_type and event.occurred_at and Payload.from_json(event.body))

    # Translating

    @GARBAGE
    @given(value=JSON)
    def test_translators_are_total(self, value: object) -> None:
        for event_type, translate in self.adapter.translators.items():
            for event in (*self._events(event_type, value), value):
                try:
                    facts = translate(Payload(event, fetched={"subscriptions": value, "accounts": value}))
                except PayloadError:
                    continue
                assert isinstance(facts, tuple)
                assert all(isinstance(fact, Fact) for fact in facts)

    @GARBAGE
    @given(value=JSON, answer=JSON)
    def test_enriching_is_total(self, value: object, answer: object) -> None:
        if self.adapter.enrich is None:
            return
        for event_type in (*self.adapter.translators, *self.adapter.ignored, "unheard.of"):
            for event in self._events(event_type, value):
                try:
                    fetched = self.adapter.enrich(Payload(event), Garbler(answer))
                except (PayloadError, RemoteError):
                    continue
                json.dumps(fetched, allow_nan=False).encode()

    def _events(self, event_type: str, value: object) -> list[dict[str, object]]:
        """Events about ``value``, also of stores that put the object one level deeper."""
        return [{**self.envelope, "type": event_type, "data": data} for data in (value, {"object": value})]
