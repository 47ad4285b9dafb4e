"""What a message costs in countable things, beside the bounds that CI holds it to; needs no quiet machine.

    .venv/bin/python bench/bench_guard.py            # exit code 1 when a bound is passed
    .venv/bin/python bench/bench_guard.py --json

Runs the mta of a box, made and configured as in production, in this process, and one message at a time from a
client and to a receiver in another process: no two share a commit. What the box does by itself, once a
second, rests meanwhile (bench/guard/stillness.py), so that the counts are about the same on any machine. See
bench/guard/counters.py for what is counted, and bench/guard/bounds.toml for the bounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import tomllib
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from guard.counters import Counters
from guard.mta import running_mta
from guard.stillness import Stillness
from relay.base import SENDER
from relay.ours import make_home

from appliance.core.home import Home
from appliance.core.settings import Settings
from appliance.lab.dns_server import LabDns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appliance.run.mta import Mta

HERE: Final = Path(__file__).parent / "guard"
MESSAGES: Final = 100
WARM_UP: Final = 20
SIZE: Final = 4096
SCENARIOS: Final = {"kept session": True, "session each": False}


def main() -> int:
    """Count and compare; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--top", type=int, default=0, help="show the functions called most often")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    counters = Counters()
    counters.install()
    with tempfile.TemporaryDirectory(prefix="guard-") as folder:
        counted = asyncio.run(_measure(Home(Path(folder) / "home"), counters))
    bounds = tomllib.loads((HERE / "bounds.toml").read_text(encoding="utf-8"))
    over = passed(counted, bounds)
    if options.json:
        print(json.dumps({"counted": counted, "bounds": bounds, "passed": over}))
    else:
        print(*_table(counted, bounds), sep="\n")
        for name, count in counters.functions.most_common(options.top):
            print(f"{count / MESSAGES / len(SCENARIOS):8.2f}  {name}")
        print(*over or ["every count is within its bound"], sep="\n")
    return bool(over)


# -- counting ------------------------------------------------------------------


async def _measure(home: Home, counters: Counters) -> dict[str, dict[str, float]]:
    """What each scenario costs, a message."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, HERE / "peers.py", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    peers = _Peers(process, int(await process.stdout.readline()))
    stillness = Stillness()
    try:
        async with _running(home, peers.receives_at) as (mta, port):
            return {
                name: await _scenario(mta, peers, counters, {"port": port, "kept": kept}, stillness)
                for name, kept in SCENARIOS.items()
            }
    finally:
        await peers.end()


async def _scenario(
    mta: Mta, peers: _Peers, counters: Counters, asked: dict[str, Any], stillness: Stillness
) -> dict[str, float]:
    asked |= {"size": SIZE, "sender": SENDER}
    await peers.send(asked | {"count": WARM_UP})
    await _at_rest(mta)
    async with stillness.kept():
        counters.counts.clear()
        with counters.counting():
            await peers.send(asked | {"count": MESSAGES})
            await _at_rest(mta)
    return {name: round(count / MESSAGES, 2) for name, count in sorted(counters.counts.items())}


async def _at_rest(mta: Mta) -> None:
    """Every outcome is durable."""
    while any(delivery.dispatcher.in_memory for delivery in mta.deliveries):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


class _Peers:
    """The client and the receiver."""

    def __init__(self, process: asyncio.subprocess.Process, receives_at: int) -> None:
        self._process, self.receives_at = process, receives_at

    async def send(self, asked: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        if await self._process.stdout.readline() != b"done\n":
            raise SystemExit("the client or the receiver has failed: see above")

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


@asynccontextmanager
async def _running(home: Home, receives_at: int) -> AsyncIterator[tuple[Mta, int]]:
    """The mta of a box in this process, and its submission port."""
    async with LabDns({}) as dns:
        settings = _settings(dns.address, receives_at)
        dns.zone = LabDns(await make_home(home, settings)).zone
        async with running_mta(home, settings) as (mta, port):
            yield mta, port


def _settings(nameserver: str, receives_at: int) -> Settings:
    place = {"address": "127.0.0.1", "port": 0, "tls": "starttls"}
    return msgspec.convert(
        {
            "box": {"hostname": "box.example"},
            "listeners": {
                "submission": place,
                "submissions": {"address": ""},
                "inbound": place,
                "web": place | {"tls": "none"},
            },
            "submission": {"trusted_networks": [{"network": "127.0.0.0/8", "tenant": "bench"}]},
            "dns": {"nameservers": [nameserver]},
            "delivery": {"remote_port": receives_at, "allow_private_addresses": True},
        },
        Settings,
    )


# -- comparing -----------------------------------------------------------------


def passed(counted: dict[str, dict[str, float]], bounds: dict[str, Any]) -> list[str]:
    """Bounds that were passed, in words; a count without a bound, or a bound without a count, too."""
    found = []
    for scenario in sorted(counted.keys() | bounds.keys()):
        counts, limits = counted.get(scenario, {}), bounds.get(scenario, {})
        for name in sorted(counts.keys() | limits.keys()):
            count, limit = counts.get(name), limits.get(name)
            if count is None or limit is None or count > limit:
                found.append(f"{scenario}: {count} {name} a message, allowed are {limit}")
    return found


def _table(counted: dict[str, dict[str, float]], bounds: dict[str, Any]) -> list[str]:
    lines = [f"{'':14} {'a message':>24} {'bound':>10}"]
    for scenario, counts in counted.items():
        for name, count in counts.items():
            bound = bounds.get(scenario, {}).get(name, "-")
            lines.append(f"{scenario:14} {count:>13,.2f} {name:<10} {bound:>10}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
