"""Letters that are submitted one after the other, each acknowledged, from a network that may relay.

async with running_box(..., **open_door()) as box: await post(box.submission, [Letter(to="jane@good.test")])
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import aiosmtplib


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a test sends; `headers` are whole lines."""

    to: str
    sender: str = "orders@shop.test"
    headers: tuple[str, ...] = ()
    text: str = "hi"

    @property
    def data(self) -> bytes:
        """As it is submitted."""
        lines = [f"From: {self.sender}", f"To: {self.to}", "Subject: hello", *self.headers]
        return "\r\n".join([*lines, "", self.text, ""]).encode()


def open_door(**tenants: str) -> dict[str, Any]:
    """Settings of a box that takes mail without login: `acme="127.0.0.0/8"`."""
    networks = tenants or {"acme": "127.0.0.0/8"}
    trusted = [{"network": network, "tenant": name} for name, network in networks.items()]
    return {
        "submission": {"trusted_networks": trusted},
        "listeners": {"submission": {"address": "127.0.0.1", "port": 0, "tls": "none"}},
    }


async def post(
    place: tuple[str, int], letters: Iterable[Letter], *, source: str = "127.0.0.1"
) -> list[str]:
    """Submit them on one connection; the ids they were given."""
    client = aiosmtplib.SMTP(
        hostname=place[0],
        port=place[1],
        local_hostname="app.test",
        start_tls=False,
        source_address=(source, 0),
    )
    given: list[str] = []
    async with client:
        for letter in letters:
            _, answer = await client.sendmail(letter.sender, [letter.to], letter.data)
            given.append(answer.split()[-1])
    return given
