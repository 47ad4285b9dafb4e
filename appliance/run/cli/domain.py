"""`pillarbox domain`: sending domains, the records their owners publish, and whether DNS has them.

A name that one tenant alone has needs no --tenant. The box's own domain is listed too; of its records
`check` looks at those that sign its notices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.core.scope import BOX
from appliance.run.cli.output import Table, ago
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from appliance.domains import Check, DomainRecord
    from appliance.run.box_records import BoxRecord
    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms
    from mta.signing.dns_records import DnsRecord

command = group("domain", "Sending domains, their keys and DNS records.")

EXIT_WRONG = 1
_tenant = click.option("--tenant", metavar="NAME", help="Whose, when several tenants claim it.")
_Found = tuple["DomainRecord", dict[int, str]]


def _row(found: DomainRecord, names: dict[int, str]) -> dict[str, object]:
    """A domain as programs see it."""
    return {
        "name": found.name,
        "tenant": names.get(found.tenant_id),
        "verified": found.verified,
        "default": found.is_default,
        "return_path": found.return_path,
        "return_path_verified": found.return_path_verified,
        "has_dmarc": found.has_dmarc,
        "keys": [
            {"selector": key.selector, "algorithm": key.algorithm, "state": key.state}
            for key in found.keys
        ],
        "checked_at": found.checked_at,
        "created_at": found.created_at,
    }


# -- records -----------------------------------------------------------------


async def _records(rooms: Rooms, found: DomainRecord) -> list[dict[str, str]]:
    records: Iterable[DnsRecord | BoxRecord]
    if found.tenant_id == BOX:
        from appliance.run.box_records import box_records

        records = box_records(rooms.box_names, found)
    else:
        records = rooms.domains.records(found)
    return [
        {"name": one.name, "type": one.type, "value": one.value, "purpose": one.purpose}
        for one in records
    ]


def record_lines(records: Iterable[dict[str, str]]) -> Iterator[Part]:
    """Each record as a block: what to type into the form of a DNS provider."""
    for one in records:
        yield f"{one['name']}  {one['type']}"
        yield f"    {one['value']}"
        yield f"    ({one['purpose']})"


def _zone_lines(records: Iterable[dict[str, str]]) -> Iterator[Part]:
    from mta.signing.dns_records import DnsRecord, RecordKind

    for one in records:
        # Only the form of the line counts here, and that is the same for every kind.
        record = DnsRecord(kind=RecordKind.OWNERSHIP, **one)
        yield record.zone_line()


@command.command()
@click.argument("name")
@click.option("--tenant", metavar="NAME", required=True, help="Whose domain it is.")
@click.option(
    "--assume-verified", is_flag=True, help="Skip the proof (laboratory, closed network)."
)
@pass_session
def create(session: Session, *, name: str, tenant: str, assume_verified: bool) -> None:
    """Claim a domain for a tenant, make its keys, and show the records to publish."""

    async def work(rooms: Rooms) -> tuple[DomainRecord, list[dict[str, str]]]:
        await rooms.know_addresses()
        made = await rooms.domains.create(
            rooms.scope,
            tenant_id=await rooms.tenant_id(tenant),
            name=name,
            assume_verified=assume_verified,
        )
        return made, await _records(rooms, made)

    made, records = session.box.ask(work)
    shown = _row(made, {made.tenant_id: tenant}) | {"records": records}
    session.out.show(shown, _created(made, tenant, records))


def _created(made: DomainRecord, tenant: str, records: list[dict[str, str]]) -> Iterator[Part]:
    yield f"domain {made.name} of tenant {tenant}: publish these records"
    yield ""
    yield from record_lines(records)
    yield ""
    if made.verified:
        yield f"taken as verified; next: pillarbox credential create --tenant {tenant} --name NAME"
    else:
        yield f"next: pillarbox domain check {made.name}"


@command.command()
@click.argument("name")
@_tenant
@click.option("--zone", is_flag=True, help="As lines of a zone file.")
@pass_session
def records(session: Session, *, name: str, tenant: str | None, zone: bool) -> None:
    """Show the records to publish."""

    async def work(rooms: Rooms) -> list[dict[str, str]]:
        await rooms.know_addresses()
        return await _records(rooms, await rooms.domain(name, tenant))

    found = session.box.ask(work)
    session.out.show(found, _zone_lines(found) if zone else record_lines(found))


# -- looking -----------------------------------------------------------------


@command.command("list")
@click.option("--tenant", metavar="NAME", help="Only this tenant's.")
@pass_session
def list_(session: Session, *, tenant: str | None) -> None:
    """Show the sending domains."""

    async def work(rooms: Rooms) -> tuple[list[DomainRecord], dict[int, str]]:
        owner = await rooms.tenant_id(tenant)
        every = await rooms.domains.list(rooms.scope)
        return [one for one in every if owner in (0, one.tenant_id)], await rooms.tenant_names()

    found, names = session.box.ask(work)
    session.out.show([_row(one, names) for one in found], _listing(found, names))


def _listing(found: list[DomainRecord], names: dict[int, str]) -> Iterator[Part]:
    now = clock.now_ms()
    yield Table(
        ("DOMAIN", "TENANT", "OWNERSHIP", "RETURN PATH", "DMARC", "SELECTORS", "CHECKED"),
        [
            (
                one.name + (" (default)" if one.is_default and one.tenant_id else ""),
                names.get(one.tenant_id, "?"),
                "verified" if one.verified else "not proved",
                "own" if one.return_path_verified else "the box's",
                "yes" if one.has_dmarc else "no",
                ", ".join(_selector(key.selector, key.state) for key in one.keys),
                ago(one.checked_at, now),
            )
            for one in found
        ],
        empty="there is no domain yet: pillarbox domain create DOMAIN --tenant NAME",
    )


def _selector(selector: str, state: str) -> str:
    return selector if state == "active" else f"{selector} ({state})"


@command.command()
@click.argument("name")
@_tenant
@pass_session
def check(session: Session, *, name: str, tenant: str | None) -> None:
    """Ask DNS for every record; what is right takes effect at once. Exit code 1 if one is not."""

    async def work(rooms: Rooms) -> _Found:
        from appliance.core.dns import Resolver

        await rooms.know_addresses()
        found = await rooms.domain(name, tenant)
        lookup = Resolver(session.box.settings.dns)  # a fresh one: nothing cached from before
        checked = await rooms.domains.check(
            rooms.scope, found.name, lookup, tenant_id=found.tenant_id
        )
        return checked, await rooms.tenant_names()

    checked, names = session.box.ask(work)
    checks = _that_count(checked)
    ok = all(one.state == "ok" for one in checks)
    shown = _row(checked, names) | {"ok": ok, "checks": checks}
    session.out.show(shown, _checked(checked, checks, ok=ok))
    if not ok:
        raise click.exceptions.Exit(EXIT_WRONG)


def _that_count(checked: DomainRecord) -> list[Check]:
    assert checked.report is not None, "it was checked just now"
    wanted = ("dkim", "dmarc") if checked.tenant_id == BOX else ()
    return [one for one in checked.report.checks if not wanted or one.kind in wanted]


def _checked(checked: DomainRecord, checks: list[Check], *, ok: bool) -> Iterator[Part]:
    yield Table(
        ("RECORD", "NAME", "STATE", "WHAT IS WRONG"),
        [(one.kind.replace("_", " "), one.name, one.state, one.problem or "-") for one in checks],
        empty="there is nothing to check",
    )
    yield ""
    if ok:
        yield f"{checked.name} is ready"
    else:
        may = "may send" if checked.verified else "may not send yet: its ownership is not proved"
        yield f"{checked.name} {may}; pillarbox domain records {checked.name} shows what to publish"


# -- changing ----------------------------------------------------------------


def _change(
    session: Session,
    name: str,
    tenant: str | None,
    work: Callable[[Rooms, DomainRecord], Any],
    words: str,
) -> None:
    """Change one domain and show its selectors."""

    async def change(rooms: Rooms) -> _Found:
        found = await rooms.domain(name, tenant)
        return await work(rooms, found), await rooms.tenant_names()

    done, names = session.box.ask(change)
    session.out.show(_row(done, names), [f"{done.name}: {words}", *_listing([done], names)])


@command.command()
@click.argument("name")
@_tenant
@pass_session
def rotate(session: Session, *, name: str, tenant: str | None) -> None:
    """Make new selectors. They sign when a check has seen their records."""
    _change(
        session,
        name,
        tenant,
        lambda rooms, found: rooms.domains.rotate(
            rooms.scope, found.name, tenant_id=found.tenant_id
        ),
        "publish the records of the new selectors, then check",
    )


@command.command("import-key")
@click.argument("name")
@click.argument("file", type=click.File("rb"))
@click.option("--selector", required=True, help="Under which it is published.")
@_tenant
@pass_session
def import_key(
    session: Session, *, name: str, file: Any, selector: str, tenant: str | None
) -> None:
    """Take over a private key (PEM in FILE, - is standard input). It signs after a check."""
    pem = file.read(1 << 16)
    _change(
        session,
        name,
        tenant,
        lambda rooms, found: rooms.domains.import_key(
            rooms.scope, found.name, selector=selector, pem=pem, tenant_id=found.tenant_id
        ),
        f"selector {selector} is taken over; it signs when a check has seen its record",
    )


@command.command()
@click.argument("name")
@_tenant
@pass_session
def activate(session: Session, *, name: str, tenant: str | None) -> None:
    """Let new selectors sign without having seen their records (laboratory, closed network)."""
    _change(
        session,
        name,
        tenant,
        lambda rooms, found: rooms.domains.activate(
            rooms.scope, found.name, tenant_id=found.tenant_id
        ),
        "its newest selectors sign",
    )


@command.command("default")
@click.argument("name")
@_tenant
@pass_session
def default(session: Session, *, name: str, tenant: str | None) -> None:
    """Sign foreign From domains of the tenant's forwarders with this domain."""
    _change(
        session,
        name,
        tenant,
        lambda rooms, found: rooms.domains.set_default(
            rooms.scope, found.name, tenant_id=found.tenant_id
        ),
        "is the tenant's default",
    )


@command.command()
@click.argument("name")
@_tenant
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def remove(session: Session, *, name: str, tenant: str | None, yes: bool) -> None:
    """Give a domain up, keys and all. Mail that still waits is signed by the default domain, if any."""
    found = session.box.ask(lambda rooms: rooms.domain(name, tenant))
    if found.tenant_id == BOX:
        raise UsageError(f"{found.name} is the box's own: it stays")
    session.confirm(f"Give up {found.name} and its keys?", concerned=2, yes=yes)
    session.box.ask(
        lambda rooms: rooms.domains.remove(rooms.scope, found.name, tenant_id=found.tenant_id)
    )
    session.out.show({"name": found.name, "removed": True}, [f"{found.name} is given up"])
