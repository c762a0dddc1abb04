"""Who may see an order's page."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_django import Settings

from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.services import order_access
from licensing_integration.services.order_access import LONGEST_REFERENCE, is_secret, may_see, token_for
from licensing_integration.stores import registry

SECRET = "a-secret-for-order-pages-of-the-tests"
STORE = "fastspring"
ORDER = "WxRh7kNjSdGFZtTJtPc0Dg"


@pytest.fixture(autouse=True)
def _configured(settings: Settings) -> None:
    settings.ORDER_PAGE_SECRET = (SECRET,)
    settings.STORES = [settings.STORES[0], {**settings.STORES[0], "name": "other"}]


@pytest.fixture
def secretive(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> str:
    """A store whose order ids are secrets when they begin with ``cs_``."""
    adapter = replace(registry.ADAPTERS["fastspring"], is_secret_reference=lambda text: text.startswith("cs_"))
    monkeypatch.setattr(registry, "ADAPTERS", {**registry.ADAPTERS, "secretive": adapter})
    settings.STORES = [*settings.STORES, {"name": "secretive", "adapter": "secretive"}]
    return "secretive"


def test_the_token_is_what_the_documentation_says():
    expected = hmac.new(SECRET.encode(), f"{STORE}/{ORDER}".encode(), hashlib.sha256).hexdigest()
    assert token_for(STORE, ORDER) == expected
    assert may_see(STORE, ORDER, token=expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: token[:-1],
        lambda token: token + "0",
        lambda token: "0" * 64,
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: f" {token}",
        lambda token: "ü" * 64,
        lambda token: "\ud800\x00",
        lambda token: "x" * 1_000_000,
    ],
)
def test_any_other_token_opens_nothing(change):
    assert not may_see(STORE, ORDER, token=change(token_for(STORE, ORDER)))


def test_a_token_opens_no_other_order():
    assert not may_see(STORE, "another-order", token=token_for(STORE, ORDER))


def test_a_token_opens_nothing_at_another_store():
    assert not may_see("other", ORDER, token=token_for(STORE, ORDER))
    assert not may_see(STORE, ORDER, token=token_for("other", ORDER))


def test_a_slash_cannot_move_from_the_store_to_the_order(settings: Settings):
    settings.STORES = [{**settings.STORES[0], "name": name} for name in ("a", "a/b")]
    with pytest.raises(ConfigurationProblem):
        token_for("a", "b/c")
    assert not may_see("a", "b/c", token=token_for("a/b", "c"))


def test_a_secret_can_be_replaced_without_breaking_links(settings: Settings):
    old = token_for(STORE, ORDER)
    settings.ORDER_PAGE_SECRET = ("the-new-secret-comes-first-and-signs", SECRET)
    new = token_for(STORE, ORDER)
    assert new != old
    assert may_see(STORE, ORDER, token=new)
    assert may_see(STORE, ORDER, token=old)
    settings.ORDER_PAGE_SECRET = settings.ORDER_PAGE_SECRET[:1]
    assert not may_see(STORE, ORDER, token=old)


def test_without_a_secret_no_token_opens_anything(settings: Settings):
    settings.ORDER_PAGE_SECRET = ()
    of_nothing = hmac.new(b"", f"{STORE}/{ORDER}".encode(), hashlib.sha256).hexdigest()
    assert not any(may_see(STORE, ORDER, token=token) for token in ("", of_nothing))
    with pytest.raises(ConfigurationProblem, match="ORDER_PAGE_SECRET"):
        token_for(STORE, ORDER)


def test_every_secret_is_compared_in_constant_time_whichever_is_right(monkeypatch, settings: Settings):
    settings.ORDER_PAGE_SECRET = (SECRET, "another-secret-that-is-tried-as-well")
    compared: list[tuple[bytes, bytes]] = []
    constant_time = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return constant_time(one, other)

    monkeypatch.setattr(order_access.hmac, "compare_digest", compare)
    right = token_for(STORE, ORDER)
    assert may_see(STORE, ORDER, token=right)
    assert not may_see(STORE, ORDER, token="0" * 64)
    assert [given.decode() for given, _ in compared] == [right, right, "0" * 64, "0" * 64]


def test_an_id_that_is_a_secret_needs_no_token(secretive: str):
    assert may_see(secretive, "cs_live_x", token="")
    assert not may_see(secretive, "in_x", token="")
    assert may_see(secretive, "in_x", token=token_for(secretive, "in_x"))


def test_what_is_a_secret_at_one_store_is_none_at_another(secretive: str):
    assert not may_see(STORE, "cs_live_x", token="")


def test_an_id_that_is_a_secret_needs_no_secret_of_ours(secretive: str, settings: Settings):
    settings.ORDER_PAGE_SECRET = ()
    assert may_see(secretive, "cs_live_x", token="")


@pytest.mark.parametrize("store", ["nobody", "", "no/body", "\x00"])
def test_a_store_nobody_configured_has_no_pages(store: str):
    assert not may_see(store, ORDER, token=token_for(store, ORDER))


def test_a_store_whose_adapter_is_gone_has_no_secret_ids(settings: Settings):
    settings.STORES = [{"name": STORE, "adapter": "no-such"}]
    assert not is_secret(STORE, ORDER)
    assert may_see(STORE, ORDER, token=token_for(STORE, ORDER))


@pytest.mark.parametrize(
    "reference", ["", "a\x00b", "a\nb", "\ud800", "a/b", "x" * (LONGEST_REFERENCE + 1), "\u202eabc", "a\u2028b"]
)
def test_what_cannot_be_an_id_opens_nothing_even_with_its_token(secretive: str, reference: str):
    message = f"{STORE}/{reference}".encode(errors="surrogatepass")
    token = hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()
    assert not may_see(STORE, reference, token=token)
    assert not may_see(secretive, f"cs_{reference}" if reference else "", token="")
    with pytest.raises(ConfigurationProblem, match="1 to 200 characters"):
        token_for(STORE, reference)


@pytest.mark.parametrize("reference", ["-starts-with-a-dash", "bücher-Ωmega", "a b", "x" * LONGEST_REFERENCE, "%2F"])
def test_unusual_ids_have_tokens_like_any_other(reference: str):
    assert may_see(STORE, reference, token=token_for(STORE, reference))


@pytest.mark.skipif("stripe" not in registry.ADAPTERS, reason="there is no adapter for Stripe")
def test_a_checkout_session_is_a_secret_and_stripes_other_ids_are_not(settings: Settings):
    settings.STORES = [{"name": "stripe", "adapter": "stripe"}]
    for mode in ("live", "test"):
        assert is_secret("stripe", f"cs_{mode}_a1dzCCTlRGcGmbfV1FYAGBJCTwer8vrkIXhlFaUSLzgkh6iPCWusxnzFKi")
    for guessable in ("cs_live_", "cs_live_1", "sub_1OtXlmAYT57ofgsd", "in_1OtXlmAYT57ofgsd", "pi_3", "cus_1", ""):
        assert not is_secret("stripe", guessable)


def test_the_python_example_of_the_documentation_is_right():
    page = (Path(__file__).parents[2] / "docs" / "order-page.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {"SECRET": SECRET}
    exec(example, names)
    address = names["order_address"](ORDER)
    assert address == f"https://licensing.acme.example/orders/{STORE}/{ORDER}/?token={token_for(STORE, ORDER)}"
