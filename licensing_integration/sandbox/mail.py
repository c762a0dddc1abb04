"""A pretend mail server: it speaks SMTP on loopback, keeps what it takes, and refuses or hangs up when told to."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class MailSink:
    """``answers``: SMTP verb → the answer to give once in place of the usual one; an empty answer hangs up.
    ``on_mail``: called with each mail, in the thread of its conversation."""

    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answers: dict[str, bytes] = field(default_factory=dict)
    on_mail: Callable[[EmailMessage], None] = lambda message: None

    def __post_init__(self) -> None:
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _converse(sink, self)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> MailSink:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _converse(sink: MailSink, handler: socketserver.StreamRequestHandler) -> None:
    handler.wfile.write(b"220 sink\r\n")
    while line := handler.rfile.readline():
        verb = line.decode().split(maxsplit=1)[0].split(":")[0].upper()
        usual = {"DATA": b"354 go on", "QUIT": b"221 bye"}.get(verb, b"250 fine")
        answer = sink.answers.pop(verb, usual)
        if not answer:
            return
        if verb == "RCPT":
            sink.recipients.append(line.decode().partition("<")[2].partition(">")[0])
        handler.wfile.write(answer + b"\r\n")
        if verb == "QUIT":
            return
        if verb == "DATA" and answer == usual and not _take(sink, handler):
            return


def _take(sink: MailSink, handler: socketserver.StreamRequestHandler) -> bool:
    """Read a mail to its end and answer ("." in ``answers``); whether the conversation goes on."""
    lines = []
    while (line := handler.rfile.readline()) not in {b".\r\n", b""}:
        lines.append(line[1:] if line.startswith(b"..") else line)
    answer = sink.answers.pop(".", b"250 taken")
    if answer.startswith(b"2") or not answer:
        message = message_from_bytes(b"".join(lines), EmailMessage, policy=policy.default)
        sink.messages.append(message)
        sink.on_mail(message)
    if answer:
        handler.wfile.write(answer + b"\r\n")
    return bool(answer)
