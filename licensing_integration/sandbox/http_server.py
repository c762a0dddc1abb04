"""A small HTTP/1.1 keep-alive server on asyncio, in a thread of its own; made for the sandboxes, not for production.

The application is one function: request in, ``Outcome`` out. It runs on the server's event loop and must not block;
to let time pass it returns ``Later``.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 10 * 1024 * 1024

_logger = logging.getLogger(__name__)
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRequest:
    """One request. ``path`` is percent-decoded; ``query`` is the raw text after ``?``; header names are lower-case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    client: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer. ``Content-Length`` is added; a body brings ``content_type``."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Later:
    """Wait so many seconds, then ask ``then`` for the outcome; it is asked even if the client has gone by then."""

    seconds: float
    then: Callable[[], Outcome]


Outcome = Reply | Drop | Later
Application = Callable[[HttpRequest], Outcome]


class BadRequest(Exception):
    """What arrived is not HTTP this server understands; carries the status to answer before closing."""

    def __init__(self, status: int) -> None:
        super().__init__(_REASONS[status])
        self.status = status


@dataclass(slots=True)
class _Head:
    """A parsed request head, waiting for ``length`` bytes of body."""

    method: str
    target: str
    headers: dict[str, str]
    length: int
    keep_alive: bool = field(default=True)


class _Connection(asyncio.Protocol):
    """One client connection: requests are answered strictly one after the other."""

    def __init__(self, *, server: HttpServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._is_busy = False
        self._transport: asyncio.Transport | None = None
        self._client = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type for the type checker
        self._transport = transport
        self._client = (transport.get_extra_info("peername") or ("",))[0]
        self._server.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._server.connections.discard(self._transport)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_busy:
            self._next_request()

    def _next_request(self) -> None:
        try:
            request = self._take_request()
        except BadRequest as problem:
            self._write(Reply(status=problem.status), keep_alive=False)
            return
        if request is not None:
            self._is_busy = True
            self._follow(lambda: self._server.application(request))

    def _take_request(self) -> HttpRequest | None:
        if self._head is None:
            self._head = self._take_head()
        head = self._head
        if head is None or len(self._buffer) < head.length:
            return None
        body = bytes(self._buffer[: head.length])
        del self._buffer[: head.length]
        path, _, query = head.target.partition("?")
        return HttpRequest(
            method=head.method,
            path=unquote(path) if "%" in path else path,
            query=query,
            headers=head.headers,
            body=body,
            client=self._client,
        )

    def _take_head(self) -> _Head | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequest(431)
            return None
        head = _parse_head(self._buffer[:end].decode("latin-1"))
        del self._buffer[: end + 4]
        if head.headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(_CONTINUE)
        return head

    def _follow(self, decide: Callable[[], Outcome]) -> None:
        try:
            outcome = decide()
        except Exception:
            _logger.exception("the sandbox failed without being told to")
            outcome = Reply(status=500)
        if isinstance(outcome, Later):
            asyncio.get_running_loop().call_later(outcome.seconds, self._follow, outcome.then)
        elif isinstance(outcome, Drop):
            self._close()
        else:
            keep_alive = self._head is not None and self._head.keep_alive
            self._head = None
            self._write(outcome, keep_alive=keep_alive)
            self._is_busy = False
            if self._buffer and keep_alive:
                self._next_request()

    def _write(self, reply: Reply, *, keep_alive: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(_serialise(reply, keep_alive=keep_alive))
        if not keep_alive:
            self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _parse_head(text: str) -> _Head:
    request_line, *lines = text.split("\r\n")
    parts = request_line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest(400)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise BadRequest(411)
    connection = headers.get("connection", "").lower()
    return _Head(
        method=parts[0],
        target=parts[1],
        headers=headers,
        length=_body_length(headers),
        keep_alive=connection == "keep-alive" if parts[2] == "HTTP/1.0" else connection != "close",
    )


def _body_length(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "0")
    if not text.isdecimal():
        raise BadRequest(400)
    if int(text) > MAX_BODY_BYTES:
        raise BadRequest(413)
    return int(text)


def _serialise(reply: Reply, *, keep_alive: bool) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}"]
    if reply.body:
        lines.append(f"Content-Type: {reply.content_type}")
    if reply.status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(reply.body)}")
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines.append("Connection: keep-alive\r\n\r\n" if keep_alive else "Connection: close\r\n\r\n")
    return "\r\n".join(lines).encode("latin-1") + reply.body


class HttpServer:
    """Runs an ``Application`` on a port of its own, in a daemon thread, until ``stop``."""

    def __init__(self, *, application: Application) -> None:
        self.application = application
        self.connections: set[asyncio.Transport] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    def start(self, *, host: str, port: int) -> int:
        """Listen; returns the port (chosen by the system for port 0). ``OSError`` if the address is taken."""
        if self._thread is not None:
            raise RuntimeError("the server is running already")
        started = threading.Event()
        failure: list[OSError] = []
        self._thread = threading.Thread(
            target=self._run, args=(host, port, started, failure), name="sandbox-http", daemon=True
        )
        self._thread.start()
        started.wait()
        if failure:
            self._thread.join()
            self._thread = None
            raise failure[0]
        return self._port

    def stop(self) -> None:
        """Close every connection and the port; returns when the thread has ended. Harmless when not running."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._thread = None

    def _run(self, host: str, port: int, started: threading.Event, failure: list[OSError]) -> None:
        loop = self._loop = asyncio.new_event_loop()
        try:
            server = loop.run_until_complete(
                loop.create_server(lambda: _Connection(server=self), host=host, port=port, backlog=1024)
            )
        except OSError as problem:
            failure.append(problem)
            started.set()
            loop.close()
            return
        self._port = server.sockets[0].getsockname()[1]
        started.set()
        loop.run_forever()
        self._shut_down(loop, server)

    def _shut_down(self, loop: asyncio.AbstractEventLoop, server: asyncio.Server) -> None:
        server.close()
        for transport in list(self.connections):
            transport.abort()
        # One turn of the loop lets every connection_lost run, so that no transport is left unclosed.
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(server.wait_closed())
        loop.close()
