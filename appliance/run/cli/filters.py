"""Filters: which waiting recipients a queue command means, from options to the owners' filter.

    --id --domain --tenant --credential --address (--status)       several kinds together narrow down

Names become ids by control.db. Nothing given means nothing chosen: acting on everything takes --all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from appliance.core import ids
from appliance.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.run.cli.box import Box
    from appliance.run.cli.rooms import Rooms

Filter = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was said on the command line."""

    ids: tuple[str, ...] = ()
    domain: str | None = None
    tenant: str | None = None
    credential: str | None = None
    address: str | None = None
    status: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing narrows the choice."""
        return self == Chosen()


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options, for a command that takes `**chosen`."""
    for option in reversed(
        (
            click.option(
                "--id", "ids", multiple=True, metavar="ID", help="The message of this id."
            ),
            click.option("--domain", help="Recipients at this domain."),
            click.option("--tenant", metavar="NAME", help="Mail of this tenant."),
            click.option("--credential", metavar="NAME", help="Mail of this login (name or id)."),
            click.option("--address", help="This recipient."),
        )
    ):
        function = option(function)
    return function


def filters_of(box: Box, chosen: Chosen) -> list[Filter]:
    """The owners' filters: one for each id, else one in all."""
    base: Filter = {}
    if chosen.tenant or chosen.credential:
        base |= box.ask(lambda rooms: _named(rooms, chosen))
    if chosen.domain:
        base["domain"] = a_label(chosen.domain)
    if chosen.address:
        base["address"] = chosen.address
    if chosen.status:
        base["status"] = chosen.status
    return [base | {"message_id": message_id(text)} for text in chosen.ids] or [base]


async def _named(rooms: Rooms, chosen: Chosen) -> Filter:
    found: Filter = {}
    if chosen.tenant:
        found["tenant_id"] = await rooms.tenant_id(chosen.tenant)
    if chosen.credential:
        found["credential_id"] = (await rooms.credential(chosen.credential, chosen.tenant)).id
    return found


def message_id(text: str) -> int:
    """A message id as people type it. Raises UsageError in words."""
    try:
        return ids.from_text(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


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
