"""MTA-1, OPS-11: several processes that share one listening socket."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from mta.submission.listener import AT_ONCE, BACKLOG
from tests.support.smtp_box import Box, Wire, trusting, until


async def test_a_burst_of_clients_is_shared_between_those_who_listen() -> None:
    sock = socket.create_server(("127.0.0.1", 0), backlog=100)
    clients = [socket.create_connection(sock.getsockname()) for _ in range(6 * AT_ONCE)]
    async with (
        Box(directory=trusting(), sock=sock) as one,
        Box(directory=trusting(), sock=sock.dup()) as other,
    ):
        await until(lambda: one.seen.connections + other.seen.connections == len(clients))
        assert min(one.seen.connections, other.seen.connections) >= AT_ONCE
    for client in clients:
        client.close()


async def test_many_may_wait_in_the_kernels_queue() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    async with Box(directory=trusting(), sock=sock):
        facts = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        most = struct.unpack_from("I", facts, 28)[0]  # tcpi_sacked: of a listening socket
        assert most == min(BACKLOG, _somaxconn())


async def test_who_listens_no_more_refuses() -> None:
    async with Box(directory=trusting()) as box:
        wire: Wire = await box.connect()
        box.listener.stop()
        assert (await wire.ask("NOOP")).startswith("250")
        with socket.socket() as late:
            assert late.connect_ex(("127.0.0.1", box.port)) != 0
        await wire.close()


def _somaxconn() -> int:
    return int(Path("/proc/sys/net/core/somaxconn").read_text())
