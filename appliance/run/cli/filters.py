"""Filters: which waiting mail a queue command means, from options to the owners' filter or a pause's target.

    --tenant --credential --domain --site --provider --egress --tag      several kinds together narrow down
    --id --address (--status)                                            for what is done once

Names become ids by control.db; a provider that does not exist is an error, not an empty answer.
Nothing given means nothing chosen: acting on everything takes --all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import click

from appliance.core import ids
from appliance.core.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from appliance.operations import Target
    from appliance.run.cli.rooms import Rooms
    from appliance.run.cli.session import Session

Filter = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was said on the command line."""

    ids: tuple[str, ...] = ()
    domain: str = ""
    tenant: str = ""
    credential: str = ""
    site: str = ""
    provider: str = ""
    egress: str = ""
    tag: str = ""
    address: str = ""
    status: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing narrows the choice."""
        return self == Chosen()


_TARGET: Final = (
    click.option("--tenant", default="", metavar="NAME", help="Mail of this tenant."),
    click.option(
        "--credential", default="", metavar="NAME", help="Mail of this login (name or id)."
    ),
    click.option("--domain", default="", help="Mail to this domain."),
    click.option(
        "--site", default="", metavar="HOSTS", help="Mail to all domains with these MX hosts."
    ),
    click.option(
        "--provider", default="", help="Mail to this receiver of the shaping file, or 'other'."
    ),
    click.option("--egress", default="", metavar="NAME", help="Mail that leaves from this egress."),
    click.option("--tag", default="", help="Mail with this tag."),
)
_FILTER: Final = (
    click.option("--id", "ids", multiple=True, metavar="ID", help="The message of this id."),
    *_TARGET,
    click.option("--address", default="", help="This recipient."),
)


def filter_options(function: Any) -> Any:
    """The options, for a command that takes `**chosen`."""
    return _with(_FILTER, function)


def target_options(function: Any) -> Any:
    """Those that last: what may be paused."""
    return _with(_TARGET, function)


def _with(options: Iterable[Callable[[Any], Any]], function: Any) -> Any:
    for option in reversed(tuple(options)):
        function = option(function)
    return function


def filters_of(session: Session, chosen: Chosen) -> list[Filter]:
    """The owners' filters: one for each id, else one in all. Raises NotFoundError in words."""
    found: Filter = {**_plain(session, chosen), "address": chosen.address, "status": chosen.status}
    if chosen.tenant or chosen.credential:
        tenant, login = session.box.ask(lambda rooms: _ids(rooms, chosen))
        found |= {"tenant_id": tenant, "credential_id": login}
    base = {name: value for name, value in found.items() if value}
    return [base | {"message_id": message_id(text)} for text in chosen.ids] or [base]


async def target_of(session: Session, rooms: Rooms, chosen: Chosen) -> Target:
    """What a pause is to stop. Raises NotFoundError for a name that nobody has."""
    from appliance.operations import Target
    from appliance.run.cli.warmup_facts import require_egress

    if chosen.egress:
        await require_egress(rooms, session.box.settings, chosen.egress)
    tenant, login = await _ids(rooms, chosen)
    return replace(Target(**_plain(session, chosen)), tenant_id=tenant, credential_id=login)


async def _ids(rooms: Rooms, chosen: Chosen) -> tuple[int, int]:
    """Tenant and credential; 0 where none is named."""
    tenant, login = await rooms.tenant_id(chosen.tenant), 0
    if chosen.credential:
        login = (await rooms.credential(chosen.credential, chosen.tenant)).id
    return tenant, login


def _plain(session: Session, chosen: Chosen) -> dict[str, Any]:
    _require_provider(session, chosen.provider)
    return {
        "domain": a_label(chosen.domain),
        "site": site_name(chosen.site),
        "provider": chosen.provider.lower(),
        "egress": chosen.egress,
        "tag": chosen.tag,
    }


def _require_provider(session: Session, name: str) -> None:
    from appliance.shaping.file import ShapingFile, places
    from mta.warmup.model import OTHER

    if not name or name.lower() == OTHER:
        return
    book = ShapingFile(places(session.box.settings, session.home)).load_or_shipped()
    if name.lower() not in book.providers:
        known = ", ".join(sorted(filter(None, book.providers)))
        raise NotFoundError(f"no provider is named {name!r}: {known}, or {OTHER} for all others")


def message_id(text: str) -> int:
    """A message id as people type it. Raises UsageError in words."""
    try:
        return ids.from_text(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def site_name(text: str) -> str:
    """A site as the queue names it: its hosts in the order of their names, without a port."""
    hosts = text.strip().lower().partition("|")[0]
    name, _, port = hosts.rpartition(":")
    return name if name and port.isdigit() else hosts


def a_label(domain: str) -> str:
    """A domain as the queue knows it: lower case, A-labels."""
    name = domain.strip().rstrip(".").lower()
    if name.isascii():
        return name
    import idna

    try:
        return idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise UsageError(f"{domain!r} is no domain name: {error}") from error
