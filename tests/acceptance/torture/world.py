"""The world outside: receivers that behave well, badly and at random, and the DNS that leads to them.

What each domain may lead to is in ENDS; where nothing stands its mail must be delivered, but for those whom
fickle.test has refused for good, each noted in the ledger.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Action, Point, Script, Starttls
from tests.acceptance.torture.clients import digest
from tests.acceptance.torture.ledger import Take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appliance.lab.dns_server import Zone
    from appliance.lab.script import Received, Say
    from tests.acceptance.torture.ledger import Ledger

ENDS: Final[dict[str, set[str]]] = {
    "refuse.test": {"bounced"},
    "dead.test": {"expired", "cancelled"},
    "never.test": {"cancelled"},
}
WEIGHTS: Final = {
    "good.test": 6, "wild.test": 4, "fickle.test": 6, "slow.test": 2, "later.test": 2, "tls.test": 2,
    "notls.test": 1, "cuttls.test": 1, "refuse.test": 1, "vanish.test": 3, "never.test": 0.3,
}  # fmt: skip
BULK: Final = 0.02  # of all letters: to a host that is not there
HOSTS: Final = {name: f"127.0.0.{number}" for number, name in enumerate(WEIGHTS, start=11)}
NOBODY: Final = "127.0.0.10"
TROUBLE: Final = 0.06  # of a fickle receiver's answers
VANISHING: Final = 0.4  # of the messages that vanish.test takes: without a word

_NUMBER: Final = re.compile(rb"\r\nX-Number: (\d+)\r\n")
_DIGEST: Final = re.compile(rb"\r\nX-Digest: (\w+)\r\n")
_POINTS: Final = (Point.GREETING, Point.EHLO, Point.MAIL, Point.RCPT, Point.DATA, Point.DOT)


def zone() -> Zone:
    """Every fresh name below wild.test is a look-up of its own."""
    found: Zone = {
        name: {"MX": [f"10 mx.{name}."]} for name in (*WEIGHTS, "dead.test", "shop.test")
    }
    found["*.wild.test"] = {"MX": ["10 mx-of.wild-hosts.test."]}
    found["mx-of.wild-hosts.test"] = {"A": [HOSTS["wild.test"]]}
    found |= {f"mx.{name}": {"A": [address]} for name, address in HOSTS.items()}
    found["mx.dead.test"] = {"A": [NOBODY]}
    found["mx.shop.test"] = {"A": [HOSTS["good.test"]]}
    return found


class Dns(LabDns):
    """A name server that can be gone: it hears questions and says nothing."""

    is_gone = False
    unheard = 0

    def reply_to(self, wire: bytes, *, tcp: bool) -> bytes | None:
        if self.is_gone:
            self.unheard += 1
            return None
        return super().reply_to(wire, tcp=tcp)


def choose(dice: random.Random, number: int) -> tuple[str, ...]:
    """Recipients of a letter: one to five, of any domains; bulk to the host that is not there."""
    if dice.random() < BULK:
        return (f"u{number}-0@dead.test",)
    names, weights = list(WEIGHTS), list(WEIGHTS.values())
    domains = set(dice.choices(names, weights, k=dice.choice((1, 1, 1, 2, 3, 5))))
    found = []
    for n, domain in enumerate(sorted(domains)):
        host = f"d{dice.randrange(100_000)}.{domain}" if domain == "wild.test" else domain
        found.append(f"u{number}-{n}@{host}")
    return tuple(found)


class World:
    """All receivers, and the name server."""

    def __init__(self, ledger: Ledger, dice: random.Random) -> None:
        self._ledger, self._dice = ledger, dice
        self.usual()
        self.silent = [Action.DROP]  # what it does instead of an answer
        self.notices = 0
        self.misdeeds: Counter[str] = Counter()
        self.dns = Dns(zone(), ttl=2, negative_ttl=2)
        self._receivers = {
            name: Receiver(self._script(name), on_message=self._took) for name in HOSTS
        }

    def usual(self) -> None:
        self.trouble, self.vanishing = TROUBLE, VANISHING

    def calm(self) -> None:
        """The fickle behave."""
        self.trouble = self.vanishing = 0.0

    @property
    def port(self) -> int:
        return self._receivers["good.test"].port

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.dns)
            for name, receiver in self._receivers.items():
                await receiver.start(HOSTS[name], self.port)
                stack.push_async_callback(receiver.stop)
            yield self

    def _script(self, name: str) -> Script:
        script = Script(name=f"mx.{name}", keep=False)
        match name:
            case "fickle.test":
                script.reaction = self._fickle
            case "vanish.test":
                script.reaction = self._vanishing
            case "slow.test":
                script.delays = {Point.EHLO: 0.2, Point.RCPT: 0.1, Point.DOT: 0.4}
            case "later.test":
                script.greylist = True
            case "tls.test":
                script.starttls = Starttls.GOOD
            case "notls.test":
                script.starttls = Starttls.BROKEN
            case "cuttls.test":
                script.starttls = Starttls.DROPPED
            case "refuse.test":
                script.always = {Point.RCPT: "550 5.1.1 no such user here"}
            case "never.test":
                script.always = {Point.RCPT: "451 4.3.2 come back in a year"}
        return script

    def _fickle(self, point: Point, _source: str, content: bytes) -> Say | None:
        if point not in _POINTS or self._dice.random() >= self.trouble:
            return None
        # Not 4.3.*: ten of it after DATA, and the domain is left alone for longer than QUIET.
        says: list[Say] = ["421 4.2.0 not now", "451 4.2.0 busy", "452 4.2.2 full", Action.DROP]
        if point is Point.DOT:  # only here is it known who is refused; refuse.test does it at RCPT
            says += ["550 5.7.1 no"] * 2
        say = self._dice.choice(says)
        if isinstance(say, str) and say.startswith("550"):
            self._refuse(_number(content), "@fickle.test")
        what = str(say) if isinstance(say, Action) else say[:3]
        self.misdeeds[f"{what} at {point}"] += 1
        return say

    def _refuse(self, number: int, domain: str) -> None:
        letter = self._ledger.letters.get(number)
        for address in letter.recipients if letter else ():
            if address.endswith(domain):
                self._ledger.refused.add((number, address))

    def _vanishing(self, point: Point, _source: str, content: bytes) -> Say | None:
        if point is not Point.DOT or self._dice.random() >= self.vanishing:
            return None
        number = _number(content)
        for address in self._ledger.letters[number].recipients:
            if address.endswith("@vanish.test"):
                self._note(number, address, content, answered=False)
        self.misdeeds["vanished after the dot"] += 1
        return Action.DROP

    def _took(self, received: Received) -> None:
        number = _number(received.data)
        if number < 0:
            self.notices += 1  # to the sender, about a letter that failed
            return
        for address in received.recipients:
            self._note(number, address, received.data, answered=True)

    def _note(self, number: int, address: str, data: bytes, *, answered: bool) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        told = _DIGEST.search(head + b"\r\n")
        intact = told is not None and told[1].decode() == digest(body)
        self._ledger.take(number, address, Take(time.monotonic(), answered, intact))


def _number(data: bytes) -> int:
    found = _NUMBER.search(data.partition(b"\r\n\r\n")[0] + b"\r\n")
    return int(found[1]) if found else -1
