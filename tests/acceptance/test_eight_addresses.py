"""Eight addresses in a pool with weights, two mta processes, mail that never stops coming.

The receiver sees every source with its own HELO name, in the shares that the weights ask for. One is
drained and one is added while mail goes: no restart, nothing stuck, nothing twice.
"""

from __future__ import annotations

import asyncio
import contextlib

from appliance.egress import EgressRequest
from appliance.lab.dns_server import LabDns
from tests.support.box import running_box
from tests.support.letters import Letter, open_door, post
from tests.support.peers import PeerReceiver
from tests.support.records import add_egresses, took_effect, waiting
from tests.support.way import until

WEIGHTS = {11: 1, 12: 1, 13: 2, 14: 2, 15: 3, 16: 3, 17: 4, 18: 4}
DRAINED, ADDED = 17, 19
SITES, DOMAINS = 5, 40
ZONE = {f"d{n}.test": {"MX": [f"10 mx{n % SITES}.test."]} for n in range(DOMAINS)} | {
    f"mx{n}.test": {"A": ["127.0.0.1"]} for n in range(SITES)
}
OFF = 0.1  # share of its share by which an address may be off


async def test_eight_addresses_share_the_mail_one_is_drained_one_is_added(tmp_path):
    async with LabDns(ZONE) as dns, PeerReceiver() as mx:
        async with running_box(
            tmp_path, dns, mx.port, spool={"processes": 2}, **open_door()
        ) as box:
            await add_egresses(box, [_request(n) for n in WEIGHTS])
            members = [f"--member=out{n}={weight}" for n, weight in WEIGHTS.items()]
            await box.cli("pool", "set", "main", "--default", *members)
            await took_effect(box)

            async with _mail_keeps_coming(box) as posted:
                await until(lambda: mx.count > 600, seconds=30)
                _shares_are(WEIGHTS, mx.taken())
                assert mx.helos() == {_address(n): {_helo(n)} for n in WEIGHTS}

                await box.cli("egress", "drain", f"out{DRAINED}", "--reason", "moves house")
                await took_effect(box)
                await asyncio.sleep(2)  # what is under way comes to its end
                sessions, before = _sessions_of(mx, DRAINED), mx.taken()
                await until(lambda: mx.count > before.total() + 600, seconds=30)
                assert _sessions_of(mx, DRAINED) == sessions
                assert _since(mx, before)[_address(DRAINED)] == 0
                remaining = {n: weight for n, weight in WEIGHTS.items() if n != DRAINED}
                _shares_are(remaining, _since(mx, before))

                await add_egresses(box, [_request(ADDED)])
                await box.cli("pool", "add", "main", f"out{ADDED}=4")
                await until(lambda: mx.taken()[_address(ADDED)] > 0, seconds=10)
                await took_effect(box)
                before = mx.taken()
                await until(lambda: mx.count > before.total() + 600, seconds=30)
                _shares_are({**remaining, ADDED: 4}, _since(mx, before))
                assert mx.helos()[_address(ADDED)] == {_helo(ADDED)}

            await until(lambda: mx.count >= len(posted), seconds=30)
            assert sorted(m.recipients[0] for m in mx.messages) == sorted(posted)
            assert await waiting(box) == []


def _address(n):
    return f"127.0.0.{n}"


def _helo(n):
    return f"out{n}.box.test"


def _request(n):
    return EgressRequest(name=f"out{n}", address=_address(n), helo=_helo(n))


@contextlib.asynccontextmanager
async def _mail_keeps_coming(box):
    """About 150 letters a second over eight connections; the recipients."""
    posted, stop = [], asyncio.Event()
    clients = [asyncio.create_task(_client(box, number, posted, stop)) for number in range(8)]
    try:
        yield posted
    finally:
        stop.set()
        await asyncio.gather(*clients)


async def _client(box, number, posted, stop):
    for turn in range(10_000):
        if stop.is_set():
            return
        to = [f"u{number}-{turn}-{n}@d{(7 * turn + n) % DOMAINS}.test" for n in range(10)]
        await post(box.submission, [Letter(to=one) for one in to])
        posted += to
        await asyncio.sleep(0.4)


def _sessions_of(mx, n):
    return sum(source == _address(n) for source in mx.sources.values())


def _since(mx, before):
    return mx.taken() - before


def _shares_are(weights, taken):
    assert set(taken) == {_address(n) for n in weights}
    expected = {n: taken.total() * weight / sum(weights.values()) for n, weight in weights.items()}
    off = {n: abs(taken[_address(n)] - count) / count for n, count in expected.items()}
    assert max(off.values()) < OFF, taken
