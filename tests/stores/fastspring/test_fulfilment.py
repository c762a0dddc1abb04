"""Requests for license keys: their hash, what they ask for, and what is answered."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing_integration.domain.facts import Customer, PreparationFact
from licensing_integration.exceptions import InvalidSignature, MalformedPayload, PayloadError
from licensing_integration.sandbox.fastspring_fulfilment import signed
from licensing_integration.stores.base import FulfilmentRequest, KeyRequest, Secret
from licensing_integration.stores.fastspring import ADAPTER
from licensing_integration.stores.fastspring.fulfilment import BUILT_IN, read_fulfilment
from licensing_integration.stores.payload import Payload

PRIVATE_KEY = "0123456789abcdef0123456789abcdef"
FORM = "application/x-www-form-urlencoded"
NOW = datetime(2026, 3, 12, 15, 2, 55, 178_000, tzinfo=UTC)
# A body as FastSpring sends it, worked out by hand from the algorithm on its Security tab.
KNOWN = (
    b"company=Beispiel+%26+S%C3%B6hne+GmbH&email=kim%40example.com&name=Kim+Doe&quantity=3"
    b"&reference=ACM250312-7710-81125&subscription=&License=pro&test=true&security_request_hash="
)
KNOWN_HASH = b"a649796d114870af03a4cc226c2691f3"
WITHOUT_CASE = b"ea319327c16d7cb2d26dc46f00997c36"
PARAMETERS = {
    "name": "Kim van Doe",
    "email": "Kim@Example.com",
    "company": "Doe Ltd",
    "product": "photon",
    "quantity": "3",
    "reference": "ACM250312-7710-81125",
}


def _post(body: bytes, *, query: bytes = b"", content_type: str = f"{FORM}; charset=UTF-8") -> FulfilmentRequest:
    return FulfilmentRequest(query=query, body=body, content_type=content_type)


def _read(request: FulfilmentRequest, *keys: str, received_at: datetime = NOW) -> KeyRequest:
    return read_fulfilment(request, [Secret(key) for key in keys or (PRIVATE_KEY,)], received_at=received_at)


def _asked(**changed: str) -> KeyRequest:
    return _read(_post(urlencode(signed({**PARAMETERS, **changed}, private_key=PRIVATE_KEY)).encode()))


def _fact(**changed: str) -> PreparationFact:
    event = _asked(**changed).event
    (fact,) = ADAPTER.translators[event.event_type](Payload.from_json(event.body))
    assert isinstance(fact, PreparationFact)
    return fact


def _hashed(*values: str, key: str = PRIVATE_KEY, charset: str = "utf-8") -> str:
    return hashlib.md5("".join([*values, key]).encode(charset)).hexdigest()


# --- the hash --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [KNOWN_HASH, KNOWN_HASH.upper(), WITHOUT_CASE])
def test_the_known_answer_is_accepted(made):
    with pytest.raises(MalformedPayload, match="product"):  # so the hash was right; the sample names no product
        _read(_post(KNOWN + made))


@pytest.mark.parametrize("made", [b"", b"0" * 32, KNOWN_HASH[:-1], KNOWN_HASH + b"0", b"%C3%A4", b"a649 796d"])
def test_another_hash_is_refused(made):
    with pytest.raises(InvalidSignature):
        _read(_post(KNOWN + made))


def test_no_hash_is_refused():
    with pytest.raises(InvalidSignature):
        _read(_post(urlencode(PARAMETERS).encode()))


@pytest.mark.parametrize("keys", [["the-next-key", PRIVATE_KEY], [PRIVATE_KEY, "the-next-key"], ["", PRIVATE_KEY]])
def test_any_of_several_keys_counts(keys):
    assert _read(_post(urlencode(signed(PARAMETERS, private_key=PRIVATE_KEY)).encode()), *keys).quantity == 3


@pytest.mark.parametrize("keys", [["another"], [""], [" "]])
def test_another_key_or_none_does_not(keys):
    for key in ("", " ", PRIVATE_KEY):
        with pytest.raises(InvalidSignature):
            _read(_post(urlencode(signed(PARAMETERS, private_key=key)).encode()), *keys)


def test_the_refusal_says_nothing_secret():
    with pytest.raises(InvalidSignature) as refusal:
        _read(_post(urlencode(signed(PARAMETERS, private_key="another")).encode()))
    right = signed(PARAMETERS, private_key=PRIVATE_KEY)["security_request_hash"]
    assert not [secret for secret in (PRIVATE_KEY, right, *PARAMETERS.values()) if secret in str(refusal.value)]


@pytest.mark.parametrize("changed", [{"quantity": "4"}, {"product": "studio"}, {"extra": "1"}])
def test_a_changed_request_is_refused(changed):
    parameters = signed(PARAMETERS, private_key=PRIVATE_KEY)
    with pytest.raises(InvalidSignature):
        _read(_post(urlencode({**parameters, **changed}).encode()))


def test_parameters_of_the_address_may_be_hashed_or_not():
    """FastSpring's sample hashes them; its words leave it open. What is not hashed is not believed."""
    with_both = signed({**PARAMETERS, "output": "single"}, private_key=PRIVATE_KEY)
    body = urlencode({name: value for name, value in with_both.items() if name != "output"}).encode()
    assert _read(_post(body, query=b"output=single")).write(["K1"], is_per_unit=False) == "K1"
    only_form = urlencode(signed(PARAMETERS, private_key=PRIVATE_KEY)).encode()
    asked = _read(_post(only_form, query=b"output=single&quantity=1"))
    assert asked.quantity == 3
    assert asked.write(["K1", "K2", "K3"], is_per_unit=True) == "K1\nK2\nK3"


@pytest.mark.parametrize("is_stripped", [True, False])
def test_backslashes_may_be_hashed_or_not(is_stripped):
    company = "back\\slash \\\\ GmbH"
    hashed = company.replace("\\", "") if is_stripped else company
    values = [hashed, *(PARAMETERS[name] for name in sorted(PARAMETERS) if name != "company")]
    body = urlencode({**PARAMETERS, "company": company, "security_request_hash": _hashed(*values)}).encode()
    assert _read(_post(body)).quantity == 3


@pytest.mark.parametrize("charset", ["ISO-8859-1", "windows-1252", "utf-8"])
@pytest.mark.parametrize("hashed_in", ["utf-8", "request"])
def test_the_merchant_chooses_the_charset(charset, hashed_in):
    parameters = {**PARAMETERS, "name": "Jörg Müßig"}
    values = [parameters[name] for name in sorted(parameters)]
    made = _hashed(*values, charset=charset if hashed_in == "request" else "utf-8")
    body = urlencode({**parameters, "security_request_hash": made}, encoding=charset).encode()
    request = _post(body, content_type=f"{FORM}; Charset='{charset}'")
    event = _read(request).event
    (fact,) = ADAPTER.translators[event.event_type](Payload.from_json(event.body))
    assert fact.customer == Customer(first_name="Jörg", last_name="Müßig", email="kim@example.com", company="Doe Ltd")


def test_get_has_everything_in_the_address():
    query = urlencode(signed(PARAMETERS, private_key=PRIVATE_KEY)).encode()
    assert _read(FulfilmentRequest(query=query, is_post=False)).product == "photon"


# --- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        _post(b"quantity=1&quantity=2"),
        _post(b"name=%FF"),
        _post(b"%FF=1"),
        _post(b"&".join(b"p%d=1" % number for number in range(101))),
        _post(b"name=" + b"x" * 10_001),
        _post(b"x" * 10_001 + b"=1"),
        _post(b"", content_type="application/json"),
        _post(b"", content_type="multipart/form-data; boundary=x"),
        _post(b"", content_type=""),
        _post(b"", content_type=f"{FORM}; charset=klingon"),
        _post(b"", content_type=f"{FORM}; charset=unicode_escape"),
        _post(b"", content_type=f"{FORM}; charset=utf-16"),
        _post(b"", content_type=f"{FORM}; charset=\x00"),
    ],
    ids=str,
)
def test_what_can_be_read_in_two_ways_or_not_at_all_is_an_error(request_):
    with pytest.raises(MalformedPayload):
        _read(request_)


@given(
    body=st.binary(max_size=60) | st.text("%&=+;aF\x00", max_size=40).map(str.encode),
    query=st.binary(max_size=60),
    content_type=st.text(max_size=20) | st.text(max_size=10).map(lambda text: f"{FORM};charset={text}"),
    is_post=st.booleans(),
)
def test_whatever_comes_is_refused_in_order(body, query, content_type, is_post):
    request = FulfilmentRequest(body=body, query=query, content_type=content_type, is_post=is_post)
    with pytest.raises((InvalidSignature, PayloadError)):
        _read(request)


@given(parameters=st.dictionaries(st.sampled_from([*sorted(BUILT_IN), "output", "single_license"]), st.text()))
def test_whatever_is_signed_is_read_or_an_error_that_says_where(parameters):
    body = urlencode(signed(parameters, private_key=PRIVATE_KEY), errors="replace").encode()
    try:
        event = _read(_post(body)).event
    except (PayloadError, InvalidSignature):
        return
    (fact,) = ADAPTER.translators[event.event_type](Payload.from_json(event.body))
    assert fact.item.quantity > 0
    event.body.encode()


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"reference": ""}, "reference"),
        ({"reference": "x" * 201}, "reference"),
        ({"product": " "}, "product"),
        ({"quantity": ""}, "quantity"),
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "three"}, "quantity"),
        ({"quantity": "99999999999"}, "quantity"),
        ({"output": "pdf"}, "output"),
        ({"single_license": "perhaps"}, "single_license"),
        ({"test": "maybe"}, "test"),
        ({"sequence": "second"}, "sequence"),
        ({"sequence": "2"}, "sequence"),
        ({"sequence": "13", "subscription": " "}, "sequence"),
    ],
)
def test_a_parameter_that_means_nothing_is_named(changed, where):
    with pytest.raises(MalformedPayload) as error:
        _asked(**changed)
    assert error.value.path.endswith(where)


# --- the event -------------------------------------------------------------------------------------------------------


def test_the_request_becomes_an_event_of_its_own():
    event = _asked(tags='{"affiliate": "ünïx"}', test="true").event
    assert (event.event_type, event.occurred_at, event.is_live, event.problem) == (
        "fulfilment.requested",
        NOW,
        False,
        "",
    )
    assert len(event.external_id) < 100
    assert "security_request_hash" not in event.body


@pytest.mark.parametrize(
    ("test", "is_live"), [("true", False), (" TRUE ", False), ("false", True), ("", True), (" ", True), ("no", True)]
)
def test_only_a_test_order_says_so(test, is_live):
    assert _asked(test=test).event.is_live is is_live
    assert _fact(test=test).is_live is is_live


def test_the_same_request_is_the_same_event_whenever_it_comes():
    later = _read(
        _post(urlencode(signed({**PARAMETERS, "name": "Kim"}, private_key=PRIVATE_KEY)).encode()),
        received_at=NOW + timedelta(days=2),
    )
    assert later.event.external_id == _asked().event.external_id


@pytest.mark.parametrize(
    "changed",
    [
        {"reference": "ACM-2"},
        {"product": "studio"},
        {"quantity": "4"},
        {"subscription": "sub-1"},
        {"test": "true"},
        {"max_activations": "3"},
        {"output": "single"},
    ],
)
def test_another_request_is_another_event(changed):
    assert _asked(**changed).event.external_id != _asked().event.external_id


def test_a_corrected_pair_of_the_merchant_is_another_event():
    assert _asked(max_activations="3").event.external_id != _asked(max_activations="many").event.external_id


def test_a_renewal_is_told_what_to_configure():
    with pytest.raises(MalformedPayload, match="First Orders Only, or let it send the parameter subscription"):
        _asked(sequence="2")
    for known in ({"sequence": "1"}, {"sequence": ""}, {"sequence": "2", "subscription": "sub-1"}):
        assert _asked(**known).quantity == 3


def test_facts_of_a_request():
    fact = _fact(cryptlex_product_id="prod-1", custom_field_Team="Blue", subscription="sub-1", sequence="1")
    assert (fact.reference, fact.subscription_id, fact.occurred_at) == ("ACM250312-7710-81125", "sub-1", NOW)
    assert (fact.item.line, fact.item.product, fact.item.quantity) == ("photon", "photon", 3)
    assert fact.item.attributes == {"cryptlex_product_id": "prod-1", "custom_field_Team": "Blue"}
    assert fact.customer == Customer(email="kim@example.com", first_name="Kim van", last_name="Doe", company="Doe Ltd")
    assert fact.is_live
    assert fact.note == "FastSpring asked for 3 keys of photon, to complete the order and show it to the buyer."


@pytest.mark.parametrize("product", [{}, {"product": ""}])
def test_names_of_the_classic_platform_count_where_the_others_are_empty(product):
    shared = {name: value for name, value in PARAMETERS.items() if name != "product"}
    old = {"internalProductName": "photon-classic", "subscriptionReference": "sub-classic", "subscription": ""}
    asked = _read(_post(urlencode(signed({**shared, **product, **old}, private_key=PRIVATE_KEY)).encode()))
    assert (asked.product, asked.subscription_id) == ("photon-classic", "sub-classic")


@pytest.mark.parametrize("one", [{"single_license": "true"}, {"single_license": "Yes"}, {"output": "Single"}])
def test_a_single_license_is_asked_for_in_its_attributes_too(one):
    assert _fact(**one).item.attributes["single_license"] == "true"


@pytest.mark.parametrize("several", [{}, {"single_license": ""}, {"single_license": "false"}, {"output": "lines"}])
def test_otherwise_it_is_not(several):
    assert _fact(**several).item.attributes.get("single_license") != "true"


# --- the answer ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", [{}, {"output": "lines"}, {"output": "multi-line"}, {"output": "single-line"}])
def test_there_is_a_line_for_each_key_and_no_more(output):
    assert _asked(**output).write(["K1", "K2", "K3"], is_per_unit=True) == "K1\nK2\nK3"


def test_one_license_may_stand_for_the_whole_quantity():
    for asked in (_asked(), _asked(output="single")):
        assert asked.write(["K1"], is_per_unit=False) == "K1"


@pytest.mark.parametrize(
    ("keys", "is_per_unit"),
    [([], True), ([], False), (["K1"], True), (["K1", "K2"], True), (["K1", "K2"], False), (["K1"] * 4, True)],
)
def test_a_wrong_number_of_keys_is_never_written(keys, is_per_unit):
    with pytest.raises(PayloadError, match="3 keys were asked for") as error:
        _asked().write(keys, is_per_unit=is_per_unit)
    assert "K1" not in str(error.value)


def test_several_keys_are_no_single_one():
    with pytest.raises(PayloadError, match="one key was asked for"):
        _asked(output="single").write(["K1", "K2", "K3"], is_per_unit=True)
    with pytest.raises(PayloadError, match="one key was asked for, but there is 1 license"):
        _asked(output="single").write(["K1"], is_per_unit=True)  # the one that is left of three
