"""The console: how long each page takes with much mail in the log, and how soon a page hears of an event.

    .venv/bin/python bench/console.py                                    10,000 messages, two minutes
    .venv/bin/python bench/console.py --messages 1000000 --box .run/console      an hour and 13 GB to fill; it
                                         stays, and is asked again by the next run (its log ends when it was filled)

A box as in production (bench/relay/ours.py) whose log and counts were filled up to this minute by the traffic of
bench/events.py, ten events a message, a million events a day; tenants of it are real, a domain and a credential each.
Sending is stopped and --waiting messages wait in the queue of the real mta. Then an admin of the box and the owner
of the largest tenant ask every page in turns, on one kept connection: every GET of admin_ui/console/routes.py
that needs no id, and those of records that there are. The first turn warms up and does not count.

    page     p95 at most 100 ms      live     an event is told at most 1 s after it was accepted
    first    HTML, style, script and font of the first page: at most 100 KB as they are sent

Pages are sorted by p95, the slow ones first and marked. A page that answers anything but 200 is told as such.
Beside the time stands the CPU of the web process: on a machine that is shared it is the figure that travels.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import http.client
import json
import logging
import re
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from api import TEXT, prepare
from eventlog.traffic import EVENTS_A_MESSAGE, TENANTS, Sample
from events import Counting, Filling
from relay.base import SENDER, BenchError
from relay.ours import _SCOPE, Pillarbox

from admin_ui.api.guard import COOKIE
from admin_ui.console.routes import PAGES_FOR_MEMBERS
from appliance.core import clock, ids
from appliance.core.database import open_engine
from appliance.core.secrets import MasterKeys
from appliance.core.settings_reference import to_toml
from appliance.credentials import Credentials, Tries
from appliance.domains import Domains
from appliance.people import Client
from appliance.people.desk import open_desk
from appliance.run.directory import box_names, queue_life_ms
from appliance.run.people import people_options
from appliance.run.sockets import published
from appliance.tenancy import Tenants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

LIMIT_MS: Final = 100.0
LIVE_MS: Final = 1000.0
FIRST_OCTETS: Final = 100_000
EVENTS_A_DAY: Final = 1_000_000
LARGEST: Final = 1  # the tenant with most mail (eventlog/traffic.py)
_HERE: Final = Client(address="127.0.0.1", agent="bench")
_LEFT_OUT: Final = frozenset({"/live"})  # a stream, measured apart
_ASSET: Final = re.compile(r'(?:href|src)="(/assets/[^"]+)"')
_HEADERS: Final = {"Accept": "text/html", "Accept-Encoding": "gzip, br"}


@dataclass(frozen=True, slots=True)
class Told:
    """A page as somebody asked it."""

    who: str
    path: str
    status: int
    p50: float
    p95: float
    cpu: float  # of the web process, ms, the median
    octets: int  # as sent

    @property
    def is_slow(self) -> bool:
        """Whether it misses its limit, or did not answer as it should."""
        return self.p95 > LIMIT_MS or self.status != 200


class Made(msgspec.Struct):
    """What must be known of a box to ask it again."""

    zone: dict[str, Any]
    people: tuple[tuple[str, str, str], ...]
    tokens: dict[str, str]
    samples: list[Sample]


class Box(Pillarbox):
    """The box, with a log that was filled before it began."""

    def __init__(self, work: Path, messages: int) -> None:
        super().__init__(work, processes=1)
        self.samples: list[Sample] = []
        self.tokens: dict[str, str] = {}
        self._messages, self._left = messages, work / "made.json"

    async def make(self) -> Any:
        """The home with tenants, people, log and counts; as it was left, if it was."""
        if self._left.exists():
            return self._come_back()
        zone, people = await super().make()
        self.tokens = await self._people()
        self.samples = self._fill()
        made = Made(zone, people, self.tokens, self.samples)
        self._left.write_bytes(msgspec.json.encode(made))
        return zone, people

    def _come_back(self) -> Any:
        """Only its ports are others."""
        made = msgspec.json.decode(self._left.read_bytes(), type=Made)
        self.tokens, self.samples = made.tokens, made.samples
        self.home.config_file.write_text(to_toml(self.settings()), encoding="utf-8")
        return made.zone, made.people

    def _fill(self) -> list[Sample]:
        """Log and counts up to now; some recipients to look for."""
        events = self._messages * EVENTS_A_MESSAGE
        filling = Filling(self.home.log_dir, EVENTS_A_DAY // EVENTS_A_MESSAGE, 2000)
        filling.traffic.now = clock.now_ms() - events * clock.DAY // EVENTS_A_DAY
        counts = self.home.statistics_location(self.settings())
        counting = Counting(counts, self.home.log_dir)
        for share in (0.25, 0.5, 0.75, 1.0):
            filling.to(int(events * share))
            counting.catch_up()
            print(f"  {filling.count:,} events", file=sys.stderr)
        counting.close()
        filling.close()
        return filling.traffic.samples

    async def _people(self) -> dict[str, str]:
        """The tenants of the traffic; tokens of somebody of the box, and of the largest tenant."""
        engine = open_engine(self.home.control_location(self.settings()))
        try:
            await self._tenants(engine)
            return await self._sessions(engine)
        finally:
            await engine.dispose()

    async def _tenants(self, engine: AsyncEngine) -> None:
        """As many as the traffic has; the first is the one that `make_home` made."""
        keys, settings = MasterKeys.load(self.home.keys_file), self.settings()
        domains = Domains(engine, keys, box_names(settings), queue_life=queue_life_ms(settings))
        tenants, credentials = Tenants(engine), Credentials(engine, keys)
        first = {LARGEST: (clock.now_ms(), 1)}  # its login has delivered: it is past its set-up
        await Tries(engine).note_mail(first, first)
        for number in range(len(await tenants.list(_SCOPE)) + 1, TENANTS + 1):
            made = await tenants.create(_SCOPE, name=f"tenant-{number}")
            await credentials.create(_SCOPE, made, name="app")
            if number % 10 == 0:  # a pair of keys takes half a second
                await domains.create(
                    _SCOPE, tenant_id=made.id, name=f"t{made.id}.example", assume_verified=True
                )

    async def _sessions(self, engine: AsyncEngine) -> dict[str, str]:
        keys = MasterKeys.load(self.home.keys_file)
        desk = open_desk(engine, keys, people_options(self.settings(), 0), NoLetters())
        tokens = {}
        for who, role, tenant_id in (("box", "admin", 0), ("tenant", "owner", LARGEST)):
            _, url = await desk.invitations.link(
                _SCOPE, email=f"{who}@bench.example", role=role, tenant_id=tenant_id
            )
            opened = await desk.invitations.accept(
                url.rpartition("/")[2], _HERE, name=who, password="correct horse battery"
            )
            assert opened is not None
            tokens[who] = opened.token
        return tokens


class NoLetters:
    """appliance.people.Letters: nobody is written to."""

    async def send(self, to: str, subject: str, text: str, *, key: str = "") -> None:
        """Forget it."""


def main() -> int:
    """Measure and print; 1 when the box does not start."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=10_000, help="in the log, ten events each")
    parser.add_argument("--waiting", type=int, default=1000, help="messages in the queue")
    parser.add_argument("--turns", type=int, default=20, help="each page is asked")
    parser.add_argument("--live", type=int, default=20, help="events that are waited for")
    parser.add_argument("--box", type=Path, help="a folder for the box, which stays there")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    work = options.box or Path(tempfile.mkdtemp(prefix="bench-console-"))
    work.mkdir(parents=True, exist_ok=True)
    box = Box(work, options.messages)
    try:
        result = measure(box, options)
    except BenchError as error:
        print(f"console: {error}", file=sys.stderr)
        return 1
    finally:
        box.stop()
        if not options.box:
            shutil.rmtree(work, ignore_errors=True)
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def measure(box: Box, options: argparse.Namespace) -> dict[str, Any]:
    """Fill, start, ask."""
    box.start()
    tokens, key = box.tokens, asyncio.run(prepare(box))
    port = published(box.home)["web"][1]
    send_many(port, key, options.waiting)
    time.sleep(3)  # the shipper and the counter take them in
    pages = ask_pages(port, box.parts()["web"], tokens, paths_of(box.samples), options.turns)
    return {
        "messages": options.messages,
        "events": options.messages * EVENTS_A_MESSAGE,
        "waiting": options.waiting,
        "pages": [asdict(one) for one in pages],
        "slow": sum(one.is_slow for one in pages),
        "first": first_load(port, tokens["tenant"]),
        "live": live(port, tokens["tenant"], key, options.live),
    }


def paths_of(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """Pages that need no id, and records that there are, by who asks."""
    plain = sorted(_plain_paths())
    mine = [one for one in samples if one.tenant == LARGEST]
    some, newest = mine[0], mine[-1]
    records = [
        f"/messages/{ids.to_text(some.message_id)}",
        f"/messages/{ids.to_text(newest.message_id)}",
        f"/messages?q={some.address}",
        "/messages?q=user1",
        "/messages?state=bounced",
        "/messages?tag=tag-3",
        "/messages?state=delivered&domain=gmail.com",
        "/messages/failed?state=bounced",
        "/bounces?days=30",
        "/usage?period=30",
        "/domains/2",
        "/credentials/1",
    ]
    return {"box": [*plain, *records, "/tenants/1"], "tenant": [*plain, *records]}


def _plain_paths() -> Iterator[str]:
    """Every GET of the console without a parameter in its path."""
    for route in PAGES_FOR_MEMBERS.routes:
        is_asked = "GET" in getattr(route, "methods", ()) and "{" not in route.path
        if is_asked and route.path not in _LEFT_OUT:
            yield route.path


def ask_pages(
    port: int, pid: int, tokens: dict[str, str], paths: dict[str, list[str]], turns: int
) -> list[Told]:
    """In turns, so that a slow minute of the machine is everybody's; the slowest first."""
    connections = {who: http.client.HTTPConnection("127.0.0.1", port) for who in tokens}
    took: dict[tuple[str, str], list[tuple[float, float]]] = {}
    last: dict[tuple[str, str], tuple[int, int]] = {}
    for turn in range(turns + 1):
        for who, all_of in paths.items():
            for path in all_of:
                burnt, began = cpu_ms(pid), time.perf_counter()
                last[who, path] = get(connections[who], path, tokens[who])[:2]
                wall = (time.perf_counter() - began) * 1000
                if turn:
                    took.setdefault((who, path), []).append((wall, cpu_ms(pid) - burnt))
    found = [
        _told(place, times, *last[place])
        for place, times in took.items()
        if last[place][0] not in (403, 404)  # not of this view
    ]
    return sorted(found, key=lambda one: (not one.is_slow, -one.p95))


def _told(
    place: tuple[str, str], times: Sequence[tuple[float, float]], status: int, octets: int
) -> Told:
    wall, cpu = ([one[which] for one in times] for which in (0, 1))
    return Told(*place, status, _at(wall, 0.5), _at(wall, 0.95), _at(cpu, 0.5), octets)


def cpu_ms(pid: int) -> float:
    """Of a process so far, with its threads that ended: its own clock (CPUCLOCK_SCHED of Linux)."""
    return time.clock_gettime((~pid << 3) | 2) * 1000


def _at(times: Sequence[float], share: float) -> float:
    return round(sorted(times)[int((len(times) - 1) * share + 0.5)], 1)


def get(connection: http.client.HTTPConnection, path: str, token: str) -> tuple[int, int, bytes]:
    """Status, octets of the body as sent, and the body."""
    connection.request("GET", path, headers=_HEADERS | {"Cookie": f"{COOKIE}={token}"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.headers.get("Content-Encoding") == "gzip":
        return answer.status, len(content), gzip.decompress(content)
    return answer.status, len(content), content


def first_load(port: int, token: str) -> dict[str, int]:
    """What a browser that was never here takes for the first page: HTML, and what its head names."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    _, octets, page = get(connection, "/", token)
    found = {"/": octets}
    for path in dict.fromkeys(_ASSET.findall(page.decode())):
        found[path] = get(connection, path, token)[1]
    return found | {"sum": sum(found.values())}


def send_many(port: int, key: str, count: int) -> None:
    """Into the queue, whose delivery is stopped."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while count > 0:
        letters = [letter(n) for n in range(min(count, 500))]
        post(connection, "/api/v1/send/batch", key, {"messages": letters})
        count -= len(letters)


def letter(number: int) -> dict[str, Any]:
    """One of many, to one of twenty domains."""
    to = f"jane{number}@dst{number % 20}.example"
    return {"from": SENDER, "to": [to], "subject": "A letter", "text": TEXT, "tags": ["bench"]}


def post(connection: http.client.HTTPConnection, path: str, key: str, body: Any) -> None:
    """Raises BenchError unless it is taken."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", path, msgspec.json.encode(body), headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise BenchError(f"{path} answered {answer.status}: {content[:300]!r}")


def live(port: int, token: str, key: str, times: int) -> dict[str, float]:
    """From the 202 for a message to "messages" in the stream of its tenant, ms."""
    stream = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    stream.request("GET", "/live", headers={"Cookie": f"{COOKIE}={token}"})
    lines = stream.getresponse()
    sender, took = http.client.HTTPConnection("127.0.0.1", port), []
    _await(lines, b"hello")
    for number in range(times):
        time.sleep(1.5)  # what is told is told at most once a second
        post(sender, "/api/v1/send", key, letter(number))
        began = time.perf_counter()
        _await(lines, b"messages")
        took.append((time.perf_counter() - began) * 1000)
    return {
        "p50": round(statistics.median(took), 1),
        "p95": _at(took, 0.95),
        "most": round(max(took), 1),
    }


def _await(lines: http.client.HTTPResponse, topic: bytes) -> None:
    while True:
        line = lines.readline()
        if not line:
            raise BenchError("the live stream ended")
        if line.strip() == b"event: " + topic:
            return


def table(result: dict[str, Any]) -> str:
    """For people."""
    lines = [
        f"{result['messages']:,} messages, {result['events']:,} events, {result['waiting']:,} waiting",
        f"{'page':<58} {'who':<7} {'p50 ms':>8} {'p95 ms':>8} {'CPU ms':>7} {'octets':>8}",
    ]
    for one in result["pages"]:
        mark = "" if one["status"] == 200 else f"  ANSWERS {one['status']}"
        mark = mark or ("  SLOW" if one["p95"] > LIMIT_MS else "")
        lines.append(
            f"{one['path'][:58]:<58} {one['who']:<7} {one['p50']:8.1f} {one['p95']:8.1f}"
            f" {one['cpu']:7.1f} {one['octets']:8,}{mark}"
        )
    first, heard = result["first"], result["live"]
    lines += ["", *(f"{octets:>9,}  {path}" for path, octets in first.items())]
    lines.append(f"first load {'MISSED' if first['sum'] > FIRST_OCTETS else 'ok'}")
    lines.append(
        f"live: p50 {heard['p50']} ms, p95 {heard['p95']} ms, most {heard['most']} ms"
        f"{'  MISSED' if heard['p95'] > LIVE_MS else ''}"
    )
    slow = result["slow"]
    lines.append(
        f"{slow} of {len(result['pages'])} pages miss" if slow else "every page is in time"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
