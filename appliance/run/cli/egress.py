"""`pillarbox egress`: the addresses that mail leaves from, their HELO names and their DNS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock
from appliance.run.cli.output import Table, ago
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appliance.egress import AddressCheck, EgressRecord, PoolRecord
    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms

command = group("egress", "Addresses that mail leaves from.")

_Looked = tuple["EgressRecord", tuple["AddressCheck", ...]]  # as it stands, and what was seen

EXIT_WRONG = 1
_NONE = (
    "no egress is configured: mail leaves from delivery.source_address, or as the machine chooses"
)
_force_ipv6 = click.option(
    "--force-ipv6/--no-force-ipv6",
    "ipv6_forced",
    default=None,
    help="Use the IPv6 address whatever its reverse DNS says; large receivers refuse that.",
)


@command.command()
@click.argument("name")
@click.option("--address", default="", metavar="IPV4", help="IPv4 address to send from.")
@click.option("--address6", default="", metavar="IPV6", help="IPv6 address to send from.")
@click.option("--helo", default="", metavar="HOST", help="HELO name; else the name of the box.")
@_force_ipv6
@click.option("--disabled", is_flag=True, help="Do not use it yet: to check or warm it up first.")
@pass_session
def create(session: Session, /, *, disabled: bool, **given: Any) -> None:
    """Add an address, look at its DNS, and say what to publish."""
    from appliance.egress import EgressRequest
    from mta.egress import EgressState

    state = EgressState.DISABLED if disabled else EgressState.ENABLED
    forced = bool(given.pop("ipv6_forced"))
    wanted = EgressRequest(**given, ipv6_forced=forced, state=state)

    async def work(rooms: Rooms) -> _Looked:
        made = await rooms.egress_life.create(rooms.scope, wanted)
        return await _looked_at(session, rooms, made.name)

    looked = session.box.ask(work)
    words = "is added, and disabled" if disabled else "is used within a second"
    session.out.show(_seen(looked), [f"egress {looked[0].name} {words}", *_checked((looked,))])
    _note_spf(session, looked[0])


def _note_spf(session: Session, made: EgressRecord) -> None:
    from appliance.run.directory import box_names
    from mta.signing.dns_records import spf_mechanisms

    names, named = box_names(session.box.settings), spf_mechanisms(addresses=made.addresses)
    session.out.note(
        f"the SPF records of {names.bounce_domain} and {names.hostname} must name {' '.join(named)}"
    )


@command.command("list")
@pass_session
def list_(session: Session) -> None:
    """Show the addresses, their pools, and what DNS last said of them."""
    found, pools = session.box.ask(_everything)
    session.out.show([_row(one, pools) for one in found], _listing(found, pools))


async def _everything(rooms: Rooms) -> tuple[tuple[EgressRecord, ...], tuple[PoolRecord, ...]]:
    return await rooms.egresses.list(rooms.scope), await rooms.pools.list(rooms.scope)


def _row(one: EgressRecord, pools: Iterable[PoolRecord]) -> dict[str, object]:
    """An egress as programs see it."""
    return {
        "name": one.name,
        "address": one.address,
        "address6": one.address6,
        "uses_ipv6": one.uses_ipv6,
        "ipv6_forced": one.ipv6_forced,
        "helo": one.helo,
        "state": one.state,
        "why": one.why,
        "pools": _pools_of(one, pools),
        "dns": {address: one.dns(address) for address in one.addresses},
        "checks": one.checks,
        "checked_at": one.checked_at,
        "created_at": one.created_at,
    }


def _pools_of(one: EgressRecord, pools: Iterable[PoolRecord]) -> list[str]:
    return [pool.name for pool in pools if one.name in {m.egress for m in pool.members}]


def _listing(found: Iterable[EgressRecord], pools: Iterable[PoolRecord]) -> Iterator[Part]:
    now = clock.now_ms()
    yield Table(
        ("EGRESS", "ADDRESS", "HELO", "STATE", "POOLS", "DNS"),
        [
            (
                one.name,
                ", ".join(one.addresses),
                one.helo,
                f"{one.state}: {one.why}" if one.why else one.state,
                ", ".join(_pools_of(one, pools)) or "-",
                f"{_dns(one)}, {ago(one.checked_at, now)}" if one.checked_at else "not checked",
            )
            for one in found
        ],
        empty=f"{_NONE}; `pillarbox egress create NAME --address IPV4` adds one",
    )


def _dns(one: EgressRecord) -> str:
    """What DNS last said: one word, or one an address where they differ."""
    states = {address: one.dns(address) for address in one.addresses}
    if len(set(states.values())) == 1:
        return next(iter(states.values()))
    return ", ".join(f"IPv{6 if ':' in address else 4} {states[address]}" for address in states)


@command.command()
@click.argument("name", required=False)
@pass_session
def check(session: Session, *, name: str | None) -> None:
    """Ask DNS about one egress, or all. Exit code 1 if a record is not right."""

    async def work(rooms: Rooms) -> list[_Looked]:
        every = await rooms.egresses.list(rooms.scope)
        names = [name] if name else [one.name for one in every]
        return [await _looked_at(session, rooms, one) for one in names]

    found = session.box.ask(work)
    session.out.show([_seen(one) for one in found], _checked(found))
    if any(check.state != "ok" for _, checks in found for check in checks):
        raise click.exceptions.Exit(EXIT_WRONG)


async def _looked_at(session: Session, rooms: Rooms, name: str) -> _Looked:
    from appliance.core.dns import Resolver

    # A fresh resolver: nothing cached from before.
    return await rooms.egresses.check(rooms.scope, name, Resolver(session.box.settings.dns))


def _seen(looked: _Looked) -> dict[str, object]:
    """An egress with what was seen just now, whether or not it counts."""
    return _row(looked[0], ()) | {"checks": looked[1]}


def _checked(found: Iterable[_Looked]) -> Iterator[Part]:
    seen = [(one, check) for one, checks in found for check in checks]
    if not seen:
        yield _NONE
    for one, check in seen:
        yield f"{one.name}  {check.address} as {one.helo}: {check.state}"
        yield from (f"  - {words}" for words in check.problems)
        yield from (f"  - note: {words}" for words in check.warnings)
        if ":" in check.address and not one.uses_ipv6:
            yield "  - IPv6 is not used until its DNS is right (--force-ipv6 uses it at once)"


@command.command()
@click.argument("name")
@click.option("--address", metavar="IPV4", help="Another IPv4 address; '' takes it away.")
@click.option("--address6", metavar="IPV6", help="Another IPv6 address; '' takes it away.")
@click.option("--helo", metavar="HOST", help="Another HELO name.")
@_force_ipv6
@pass_session
def update(
    session: Session,
    *,
    name: str,
    address: str | None,
    address6: str | None,
    helo: str | None,
    ipv6_forced: bool | None,
) -> None:
    """Change its addresses or HELO name, and look at the DNS anew."""

    async def work(rooms: Rooms) -> _Looked:
        made = await rooms.egress_life.update(
            rooms.scope,
            name,
            address=address,
            address6=address6,
            helo=helo,
            ipv6_forced=ipv6_forced,
        )
        return await _looked_at(session, rooms, made.name)

    looked = session.box.ask(work)
    session.out.show(_seen(looked), _checked((looked,)))
    _note_spf(session, looked[0])


@command.command()
@click.argument("name")
@pass_session
def enable(session: Session, *, name: str) -> None:
    """Let mail leave from it."""
    done = session.box.ask(lambda rooms: rooms.egresses.enable(rooms.scope, name))
    session.out.show(_row(done, ()), [f"egress {done.name} is enabled"])


@command.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; whoever finds it later will ask.")
@pass_session
def drain(session: Session, *, name: str, reason: str) -> None:
    """Give it nothing new; what is on its way still leaves from it."""
    done = session.box.ask(lambda rooms: rooms.egresses.drain(rooms.scope, name, why=reason))
    session.out.show(_row(done, ()), [f"egress {done.name} is draining"])
    _note_if_none_is_left(session)


@command.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; whoever finds it later will ask.")
@pass_session
def disable(session: Session, *, name: str, reason: str) -> None:
    """Begin no transaction on it; what waited for it goes from others."""
    done = session.box.ask(lambda rooms: rooms.egresses.disable(rooms.scope, name, why=reason))
    session.out.show(_row(done, ()), [f"egress {done.name} is disabled"])
    _note_if_none_is_left(session)


def _note_if_none_is_left(session: Session) -> None:
    every = session.box.ask(lambda rooms: rooms.egresses.list(rooms.scope))
    if all(one.state != "enabled" for one in every):
        session.out.note("no address is enabled now: all mail waits until one is")


@command.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Even if it is enabled, or a pool has no other.")
@pass_session
def delete(session: Session, *, name: str, force: bool) -> None:
    """Forget an address that is drained or disabled; what waited for it goes from others."""
    done = session.box.ask(lambda rooms: rooms.egress_life.delete(rooms.scope, name, force=force))
    session.out.show(_row(done, ()), [f"egress {done.name} is gone"])
