"""CPU microseconds of accepting one message: this box's protocol beside stock aiosmtpd, same run.

    python bench/parts_smtp_in.py [--messages 2000] [--rounds 3]

The server runs in a child process and keeps nothing; a plain blocking client in this one sends over
loopback. What is told is the CPU time (user + system) of the server process, per message, the least
of all rounds. "one" = a connection for each message, "many" = connection kept, "piped" = kept, and
MAIL, RCPT and DATA in one write.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import timeit
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP

from mta.reply import Reply
from mta.submission.body import FIRST, Body, Progress
from mta.submission.listener import Listener
from mta.submission.room import Room
from mta.submission.service import Limits, Peer, Service, TlsMode, Transaction
from mta.submission.sessions import Sessions

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from mta.message import RecipientRequest
    from mta.submission.commands import MailCommand

LINE = b"x" * 76 + b"\r\n"
PATIENCE = 10.0  # seconds for a reply
HEAD = b"From: <a@example.com>\r\nTo: <b@example.net>\r\nSubject: bench\r\n\r\n"


class Taker:
    """Accepts everything and keeps nothing."""

    def __init__(self, peer: Peer) -> None:
        pass

    def on_connect(self) -> None: ...

    async def on_auth(self, username: str, password: str) -> None: ...

    def on_mail(self, mail: MailCommand) -> None: ...

    def on_rcpt(self, recipient: RecipientRequest) -> RecipientRequest:
        return recipient

    async def on_data(self, transaction: Transaction) -> Reply:
        return Reply(250, "2.0.0", "queued as nothing")


class StockTaker:
    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802 - aiosmtpd's name
        return "250 2.0.0 queued as nothing"


def stock() -> SMTP:
    return SMTP(StockTaker(), hostname="bench.example", enable_SMTPUTF8=True)


def serve(which: str, sock: socket.socket, pipe: Pipe) -> None:
    asyncio.run(_serve(which, sock, pipe))


async def _serve(which: str, sock: socket.socket, pipe: Pipe) -> None:
    limits = Limits(
        max_message_bytes=50 << 20,
        max_recipients=1000,
        max_messages=10**9,
        max_commands_per_minute=10**9,
        idle_timeout=300,
        session_timeout=3600,
    )
    sessions = Sessions(limit=1000, per_address=1000)
    service = Service(
        hostname="bench.example",
        make_handler=Taker,
        limits=limits,
        sessions=sessions,
        room=Room(1 << 30),
        tls=TlsMode.NONE,
    )
    loop = asyncio.get_running_loop()
    if which == "ours":
        await Listener(service, [sock]).start()
    else:
        await loop.create_server(stock, sock=sock)
    stop = asyncio.Event()
    loop.add_reader(pipe.fileno(), stop.set)
    await stop.wait()


def cpu_of(pid: int) -> float:
    """Microseconds of CPU the process has used, from the scheduler's own count."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:  # noqa: PTH123 - /proc is no path to join
        return int(file.read().split()[0]) / 1000


class Client:
    def __init__(self, address: tuple[str, int], body: bytes) -> None:
        self.address, self.body = address, body
        self.sock: socket.socket

    def connect(self) -> None:
        self.sock = socket.create_connection(self.address, PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.expect(b"220")
        self.say(b"EHLO bench.example\r\n", b"250")

    def expect(self, code: bytes, replies: int = 1) -> None:
        got = b""
        while True:
            got += self.sock.recv(65536)
            finals = [line for line in got.split(b"\r\n") if line[3:4] == b" "]
            if got.endswith(b"\r\n") and len(finals) >= replies:
                assert finals[-1].startswith(code), got
                return

    def say(self, words: bytes, code: bytes, replies: int = 1) -> None:
        self.sock.sendall(words)
        self.expect(code, replies)

    def message(self, *, piped: bool) -> None:
        if piped:
            words = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
            self.say(words, b"354", 3)
        else:
            self.say(b"MAIL FROM:<a@example.com>\r\n", b"250")
            self.say(b"RCPT TO:<b@example.net>\r\n", b"250")
            self.say(b"DATA\r\n", b"354")
        self.say(self.body, b"250")

    def quit(self) -> None:
        self.say(b"QUIT\r\n", b"221")
        self.sock.close()


def run(client: Client, mode: str, messages: int) -> None:
    if mode == "one":
        for _ in range(messages):
            client.connect()
            client.message(piped=False)
            client.quit()
        return
    client.connect()
    for _ in range(messages):
        client.message(piped=mode == "piped")
    client.quit()


def measure(which: str, size: int, mode: str, messages: int) -> float:
    sock = socket.create_server(("127.0.0.1", 0))
    near, far = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=serve, args=(which, sock, far))
    child.start()
    body = HEAD + LINE * ((size - len(HEAD)) // len(LINE)) + b".\r\n"
    client = Client(sock.getsockname(), body)
    assert child.pid is not None
    try:
        run(client, mode, 50)
        before = cpu_of(child.pid)
        run(client, mode, messages)
        return (cpu_of(child.pid) - before) / messages
    finally:
        near.send(b"stop")
        child.join(5)
        child.kill()
        sock.close()


def reading(size: int) -> float:
    """Microseconds of finding, checking and copying one body that arrived in one piece."""
    room = Room(1 << 30)
    wire = FIRST + HEAD + LINE * ((size - len(HEAD)) // len(LINE)) + b".\r\n"

    def once() -> None:
        body = Body(limit=50 << 20, room=room)
        assert body.feed(bytearray(wire)) is Progress.DONE
        body.close()

    return min(timeit.repeat(once, number=200, repeat=10)) / 200 * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for size in (4096, 102_400):
        print(f"reading a body of {size} octets: {reading(size):.0f} µs")
    print(f"{'size':>8} {'mode':>6} {'ours µs':>9} {'aiosmtpd µs':>12} {'ratio':>6}")
    for size in (4096, 102_400):
        for mode in ("one", "many", "piped"):
            best = {
                which: min(measure(which, size, mode, given.messages) for _ in range(given.rounds))
                for which in ("ours", "stock")
            }
            ratio = best["stock"] / best["ours"]
            print(f"{size:>8} {mode:>6} {best['ours']:>9.0f} {best['stock']:>12.0f} {ratio:>6.1f}")


if __name__ == "__main__":
    main()
