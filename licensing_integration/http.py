"""One way out: pooled session, time limits, the shared request budget, and every HTTP outcome as one of our errors.

A message built here names the server, the method, the path *template*, the status and what to do about it. Query
strings, request bodies, tokens, e-mail addresses and license keys never enter a message or a log line; for the same
reason an error is chained to the socket's own failure and not to the library's wrapper, which quotes the whole URL.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import NoReturn
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from licensing_integration import calls
from licensing_integration.exceptions import (
    ConfigurationProblem,
    CredentialsRejected,
    LicensingIntegrationError,
    PermanentRemoteError,
    TransientRemoteError,
)

logger = logging.getLogger(__name__)

call_deadline: ContextVar[float | None] = ContextVar("call_deadline", default=None)
"""The moment, on ``time.monotonic()``'s clock, at which the caller's lease runs out; no call outlives it."""

CONNECT_SECONDS, READ_SECONDS = 5.0, 20.0
POOL_SIZE = 64
MAX_SENTENCE = 300
DEFAULT_RATE_LIMIT_WAIT = 5.0
MAX_WAIT = 3600.0  # a server's clock may be wrong by years; nobody waits longer than an hour on its word
_MIN_CALL_SECONDS = 0.05

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid", "cf-ray")
_SENTENCE_MEMBERS = ("message", "detail", "error_description", "error", "title")
_CODE_MEMBERS = ("code", "error_code")
_RESET_FORMATS = ("%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%Y-%m-%d %H:%M:%S %Z", "%Y/%m/%d %H:%M:%S")


Query = Mapping[str, str | int | Sequence[str]]
"""Query parameters by name; one with several values is sent once for each."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A successful answer. ``data`` is the decoded JSON, ``None`` where the server sent no body on purpose."""

    status: int
    data: object
    headers: Mapping[str, str]
    request_id: str = ""


@dataclass(frozen=True, kw_only=True)
class _Call:
    """What messages and log lines may say about a call."""

    server: str
    method: str
    template: str

    def __str__(self) -> str:
        return f"{self.server}: {self.method} {self.template}"


class RemoteSession:
    """The connection pool to one server; safe to share among threads.

    ``before_request`` runs before every single call, redirects and retries do not exist: it may wait for the shared
    request budget, or raise ``TransientRemoteError(may_have_succeeded=False)``. ``on_rate_limited`` gets the seconds to
    stay away after a 429. ``timeout``: seconds to connect, and seconds without a byte while reading.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
        timeout: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS),
        before_request: Callable[[], None] | None = None,
        on_rate_limited: Callable[[float], None] | None = None,
    ) -> None:
        self.name = name
        self.base_url = _checked_base_url(name, base_url)
        self._timeout = timeout
        self._before_request = before_request
        self._on_rate_limited = on_rate_limited
        self._session = _new_session(_checked_headers(name, headers or {}), auth=auth)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Query | None = None,
        json: object = None,
        ids: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call. ``path`` is a template such as ``/v3/licenses/{id}``; ``ids`` fill it, quoted, and are never empty.

        Raises ``TransientRemoteError``, ``PermanentRemoteError``, ``CredentialsRejected``, ``ConfigurationProblem``;
        ``ValueError`` before any call for an id that would change the meaning of the path.
        """
        call = _Call(server=self.name, method=method, template=path)
        url = self.base_url + fill_path(path, ids=ids or {})
        _remaining_seconds(call)
        if self._before_request is not None:
            self._before_request()
        response = self._send(call, url, params=params, json=json)
        request_id = _request_id(response.headers)
        if 200 <= response.status_code < 300:
            data = _decode(call, response, request_id=request_id)
            return Answer(status=response.status_code, data=data, headers=response.headers, request_id=request_id)
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self._raise_rate_limited(call, response, request_id=request_id)
        _raise_refused(call, response, request_id=request_id)

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def _send(self, call: _Call, url: str, *, params: Query | None, json: object) -> requests.Response:
        timeout = _clip_timeout(self._timeout, remaining=_remaining_seconds(call))
        said = params if json is None else json
        started = time.monotonic()
        try:
            response = self._session.request(
                call.method, url, params=params, json=json, timeout=timeout, allow_redirects=False
            )
        except requests.RequestException as error:
            milliseconds = _log(call, status=0, started=started, request_id="")
            try:
                _raise_unanswered(call, error)
            except LicensingIntegrationError as failure:
                _keep(call, said=said, answer=str(failure), ms=milliseconds)
                raise
        status, request_id = response.status_code, _request_id(response.headers)
        milliseconds = _log(call, status=status, started=started, request_id=request_id)
        _keep(call, said=said, answer=response.content, ms=milliseconds, status=status, request_id=request_id)
        return response

    def _raise_rate_limited(self, call: _Call, response: requests.Response, *, request_id: str) -> NoReturn:
        wait = parse_retry_after(response.headers)
        wait = DEFAULT_RATE_LIMIT_WAIT if wait is None else wait
        if self._on_rate_limited is not None:
            self._on_rate_limited(wait)
        raise TransientRemoteError(
            f"{call} was refused (429): too many requests. It is tried again after {wait:.0f} s by itself.",
            retry_after=wait,
            may_have_succeeded=False,
            request_id=request_id,
        )


def fill_path(template: str, *, ids: Mapping[str, str]) -> str:
    """``/v3/licenses/{id}`` with its ids, percent-quoted. An empty or dotted id would address something else."""
    for name, value in ids.items():
        if not value.strip() or value in (".", ".."):
            raise ValueError(f"{template} needs an id for {{{name}}}; without one the call would mean something else")
    return template.format_map({name: quote(value, safe="") for name, value in ids.items()}) if ids else template


def parse_retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds a server asks us to stay away, between 0 and an hour; ``None`` if it does not say, or not readably.

    ``Retry-After`` in seconds or as a date, else ``X-Rate-Limit-Reset``, whose textual format Cryptlex does not
    publish. Dates are compared with the server's own ``Date`` where it sends one, as clocks differ.
    """
    names = {name.lower(): value.strip() for name, value in headers.items()}
    reference = _parse_moment(names.get("date", "")) or now or datetime.now(UTC)
    for value in (names.get("retry-after", ""), names.get("x-rate-limit-reset", "")):
        seconds = _parse_wait(value, now=reference)
        if seconds is not None:
            return min(max(seconds, 0.0), MAX_WAIT)
    return None


def mask(text: str) -> str:
    """``text`` without e-mail addresses, tokens and license keys, on one line, cut to a length fit for a message."""
    text = " ".join(calls.mask(text).split())
    return text if len(text) <= MAX_SENTENCE else text[: MAX_SENTENCE - 1] + "…"


def _checked_base_url(name: str, base_url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", base_url):
        raise ConfigurationProblem(f"{name}: the base URL must look like https://host, without query or credentials.")
    return base_url.rstrip("/")


def _checked_headers(name: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    for header, value in headers.items():
        if not (value.isascii() and value.isprintable()):  # the HTTP library would quote the secret in its complaint
            raise ConfigurationProblem(
                f"{name}: the value for the {header} header has a line break or a special character; check the setting."
            )
    return headers


def _new_session(headers: Mapping[str, str], *, auth: AuthBase | None) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy, no .netrc; a fifth of the CPU time per call (measured)
    session.auth = auth
    session.headers.update({"User-Agent": "licensing-integration", "Accept": "application/json", **headers})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # no state between calls and threads
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=POOL_SIZE, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _remaining_seconds(call: _Call) -> float | None:
    """Seconds until the caller's lease runs out, ``None`` without one; refuses a call that could not finish."""
    deadline = call_deadline.get()
    if deadline is None:
        return None
    remaining = deadline - time.monotonic()
    if remaining < _MIN_CALL_SECONDS:
        raise TransientRemoteError(
            f"{call} was not started: the lease ran out. It is tried again by itself.", may_have_succeeded=False
        )
    return remaining


def _clip_timeout(timeout: tuple[float, float], *, remaining: float | None) -> tuple[float, float]:
    if remaining is None:
        return timeout
    connect = min(timeout[0], remaining / 2)
    return connect, min(timeout[1], remaining - connect)


def _raise_unanswered(call: _Call, error: requests.RequestException) -> NoReturn:
    """No answer came. Whether the request may have been carried out is what matters to the caller."""
    causes = _causes(error)
    if isinstance(error, ValueError):  # InvalidURL, MissingSchema, InvalidHeader: requests makes them all ValueErrors
        raise ConfigurationProblem(f"{call} cannot be sent: check the base URL and the credentials.") from None
    root = causes[-1]
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        problem, may_have_succeeded = "the server's certificate is not trusted; check the base URL", False
    elif any(isinstance(cause, requests.ConnectTimeout | ConnectTimeoutError | NewConnectionError) for cause in causes):
        problem, may_have_succeeded = "the server cannot be reached; check the base URL and the network", False
    elif isinstance(error, requests.ReadTimeout):
        problem, may_have_succeeded = "the server did not answer in time", True
    else:
        problem, may_have_succeeded = "the connection broke before the answer was complete", True
    raise TransientRemoteError(
        f"{call} failed: {problem} ({type(root).__name__}). It is tried again by itself.",
        may_have_succeeded=may_have_succeeded,
    ) from (root if root is not error else None)


def _causes(error: BaseException) -> list[BaseException]:
    """The failure and what caused it, outermost first, through the ways in which requests and urllib3 nest them."""
    chain: list[BaseException] = [error]
    while len(chain) < 10:
        last = chain[-1]
        nested = getattr(last, "reason", None) or last.__cause__ or last.__context__
        # Anything else is an exception the caller was handling when it made the call.
        if not isinstance(nested, OSError | HTTPException | HTTPError) or nested in chain:
            break
        chain.append(nested)
    return chain


def _raise_refused(call: _Call, response: requests.Response, *, request_id: str) -> NoReturn:
    status, (sentence, code) = response.status_code, _server_words(response)
    says = f' The server says: "{sentence}"' if sentence else ""
    if status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
        raise TransientRemoteError(
            f"{call} failed ({status}). It is tried again by itself.{says}",
            retry_after=parse_retry_after(response.headers),
            may_have_succeeded=True,
            request_id=request_id,
        )
    if status == HTTPStatus.UNAUTHORIZED:
        raise CredentialsRejected(
            f"{call} was refused (401): check that the configured access token is complete, neither expired nor "
            f"revoked, and belongs to the account and region of the configured base URL.{says}"
        )
    if status == HTTPStatus.FORBIDDEN:
        raise CredentialsRejected(
            f"{call} was refused (403): the configured access token lacks a permission for this call; "
            f"grant it, or configure another token.{says}",
            is_permission=True,
        )
    if status < 400:
        says = f"{says} Check the base URL: this address redirects or is not the API."
    raise PermanentRemoteError(f"{call} was refused ({status}).{says}", status=status, code=code, request_id=request_id)


def _server_words(response: requests.Response) -> tuple[str, str]:
    """The server's own sentence and code, both empty when the body is empty, no JSON, or a proxy's page."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return "", ""
    while isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return (mask(body), "") if isinstance(body, str) else ("", "")
    if isinstance(body.get("error"), dict):  # {"error": {"message": …, "code": …}}
        body = body["error"]
    errors = body.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):  # the values beside may be the customer's
        body = errors[0]
    return mask(_sentence(body)), mask(_first_text(body, _CODE_MEMBERS))


def _sentence(body: Mapping[str, object]) -> str:
    return _first_text(body, _SENTENCE_MEMBERS) or json.dumps(body, ensure_ascii=False)


def _first_text(body: Mapping[str, object], names: tuple[str, ...]) -> str:
    return next((text for name in names if isinstance(text := body.get(name), str) and text), "")


def _decode(call: _Call, response: requests.Response, *, request_id: str) -> object:
    content = response.content
    is_bare = response.status_code in (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT) or call.method == "DELETE"
    if is_bare and not content.strip():
        return None
    try:
        data: object = json.loads(content)
    except (ValueError, RecursionError):
        raise TransientRemoteError(
            f"{call} answered {response.status_code} without readable JSON; "
            "something in between may have answered instead. It is tried again by itself.",
            may_have_succeeded=True,
            request_id=request_id,
        ) from None
    return data


def _request_id(headers: Mapping[str, str]) -> str:
    value = next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), "")
    return mask(value)[:100]


def _log(call: _Call, *, status: int, started: float, request_id: str) -> float:
    """Tell of a call; how many milliseconds it took."""
    milliseconds = round((time.monotonic() - started) * 1000, 1)
    logger.log(
        logging.DEBUG if 200 <= status < 300 else logging.INFO,
        "%s -> %s in %s ms",
        call,
        status or "no answer",
        milliseconds,
        extra={
            "server": call.server,
            "method": call.method,
            "path": call.template,
            "status": status,
            "ms": milliseconds,
            "request_id": request_id,
        },
    )
    return milliseconds


def _keep(call: _Call, *, said: object, answer: bytes | str, ms: float, status: int = 0, request_id: str = "") -> None:
    calls.keep(
        method=call.method, path=call.template, said=said, answer=answer, ms=ms, status=status, request_id=request_id
    )


def _parse_wait(text: str, *, now: datetime) -> float | None:
    """A number is seconds from now, unless so large that it can only be a Unix time in seconds or milliseconds."""
    try:
        number = float(text)
    except ValueError:
        moment = _parse_moment(text)
        return None if moment is None else (moment - now).total_seconds()
    if number != number or number < 0:
        return None
    if number > 1e11:
        number /= 1000
    return number - now.timestamp() if number > 1e9 else number


def _parse_moment(text: str) -> datetime | None:
    """A date-time in ISO 8601 (any number of fraction digits), HTTP or .NET form; without an offset it is UTC."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime, _parse_reset):
        try:
            moment = parse(text)
        except (ValueError, TypeError, IndexError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _parse_reset(text: str) -> datetime:
    for form in _RESET_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError("no known date format")
