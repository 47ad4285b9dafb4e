"""`pillarbox shaping`: how fast each receiver is written to, and what its answers change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.core import clock
from appliance.core.errors import ConfigError, NotFoundError
from appliance.run.cli.filters import a_label
from appliance.run.cli.output import Table, ago, ahead, counted, when
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms
    from mta.shaping.book import ShapingBook
    from mta.shaping.throttle import Throttle

command = group("shaping", "How fast each receiver is written to, and what its answers change.")


@command.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@pass_session
def check(session: Session, *, file: Path | None) -> None:
    """Tell every mistake in FILE (else the shaping file in force), with its line."""
    from appliance.shaping.file import load_sound

    path = file or _in_force(session)
    try:
        book = load_sound(path)
    except ConfigError as error:
        errors = str(error).splitlines()
        session.out.show({"file": str(path), "ok": False, "errors": errors}, errors)
        raise click.exceptions.Exit(ConfigError.exit_code) from error
    _show_sound(session, path, book)


def _in_force(session: Session) -> Path:
    """The file that the box goes by, as its settings say."""
    from appliance.core.settings_file import load
    from appliance.shaping.file import ShapingFile, places

    config = session.config or session.home.config_file
    settings = load(config if session.config or config.exists() else None, session.environ)
    return ShapingFile(places(settings, session.home)).path


def _show_sound(session: Session, path: Path, book: ShapingBook) -> None:
    named = [provider for provider in book.providers.values() if provider.name]
    samples = sum(len(rule.samples) for rule in book.rules)
    found = {
        "file": str(path),
        "ok": True,
        "errors": [],
        "providers": [provider.name for provider in named],
        "rules": len(book.rules),
        "samples": samples,
    }
    what = (counted(len(named), "provider"), counted(len(book.rules), "rule"))
    heard = f"{counted(samples, 'sample')} heard by the rules they belong to"
    session.out.show(found, [f"{path} is sound: {', '.join(what)}, {heard}"])


# -- what holds now ------------------------------------------------------------


@command.command()
@click.argument("domain")
@pass_session
def explain(session: Session, *, domain: str) -> None:
    """Tell how fast DOMAIN is written to, what is suspended now, why, and until when."""
    from appliance.run.explain import together

    found = together(session.box.owners.explain(a_label(domain.rpartition("@")[2])))
    names = session.box.ask(_tenant_names)
    session.out.show(found, _explained(found, names, clock.now_ms()))


async def _tenant_names(rooms: Rooms) -> dict[int, str]:
    return await rooms.tenant_names()


def _explained(found: dict[str, Any], names: dict[int, str], now: int) -> Iterator[Part]:
    if found["route"]:
        yield f"{found['domain']} cannot be reached: {found['route']}"
        return
    provider = found["title"] if found["provider"] else "no provider with a name: [default] holds"
    hosts, limits = found["hosts"], found["limits"]
    yield f"{found['domain']} is at {', '.join(hosts[:4])}{' ...' if hosts[4:] else ''}: {provider}"
    yield (
        f"limits of each address there: {counted(limits['connections'], 'connection')} to a site,"
        f" {limits['messages_per_connection']} messages on one, new connections"
        f" {limits['connection_rate']}, messages {limits['message_rate']}, TLS {limits['tls']}"
    )
    if found["tls_policy"]:
        yield f"its policy for TLS: {found['tls_policy']}"
    rows = [_row(egress) for egress in found["egresses"]]
    yield Table(("EGRESS", "ADDRESS", "STATE", "OPEN", "RATE", "WARMUP TODAY"), rows, empty="")
    for egress in found["egresses"]:
        yield from _told(egress, found["zone"], names, now)


def _row(egress: dict[str, Any]) -> tuple[str, ...]:
    warmup = egress["warmup"]
    today = "warm"
    if warmup is not None:
        stage = f"stage {warmup['stage']} of {warmup['stages']}"
        today = f"{warmup['used']:,} of {warmup['limit']:,}, {stage}, {warmup['state']}"
    return (
        egress["name"],
        egress["address"] or "-",
        egress["state"],
        str(egress["connections"]),
        egress["rate"],
        today,
    )


def _told(egress: dict[str, Any], zone: str, names: dict[int, str], now: int) -> Iterator[str]:
    """The story of one address there, the newest first."""
    if egress["why"]:
        yield f"{egress['name']} is {egress['state']}: {egress['why']}"
    if egress["unreachable"]:
        yield f"{egress['name']}: {egress['unreachable']}"
    for one in egress["throttles"]:
        tenant = names.get(one["tenant_id"], str(one["tenant_id"])) if one["tenant_id"] else ""
        whose = f", tenant {tenant}" if tenant else ""
        whose += f", domain {one['domain']}" if one["domain"] else ""
        yield f"{egress['name']}{whose} is {one['state']}: {one['why']}"
        yield from (
            f"  {when(h['at'])} ({ago(h['at'], now)}): {h['words']}" for h in one["history"]
        )
        if one["in_force"]:
            yield f"  faster {ahead(one['next_at'], now)}, as configured {ahead(one['normal_at'], now)}"
            yield f"  at once: pillarbox shaping lift {egress['name']} {zone}{_options(one, tenant)}"


def _options(throttle: dict[str, Any], tenant: str) -> str:
    """What else `lift` must be told."""
    whose = f" --tenant {tenant}" if tenant else ""
    whose += f" --domain {throttle['domain']}" if throttle["domain"] else ""
    return f"{whose} --reason WHY"


# -- by hand -------------------------------------------------------------------


@command.command()
@click.argument("egress")
@click.argument("zone")
@click.option("--tenant", metavar="NAME", help="The throttle of this tenant there.")
@click.option("--domain", default="", help="The throttle of this recipient domain there.")
@click.option("--reason", required=True, help="Why; whoever finds it later will ask.")
@pass_session
def lift(
    session: Session, *, egress: str, zone: str, tenant: str | None, domain: str, reason: str
) -> None:
    """End what slows or suspends EGRESS at ZONE (a provider's name, or a site as `explain` has it)."""

    async def work(rooms: Rooms) -> Throttle:
        from mta.shaping.throttle import Subject

        tenant_id = await rooms.tenant_id(tenant)
        store = rooms.throttles
        subject = Subject(egress, zone, tenant_id, domain)
        try:
            return await store.lift(rooms.scope, subject, reason=reason)
        except NotFoundError:
            standing = [one.subject for one in await store.all(rooms.scope) if one.in_force]
            there = "; ".join(map(str, standing[:10])) or "nothing at all"
            raise NotFoundError(f"nothing slows {subject}. In force: {there}") from None

    lifted = session.box.ask(work)
    session.out.show(
        {"subject": str(lifted.subject), "state": "as configured"},
        [f"lifted: {lifted.subject} goes as configured again"],
    )
