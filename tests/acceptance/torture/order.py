"""Which faults come, and in what order: every one once in an order of the seed, then again as time allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from tests.acceptance.torture.faults.bad_receivers import BadReceivers
from tests.acceptance.torture.faults.clock_step import ClockStep
from tests.acceptance.torture.faults.dns_gone import DnsGone
from tests.acceptance.torture.faults.failing_sync import FailingSync, FailingSyncOfOthers
from tests.acceptance.torture.faults.full_disk import FullDisk
from tests.acceptance.torture.faults.kill import Kill
from tests.acceptance.torture.faults.locked import Locked
from tests.acceptance.torture.faults.no_descriptors import NoDescriptors
from tests.acceptance.torture.faults.power_cut import PowerCut
from tests.acceptance.torture.faults.read_only_disk import ReadOnlyDisk
from tests.acceptance.torture.faults.slow_sync import SlowSync
from tests.acceptance.torture.faults.stop import Stop
from tests.acceptance.torture.faults.torn_write import TornWrite
from tests.acceptance.torture.faults.two_owners import SecondBox, Stranger

if TYPE_CHECKING:
    import random

    from tests.acceptance.torture.fault import Fault
    from tests.acceptance.torture.stage import Stage

KILLS: Final = 0.3
"""How often, of 1, a process is killed behind another fault: nothing happens more in this world."""

Maker = Callable[["Stage"], "Fault"]

EACH: Final[dict[str, Maker]] = {
    "kill": lambda _: Kill("mta"),
    "kill supervisor": lambda _: Kill("supervisor"),
    "stop": Stop,
    "receivers": BadReceivers,
    "dns": DnsGone,
    "slow disk": SlowSync,
    "read-only disk": ReadOnlyDisk,
    "full disk": lambda stage: FullDisk(stage, is_seen=False),
    "full disk seen": lambda stage: FullDisk(stage, is_seen=True),
    "descriptors": NoDescriptors,
    "lock control": lambda stage: Locked(stage, is_spool=False),
    "lock spool": lambda stage: Locked(stage, is_spool=True),
    "clock forwards": lambda stage: ClockStep(stage, is_forward=True),
    "clock back": lambda stage: ClockStep(stage, is_forward=False),
    "failing flush": lambda _: FailingSync(),
    "failing flush of others": lambda _: FailingSyncOfOthers(),
    "torn write": lambda _: TornWrite(),
    "power cut": lambda _: PowerCut(),
    "second box": lambda _: SecondBox(),
    "stranger": lambda _: Stranger(is_owner_still=False),
    "stranger unseen": lambda _: Stranger(is_owner_still=True),
}
"""Makers of every fault, by the names that --torture-only takes."""


OF_THE_MACHINE: Final = {
    *("slow disk", "read-only disk", "full disk", "full disk seen", "clock forwards", "clock back"),
    *("failing flush", "failing flush of others", "torn write", "power cut"),
}
"""Those that need the shim."""


def each(only: str, *, has_shim: bool) -> list[Maker]:
    """All that are possible, or of them those that are named, with commas between."""
    names = [name.strip() for name in only.split(",")] if only else list(EACH)
    return [EACH[name] for name in names if has_shim or name not in OF_THE_MACHINE]


def order(makers: list[Maker], dice: random.Random, *, is_short: bool) -> Iterator[Maker]:
    """Each once; in a long run for ever, and some process is killed now and then between two others."""
    makers = list(makers)
    while True:
        dice.shuffle(makers)
        for maker in makers:
            yield maker
            if not is_short and dice.random() < KILLS:
                yield lambda _: Kill()
        if is_short:
            return
