"""The load generator: raw HTTP over kept connections, in a few processes, with requests made beforehand.

*Closed loop*: each client sends its next request when the answer to the last one is there. *Open loop*: requests leave
by a fixed schedule, however slow the answers are, and time is counted from the moment a request was due.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import signal
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

import uvloop

from benchmarks.errors import BenchmarkError
from benchmarks.orders import Book

PROCESSES = 2
OPEN_LOOP_CONNECTIONS = 64  # per process
READY_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to send. ``rate=None``: closed loop. ``numbers``: its deliveries, in this order; ``None`` = all.

    ``seconds`` bounds the run; what has not been sent by then is not sent. ``is_repeating``: begin again with the first
    request when all are sent, for a server that does not remember them.
    """

    book: Book
    port: int
    clients: int = 1
    rate: float | None = None
    seconds: float = 60.0
    numbers: Sequence[int] | None = None
    is_repeating: bool = False


@dataclass(kw_only=True)
class Result:
    """One entry per answer: number of the delivery, seconds it took, and the wall-clock time it was due."""

    numbers: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    due_at: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    first: float = float("inf")  # monotonic
    last: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.seconds) / (self.last - self.first)

    def percentile(self, share: float) -> float:
        return percentile(self.seconds, share)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: an observed value, not an interpolated one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run(load: Load) -> Result:
    """Send it all and wait for the answers. Raises ``BenchmarkError`` unless each answer is 200."""
    count = min(PROCESSES, load.clients) if load.rate is None else PROCESSES
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)
    processes, results = [], []
    try:
        for index in range(count):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_child, args=(load, index, count, barrier, sender), daemon=True)
            process.start()
            sender.close()
            processes.append((process, receiver))
        for _process, receiver in processes:
            if not receiver.poll(READY_SECONDS + load.seconds):
                raise BenchmarkError("The load generator did not finish in time.")
            results.append(receiver.recv())
    except EOFError as error:
        raise BenchmarkError("A process of the load generator died.") from error
    finally:
        for process, _receiver in processes:
            process.join(timeout=1)
            process.kill()
    return _merged(results)


def _merged(results: Sequence[Result]) -> Result:
    total = Result()
    for result in results:
        total.numbers += result.numbers
        total.seconds += result.seconds
        total.due_at += result.due_at
        total.refused += result.refused
        total.first, total.last = min(total.first, result.first), max(total.last, result.last)
        total.cpu_seconds += result.cpu_seconds
    if total.refused or not total.seconds:
        raise BenchmarkError(f"Not every answer was 200: {len(total.seconds)} were, others {dict(total.refused)}.")
    return total


def _child(load: Load, index: int, count: int, barrier: Barrier, sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our parent, who then ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    numbers = list(load.numbers if load.numbers is not None else range(load.book.deliveries))[index::count]
    requests = [(number, load.book.request(number)) for number in numbers]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sender.send(runner.run(_Generator(load, requests, index=index, count=count).run(barrier)))


class _Generator:
    """The clients of one process."""

    def __init__(self, load: Load, requests: list[tuple[int, bytes]], *, index: int, count: int) -> None:
        self._load = load
        self._requests = deque(requests)
        self._index, self._count = index, count
        self._result = Result()
        self._idle: deque[_Client] = deque()
        self._due: deque[tuple[int, bytes, float]] = deque()
        self._open = 0
        self._is_over = False
        self._done: asyncio.Future[None]

    async def run(self, barrier: Barrier) -> Result:
        loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        clients = self._share(self._load.clients) if self._load.rate is None else OPEN_LOOP_CONNECTIONS
        for _ in range(clients):
            _transport, client = await loop.create_connection(lambda: _Client(self), "127.0.0.1", self._load.port)
            self._idle.append(client)
        barrier.wait(READY_SECONDS)
        cpu = _cpu_seconds()
        self._result.first = time.monotonic()
        loop.call_later(self._load.seconds, self._stop_sending)
        if self._load.rate is None:
            for client in list(self._idle):
                self.next(client)
        else:
            await self._send_by_schedule(self._load.rate)
        await asyncio.wait_for(self._done, self._load.seconds + 30)
        self._result.cpu_seconds = _cpu_seconds() - cpu
        return self._result

    def _share(self, clients: int) -> int:
        return clients // self._count + (self._index < clients % self._count)

    def _stop_sending(self) -> None:
        self._is_over = True
        self._finish_if_idle()

    # Closed loop: a client that is free sends the next request.

    def next(self, client: _Client) -> None:
        if self._due:
            self._send(client, *self._due.popleft())
        elif self._load.rate is None and self._requests and not self._is_over:
            number, request = self._requests.popleft()
            if self._load.is_repeating:
                self._requests.append((number, request))
            self._send(client, number, request, time.monotonic())
        else:
            self._idle.append(client)
            self._finish_if_idle()

    # Open loop: each request is due at its own moment.

    async def _send_by_schedule(self, rate: float) -> None:
        interval = self._count / rate
        start = self._result.first + self._index / rate
        step = 0
        while self._requests and not self._is_over:
            due = start + step * interval
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            number, request = self._requests.popleft()
            if self._idle:
                self._send(self._idle.popleft(), number, request, due)
            else:
                self._due.append((number, request, due))
            step += 1
        self._finish_if_idle()

    def _send(self, client: _Client, number: int, request: bytes, due: float) -> None:
        self._open += 1
        client.send(number, request, due)

    def answered(self, client: _Client, *, status: bytes) -> None:
        now = time.monotonic()
        self._open -= 1
        if status == b"200":
            self._result.numbers.append(client.number)
            self._result.seconds.append(now - client.due)
            self._result.due_at.append(time.time() - (now - client.due))
        else:
            self._result.refused[status.decode("latin-1")] += 1
        self._result.last = now
        self.next(client)

    def lost(self) -> None:
        """The server closed a connection it was asked to keep."""
        self._result.refused["closed"] += 1
        self._open -= 1
        self._is_over = True
        self._finish_if_idle()

    def _finish_if_idle(self) -> None:
        is_all_sent = self._is_over or not self._requests
        if is_all_sent and not self._open and not self._due and not self._done.done():
            self._done.set_result(None)


class _Client(asyncio.Protocol):
    """One kept connection with at most one request on its way."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._buffer = b""
        self._is_waiting = False
        self.number, self.due = 0, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, number: int, request: bytes, due: float) -> None:
        self.number, self.due, self._is_waiting = number, due, True
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        self._buffer, self._is_waiting = b"", False
        self._generator.answered(self, status=head[9:12])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_waiting:
            self._generator.lost()


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if not found:
        raise BenchmarkError("The server did not say how long its answer is.")
    return int(rest.partition(b"\r\n")[0])


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
