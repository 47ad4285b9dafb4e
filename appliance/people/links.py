"""Links: one-time links, of which the box keeps the hash. Using one deletes it, so that two at once are one.

Fails with NotFoundError for a link that was used, withdrawn, replaced, made up, or is too old: in the same
words, because whoever holds one of those has to do the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select

from appliance.core.errors import NotFoundError
from appliance.people.tables import link
from appliance.people.tokens import hash_of, new_token

if TYPE_CHECKING:
    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from appliance.people.model import LinkKind

_PATHS = {"invitation": "invitation", "password": "password", "first-admin": "welcome"}
_GONE = "this link was used already, taken back, or is too old: ask for a new one"


def url_of(public_url: str, kind: LinkKind, token: str) -> str:
    """Where the link leads: a page of the console."""
    return f"{public_url}/{_PATHS[kind]}/{token}"


async def make(
    connection: AsyncConnection, kind: LinkKind, values: dict[str, Any], *, now: int, life: int
) -> tuple[str, RowMapping]:
    """A new link: its token, and its row."""
    token = new_token()
    row = {
        "tenant_id": 0,
        "person_id": 0,
        "email": "",
        "role": "",
        "by": "",
        **values,
        "token_hash": hash_of(token),
        "kind": kind,
        "created_at": now,
        "expires_at": now + life,
    }
    made = await connection.execute(insert(link).values(row).returning(link))
    return token, made.mappings().one()


async def look(connection: AsyncConnection, kind: LinkKind, token: str, now: int) -> RowMapping:
    """What the link is for, without using it. Raises NotFoundError."""
    found = await connection.execute(select(link).where(*_is(kind, token, now)))
    return _there(found.mappings().one_or_none())


async def use(connection: AsyncConnection, kind: LinkKind, token: str, now: int) -> RowMapping:
    """What the link is for; nobody uses it again. Raises NotFoundError."""
    found = await connection.execute(delete(link).where(*_is(kind, token, now)).returning(link))
    return _there(found.mappings().one_or_none())


async def forget(connection: AsyncConnection, now: int) -> None:
    """Drop those that are too old."""
    await connection.execute(delete(link).where(link.c.expires_at <= now))


def _is(kind: LinkKind, token: str, now: int) -> tuple[Any, ...]:
    return (link.c.token_hash == hash_of(token), link.c.kind == kind, link.c.expires_at > now)


def _there(row: RowMapping | None) -> RowMapping:
    if row is None:
        raise NotFoundError(_GONE)
    return row
