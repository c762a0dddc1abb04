from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from licensing_integration.domain.outcomes import RejectionReason
from licensing_integration.exceptions import InvalidSignature
from licensing_integration.stores.base import Delivery, Secret
from licensing_integration.stores.stripe.rewritten import LARGEST, originals
from licensing_integration.stores.stripe.signature import sign, verify, without_signatures
from tests.stores.stripe import samples

SENT = 1760000000
OLD, NEW = "whsec_old_example", "whsec_new_example"
BODY = b'{"id":"evt_test","object":"event","type":"invoice.paid"}'
BODY_BY_OLD = "569993df594a1e5096f6c6c6f5ccbee142e056bdd8f1f93f78dbb44fc36031d7"
BODY_BY_NEW = "040ed49e5ff99d21a5dee4fe11018b7a44829b43fe194d589823cedefd448da9"
NAME = '{"name":"Zoë"}'.encode()
NAME_BY_NEW = "295b266082a6e957af5f27809205f6713ca2fdcf312255a12bb76aff9f96058a"


def check(body: bytes, header: str | None, *secrets: str, now: float = SENT) -> list[str]:
    headers = {} if header is None else {"stripe-signature": header}
    return list(verify(Delivery(body=body, headers=headers), [Secret(secret) for secret in secrets], now=lambda: now))


def refused(body: bytes, header: str | None, *secrets: str, now: float = SENT) -> InvalidSignature:
    with pytest.raises(InvalidSignature) as refusal:
        check(body, header, *secrets, now=now)
    return refusal.value


def by_hand(body: bytes, secret: str, *, timestamp: int = SENT) -> str:
    """The signature without the SDK."""
    signature = hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={signature}"


# Known answers


@pytest.mark.parametrize(
    ("body", "signature", "secret"), [(BODY, BODY_BY_OLD, OLD), (BODY, BODY_BY_NEW, NEW), (NAME, NAME_BY_NEW, NEW)]
)
def test_known_answers(body: bytes, signature: str, secret: str) -> None:
    check(body, f"t={SENT},v1={signature}", secret)
    assert sign(body, secret, timestamp=SENT) == f"t={SENT},v1={signature}" == by_hand(body, secret)


def test_the_clock_is_the_systems_unless_told_otherwise() -> None:
    headers = {"stripe-signature": sign(BODY, OLD, timestamp=int(time.time()))}
    verify(Delivery(body=BODY, headers=headers), [Secret(OLD)])
    with pytest.raises(InvalidSignature):
        verify(Delivery(body=BODY, headers={"stripe-signature": by_hand(BODY, OLD)}), [Secret(OLD)])


# Rotation


@pytest.mark.parametrize("secrets", [(OLD, NEW), (NEW, OLD), ("", OLD), (OLD, " ")])
def test_any_of_several_secrets_will_do(secrets: tuple[str, ...]) -> None:
    check(BODY, f"t={SENT},v1={BODY_BY_OLD}", *secrets)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_while_stripe_rolls_a_secret_it_signs_with_both(secret: str) -> None:
    check(BODY, f"t={SENT},v1={BODY_BY_OLD},v1={BODY_BY_NEW},v0={'0' * 64}", secret)


def test_both_secrets_are_told_while_stripe_signs_with_both() -> None:
    header = f"t={SENT},v1={BODY_BY_OLD},v1={BODY_BY_NEW}"
    assert check(BODY, header, "whsec_a_third", NEW, OLD) == [NEW, OLD]


# Time


@pytest.mark.parametrize("late", [-300, -1, 0, 1, 300])
def test_five_minutes_are_tolerated(late: int) -> None:
    check(BODY, f"t={SENT},v1={BODY_BY_OLD}", OLD, now=SENT + late)


@pytest.mark.parametrize(
    ("late", "words"), [(301, "301 seconds ago"), (86400, "86400 seconds ago"), (-301, "301 seconds in the future")]
)
def test_an_old_delivery_is_told_from_a_wrong_secret(late: int, words: str) -> None:
    refusal = refused(BODY, f"t={SENT},v1={BODY_BY_OLD}", NEW, OLD, now=SENT + late)
    assert refusal.reason == RejectionReason.OLD_SIGNATURE
    assert words in str(refusal)
    assert "delayed" in str(refusal)
    assert "clock" in str(refusal)


def test_an_old_delivery_by_a_wrong_secret_is_just_wrong() -> None:
    refusal = refused(BODY, f"t={SENT},v1={BODY_BY_OLD}", NEW, now=SENT + 9999)
    assert refusal.reason == RejectionReason.WRONG_SIGNATURE


@pytest.mark.parametrize(
    "header", ["t={old},v1={sig},t={now}", "t={now},t={old},v1={sig}", "t={old}_0,v1={sig},t={now}"]
)
def test_a_second_time_stamp_does_not_make_an_old_delivery_young(header: str) -> None:
    now = SENT + 9999
    refusal = refused(BODY, header.format(old=SENT, now=now, sig=BODY_BY_OLD), OLD, now=now)
    assert refusal.reason == RejectionReason.UNREADABLE_SIGNATURE


# Headers


@pytest.mark.parametrize("header", [None, "", "  "])
def test_a_missing_header_is_explained(header: str | None) -> None:
    refusal = refused(BODY, header, OLD)
    assert refusal.reason == RejectionReason.NO_SIGNATURE
    assert "Stripe-Signature header is missing" in str(refusal)


@pytest.mark.parametrize(
    "header",
    [
        "x",
        f"t={SENT}",
        f"t={SENT},v1=",
        f"t={SENT},v0={BODY_BY_OLD}",
        f"v1={BODY_BY_OLD}",
        f"t=,v1={BODY_BY_OLD}",
        f"t=abc,v1={BODY_BY_OLD}",
        f"t=-1,v1={BODY_BY_OLD}",
        f"t=1.5,v1={BODY_BY_OLD}",
        f"t={'9' * 5000},v1={BODY_BY_OLD}",
        f"t=١٧٦,v1={BODY_BY_OLD}",
        f"t={SENT}, v1={BODY_BY_OLD}",
        f"t={SENT},v1=é",
        "\udc80",
    ],
)
def test_an_unreadable_header_is_explained(header: str) -> None:
    refusal = refused(BODY, header, OLD)
    assert refusal.reason == RejectionReason.UNREADABLE_SIGNATURE
    assert "t=…,v1=…" in str(refusal)


@pytest.mark.parametrize("damage", [str.upper, lambda s: s[:-1], lambda s: s + "0", lambda s: "0" * 64])
def test_the_signature_is_compared_to_the_letter(damage: Callable[[str], str]) -> None:
    refusal = refused(BODY, f"t={SENT},v1={damage(BODY_BY_OLD)}", OLD)
    assert refusal.reason == RejectionReason.WRONG_SIGNATURE


@pytest.mark.parametrize("secrets", [(), ("",), (" ", "\t")])
def test_missing_secrets_are_explained_and_sign_nothing(secrets: tuple[str, ...]) -> None:
    refusal = refused(BODY, by_hand(BODY, secrets[0] if secrets else ""), *secrets)
    assert refusal.reason == RejectionReason.NO_SECRET
    assert "No Stripe webhook secret is configured" in str(refusal)


# Bodies that somebody rewrote

EVENT = json.loads(samples.body("checkout.session.completed--subscription"))


def ruby(value: object) -> bytes:
    """As Stripe writes JSON: indented by two, empty objects and lists on lines of their own."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    text = re.sub(r"^( *)(.*)\{\}(,?)$", r"\1\2{\n\1}\3", text, flags=re.MULTILINE)
    return re.sub(r"^( *)(.*)\[\](,?)$", r"\1\2[\n\n\1]\3", text, flags=re.MULTILINE).encode()


SENT_BY = {
    "stripe": ruby(EVENT),
    "indented": json.dumps(EVENT, indent=2, ensure_ascii=False).encode(),
    "compact": json.dumps(EVENT, separators=(",", ":")).encode(),
}
REWRITES: dict[str, Callable[[bytes], bytes]] = {
    "compact": lambda body: json.dumps(json.loads(body), separators=(",", ":")).encode(),
    "compact, unescaped": lambda body: json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode(),
    "spaced": lambda body: json.dumps(json.loads(body)).encode(),
    "indented by four": lambda body: json.dumps(json.loads(body), indent=4).encode(),
    "line ends": lambda body: body.replace(b"\n", b"\r\n") + b"\r\n",
    "new line added": lambda body: body + b"\n",
    "byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "base64": base64.b64encode,
}


PAIRS = [(s, r) for s, body in SENT_BY.items() for r, rewrite in REWRITES.items() if rewrite(body) != body]


@pytest.mark.parametrize(("sender", "rewrite"), PAIRS)
def test_a_body_that_a_proxy_rewrote_is_told_from_a_wrong_secret(sender: str, rewrite: str) -> None:
    body = SENT_BY[sender]
    refusal = refused(REWRITES[rewrite](body), by_hand(body, OLD), NEW, OLD)
    assert refusal.reason == RejectionReason.CHANGED_BODY
    assert "changed on the way" in str(refusal)


def test_another_character_set_is_a_changed_body() -> None:
    refusal = refused('{"name":"Zoë"}'.encode("latin-1"), f"t={SENT},v1={NAME_BY_NEW}", NEW)
    assert refusal.reason == RejectionReason.CHANGED_BODY


def test_a_body_with_other_content_is_not_called_rewritten() -> None:
    changed: dict[str, Any] = {**EVENT, "livemode": not EVENT["livemode"]}
    refusal = refused(json.dumps(changed).encode(), by_hand(SENT_BY["stripe"], OLD), OLD)
    assert refusal.reason == RejectionReason.WRONG_SIGNATURE
    assert "live mode" in str(refusal)


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff\xfe", b"[" * 50_000, b'{"a":NaN}', b"7"])
def test_nonsense_is_refused_as_wrong(body: bytes) -> None:
    refusal = refused(body, by_hand(BODY, OLD), OLD)
    assert refusal.reason == RejectionReason.WRONG_SIGNATURE


def test_explaining_a_refusal_costs_little_however_large_the_body() -> None:
    """Anybody may send a wrongly signed body, so nothing is spent on large ones."""
    assert list(originals(b'{"a":"' + b"x" * LARGEST + b'"}')) == []
    body = json.dumps({"a": ["x"] * (LARGEST // 5)}, separators=(",", ":")).encode()[:LARGEST]
    started = time.perf_counter()
    refused(body, by_hand(b"other", OLD), OLD)
    assert time.perf_counter() - started < 0.5


def test_of_the_header_only_the_time_is_kept() -> None:
    assert without_signatures(f"t={SENT},v1={BODY_BY_OLD},v1={BODY_BY_NEW},v0={BODY_BY_NEW}") == f"t={SENT}"
    assert without_signatures(f"v1={BODY_BY_OLD}") == ""
