"""``security_request_hash`` proves that FastSpring asks: MD5 over the values of all parameters and a private key.

The values in the ordinal order of their names, decoded, nothing between them, then the key of the fulfilment's Security
tab. FastSpring's sample in PHP leaves some of it open, so each of its readings counts: with or without the parameters
that the merchant has put into the address itself, with or without backslashes, sorted with or without regard to case,
in the request's charset or UTF-8. None of them lets anything through without the key.

There is neither a time nor a nonce in it, and the names are not hashed: docs/stores/fastspring.md says what follows.
"""

from __future__ import annotations

import codecs
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Final
from urllib.parse import unquote_to_bytes

from licensing_integration.domain.outcomes import RejectionReason
from licensing_integration.exceptions import InvalidSignature, MalformedPayload
from licensing_integration.stores.base import FulfilmentRequest, Secret

HASH: Final = "security_request_hash"
FORM: Final = "application/x-www-form-urlencoded"
MOST_PARAMETERS: Final = 100  # FastSpring has about 15 and takes 10 of the merchant's
LONGEST_VALUE: Final = 10_000  # characters; order tags come in one value

# Charsets that read ASCII as ASCII, by Python's names; it knows stranger ones.
_CHARSET: Final = re.compile(r"utf-8|ascii|iso8859-\d+|cp(125\d|932)|koi8-[ru]|shift_jis|euc_(jp|kr)|gb\w+|big5")
_ORDERS: Final[tuple[Callable[[str], str], ...]] = (str, str.casefold)


def request_hash(values: Sequence[str], key: str, *, charset: str = "utf-8") -> str:
    """What FastSpring sends for these values, in the order of their names."""
    text = "".join([*values, key])
    return hashlib.md5(text.encode(charset, "replace"), usedforsecurity=False).hexdigest()


def verified_parameters(request: FulfilmentRequest, keys: Sequence[Secret]) -> Mapping[str, str]:
    """The parameters that a hash under one of ``keys`` covers, without the hash.

    Raises ``InvalidSignature`` if there is none, ``MalformedPayload`` for a request that cannot be read.
    """
    charset = _charset(request.content_type) if request.is_post else "utf-8"
    in_address = _parse(request.query, charset=charset)
    if request.is_post:
        form = _parse(request.body, charset=charset)
        candidates = [form, {**in_address, **form}]
    else:
        candidates = [in_address]
    usable = [key for key in keys if key.strip()]
    found = [parameters for parameters in candidates if _is_proven(parameters, usable, charset=charset)]
    if not found:
        raise InvalidSignature(
            f"No configured private key makes the {HASH} of this request. Compare the private key on the Security tab "
            "of the fulfilment in FastSpring with the store's fulfilment key here.",
            reason=RejectionReason.WRONG_HASH,
        )
    return {name: value for name, value in found[0].items() if name != HASH}


def _is_proven(parameters: Mapping[str, str], keys: Sequence[Secret], *, charset: str) -> bool:
    received = parameters.get(HASH, "").strip().lower().encode()
    # All are tried, so that the time taken does not tell which one matched.
    matches = [
        hmac.compare_digest(made.encode(), received) for made in _possible_hashes(parameters, keys, charset=charset)
    ]
    return bool(received) and any(matches)


def _possible_hashes(parameters: Mapping[str, str], keys: Sequence[Secret], *, charset: str) -> Iterator[str]:
    names = [name for name in parameters if name != HASH]
    for order, is_stripped, encoding in product(_ORDERS, (False, True), dict.fromkeys(("utf-8", charset))):
        values = [parameters[name] for name in sorted(names, key=order)]
        if is_stripped:
            values = [value.replace("\\", "") for value in values]
        for key in keys:
            yield request_hash(values, key, charset=encoding)


# --- reading ---------------------------------------------------------------------------------------------------------


def _charset(content_type: str) -> str:
    """As named by the request; the merchant chooses it in FastSpring."""
    kind, *options = content_type.split(";")
    if kind.strip().lower() != FORM:
        raise MalformedPayload("Content-Type", f"not {FORM}")
    pairs = [option.partition("=") for option in options]
    named = [value for name, _, value in pairs if name.strip().lower() == "charset"]
    try:
        charset = codecs.lookup(named[0].strip().strip("\"'") if named else "utf-8").name
    except (LookupError, ValueError) as error:
        raise MalformedPayload("Content-Type", "a charset we do not know") from error
    if not _CHARSET.fullmatch(charset):
        raise MalformedPayload("Content-Type", "a charset we do not know")
    return charset


def _parse(pairs: bytes, *, charset: str) -> dict[str, str]:
    """By name. Unlike the parsers for browsers' forms it takes nothing that can be read in two ways."""
    parts = [part for part in pairs.split(b"&") if part]
    if len(parts) > MOST_PARAMETERS:
        raise MalformedPayload("request", f"more than {MOST_PARAMETERS} parameters")
    parameters: dict[str, str] = {}
    for name, _, value in (part.partition(b"=") for part in parts):
        key, text = _decode(name, charset=charset), _decode(value, charset=charset)
        if key in parameters:
            raise MalformedPayload("request", "a parameter that comes twice")
        if len(key) > LONGEST_VALUE or len(text) > LONGEST_VALUE:
            raise MalformedPayload("request", f"a value of more than {LONGEST_VALUE} characters")
        parameters[key] = text
    return parameters


def _decode(text: bytes, *, charset: str) -> str:
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode(charset)
    except (UnicodeError, ValueError) as error:
        raise MalformedPayload("request", "text that is not in its own charset") from error
