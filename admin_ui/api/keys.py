"""API keys: make one, list them, revoke one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import delete, get, post
from litestar.params import JSONBody
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.nouns import Id
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example, Limit, millis, moment, place_of
from admin_ui.rooms import Behind
from appliance.keys import ApiKey, Wish
from appliance.rights import Right

_KEY: Final = {
    "id": 12,
    "tenant_id": 3,
    "name": "billing",
    "rights": ["messages.send"],
    "sandboxed": False,
    "made_by": "ada@shop.example",
    "created_at": "2026-11-20T10:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
    "last_used_from": "",
}


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    id: int
    tenant_id: Annotated[int, Meta(description="0: of the box.")]
    name: str
    rights: list[Right]
    sandboxed: bool
    made_by: str
    created_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key that is wanted."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    rights: Annotated[frozenset[Right], Meta(min_length=1)]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    sandboxed: Annotated[bool, Meta(description="What it sends is delivered to nobody.")] = False
    tenant: Annotated[
        str, Meta(max_length=63, description="Whose; only a key of the box may say it.")
    ] = ""


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key with its token, which is shown this once."""

    key: Key
    token: str


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """Keys, oldest first; `cursor` leads on, "" at the end."""

    items: list[Key]
    cursor: str


@get(
    "/keys",
    opt={RIGHT: Right.KEYS_READ, EXAMPLE: Example({"items": [_KEY], "cursor": ""})},
    tags=["keys"],
    summary="List the API keys",
)
async def list_keys(
    rooms: Behind,
    asker: WhoAsks,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> KeyPage:
    """Keys that are valid, and those that were."""
    found = await rooms.keys.list(asker.actor.scope, after=place_of(cursor), limit=limit + 1)
    is_more = len(found) > limit
    page = found[:limit]
    return KeyPage(items=[_shown(key) for key in page], cursor=str(page[-1].id) if is_more else "")


@post(
    "/keys",
    opt={
        RIGHT: Right.KEYS_MANAGE,
        EXAMPLE: Example(
            {"key": _KEY, "token": "pbk_12_8fVqZ..."},
            {"name": "billing", "rights": ["messages.send"]},
        ),
    },
    tags=["keys"],
    summary="Make an API key",
)
async def create_key(data: JSONBody[NewKey], rooms: Behind, asker: WhoAsks) -> MadeKey:
    """The token is in the answer and nowhere else."""
    scope = asker.actor.scope
    tenant = await rooms.tenants.get(scope, data.tenant) if data.tenant else None
    wish = Wish(
        name=data.name,
        rights=data.rights,
        expires_at=millis(data.expires_at),
        sandboxed=data.sandboxed or asker.actor.is_sandboxed,
    )
    issued = await rooms.keys.create(
        scope, wish, held=asker.actor.rights, tenant_id=tenant.id if tenant else None
    )
    return MadeKey(key=_shown(issued.key), token=issued.token)


@delete(
    "/keys/{key_id:int}",
    status_code=200,
    opt={
        RIGHT: Right.KEYS_MANAGE,
        EXAMPLE: Example(_KEY | {"revoked_at": "2026-11-21T10:00:00Z"}),
    },
    tags=["keys"],
    summary="Revoke an API key",
)
async def revoke_key(key_id: Id, rooms: Behind, asker: WhoAsks) -> Key:
    """Refused from now on, within a second everywhere; revoking twice is no error."""
    return _shown(await rooms.keys.revoke(asker.actor.scope, key_id))


def _shown(key: ApiKey) -> Key:
    return Key(
        id=key.id,
        tenant_id=key.tenant_id,
        name=key.name,
        rights=sorted(key.rights),
        sandboxed=key.sandboxed,
        made_by=key.by,
        created_at=moment(key.created_at),
        expires_at=moment(key.expires_at),
        revoked_at=moment(key.revoked_at),
        last_used_at=moment(key.last_used_at),
        last_used_from=key.last_used_from,
    )


HANDLERS: Final[list[Any]] = [list_keys, create_key, revoke_key]
