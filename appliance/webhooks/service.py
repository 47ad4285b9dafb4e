"""Use cases of webhooks: create, list, change, rotate, disable, enable, delete, replay, look at deliveries.

An endpoint is told what happens from its creation on. One that is disabled keeps its place: enabled again
it is told what it missed, as far back as the log reaches, unless it is to begin with what comes. The
secret is shown when it is made and never again. Every change is audited, and the sender sees it within
a second.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, insert, select, update

from appliance.core import clock
from appliance.core.control import Part, change
from appliance.core.database import reading, transaction, upsert
from appliance.core.errors import ConflictError, NotFoundError, SecretError, UsageError
from appliance.core.scope import scoped
from appliance.history import cursor_at
from appliance.notices import Notices
from appliance.tenancy import Act, record
from appliance.webhooks.model import IssuedEndpoint, Standing
from appliance.webhooks.rows import bound_to, delivery_of, endpoint_of, types_text
from appliance.webhooks.rules import (
    MAX_PER_TENANT,
    checked_description,
    checked_types,
    checked_url,
)
from appliance.webhooks.signing import KEY_BYTES, secret_of
from appliance.webhooks.store import NOTICE, delivery_row, waiting_row
from appliance.webhooks.tables import delivery, lane, waiting, webhook
from mta.transport.mx import is_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.core.control import Change as Changed
    from appliance.core.scope import Scope
    from appliance.core.secrets import MasterKeys
    from appliance.core.settings import Webhooks as Settings
    from appliance.webhooks.model import Change, Delivery, Endpoint, Waiting

OVERLAP: Final = clock.DAY
"""How long a secret that was replaced signs too."""

MAX_WAITING: Final = 1000
"""Events that a replay lets wait for one endpoint at once."""

_MAX_PAGE: Final = 1000
_MAX_ID: Final = (1 << 63) - 1  # of a database
_MAX_REASON: Final = 500


class Webhooks:
    """The endpoints of all tenants."""

    def __init__(
        self,
        engine: AsyncEngine,
        keys: MasterKeys,
        settings: Settings,
        allowed: Callable[[str], bool],
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        """`allowed` says which addresses an endpoint may have (appliance.webhooks.Allowed)."""
        self._engine, self._keys, self._settings = engine, keys, settings
        self._allowed, self._now = allowed, now

    async def create(
        self,
        scope: Scope,
        *,
        url: str,
        types: Iterable[str],
        description: str = "",
        tenant_id: int | None = None,
    ) -> IssuedEndpoint:
        """A new endpoint, with its secret. Raises ConflictError when there are too many."""
        at = self._now()
        values: dict[str, Any] = {
            "tenant_id": scope.owner(tenant_id),
            "url": self._checked(url),
            "types": types_text(checked_types(types)),
            "description": checked_description(description),
            "created_at": at,
            "enabled_at": at,
        }
        empty = dict.fromkeys(("secret", "old_secret", "disabled_by", "disabled_reason"), "")
        none = dict.fromkeys(("old_secret_until", "disabled_at"), 0)
        secret = secret_of(secrets.token_bytes(KEY_BYTES))
        async with change(self._engine, Part.WEBHOOKS) as changed:
            await _require_room(changed.connection, values["tenant_id"])
            row = values | empty | none | {"generation": changed.generation}
            inserted = insert(webhook).values(row).returning(webhook.c.id)
            made_id = int((await changed.connection.execute(inserted)).scalar_one())
            made = await self._set(changed, scope, made_id, self._sealed(made_id, secret))
            await _begin_at(changed.connection, made.id, at)
            await self._audit(changed.connection, scope, made, "create", made.url)
        return IssuedEndpoint(endpoint=made, secret=secret)

    async def list(
        self, scope: Scope, *, after: int = 0, limit: int | None = None
    ) -> tuple[Endpoint, ...]:
        """The endpoints the scope sees, oldest first; of them a page behind `after`."""
        statement = scoped(select(webhook), webhook, scope).where(webhook.c.id > after)
        statement = statement.order_by(webhook.c.id).limit(limit)
        async with reading(self._engine) as connection:
            return tuple(map(endpoint_of, (await connection.execute(statement)).mappings()))

    async def get(self, scope: Scope, webhook_id: int) -> Endpoint:
        """One endpoint. Raises NotFoundError."""
        async with reading(self._engine) as connection:
            return await _get(connection, scope, webhook_id)

    async def change(self, scope: Scope, webhook_id: int, wanted: Change) -> Endpoint:
        """Change where it is, what it is told, or its description."""
        values: dict[str, Any] = {}
        if wanted.url is not None:
            values["url"] = self._checked(wanted.url)
        if wanted.types is not None:
            values["types"] = types_text(checked_types(wanted.types))
        if wanted.description is not None:
            values["description"] = checked_description(wanted.description)
        async with change(self._engine, Part.WEBHOOKS) as changed:
            done = await self._set(changed, scope, webhook_id, values)
            await self._audit(changed.connection, scope, done, "change", ", ".join(values))
        return done

    async def rotate(self, scope: Scope, webhook_id: int) -> IssuedEndpoint:
        """A new secret; for a day what is sent is signed with the old one as well."""
        secret = secret_of(secrets.token_bytes(KEY_BYTES))
        async with change(self._engine, Part.WEBHOOKS) as changed:
            await _get(changed.connection, scope, webhook_id)
            old = select(webhook.c.secret).where(webhook.c.id == webhook_id)
            before = self._moved(webhook_id, (await changed.connection.execute(old)).scalar_one())
            values = self._sealed(webhook_id, secret) | {
                "old_secret": before,
                "old_secret_until": self._now() + OVERLAP if before else 0,
            }
            done = await self._set(changed, scope, webhook_id, values)
            await self._audit(changed.connection, scope, done, "rotate")
        return IssuedEndpoint(endpoint=done, secret=secret)

    async def disable(self, scope: Scope, webhook_id: int, *, reason: str = "") -> Endpoint:
        """Tell it nothing until it is enabled. Raises ConflictError when it is disabled already."""
        words = " ".join(reason.split())[:_MAX_REASON]
        values = {"disabled_at": self._now(), "disabled_by": scope.by, "disabled_reason": words}
        async with change(self._engine, Part.WEBHOOKS) as changed:
            found = await _get(changed.connection, scope, webhook_id)
            if not found.is_enabled:
                raise ConflictError(f"webhook {webhook_id} is disabled already")
            done = await self._set(changed, scope, webhook_id, values)
            await self._audit(changed.connection, scope, done, "disable", words)
        return done

    async def enable(self, scope: Scope, webhook_id: int, *, skip: bool = False) -> Endpoint:
        """Go on where it stopped, or with `skip` at what comes from now on."""
        at = self._now()
        values = {"disabled_at": 0, "disabled_by": "", "disabled_reason": "", "enabled_at": at}
        async with change(self._engine, Part.WEBHOOKS) as changed:
            connection = changed.connection
            found = await _get(connection, scope, webhook_id)
            if found.is_enabled:
                raise ConflictError(f"webhook {webhook_id} is enabled already")
            done = await self._set(changed, scope, webhook_id, values)
            waits = waiting.c.webhook_id == webhook_id, waiting.c.given_up_at == 0
            if skip:
                await connection.execute(delete(waiting).where(*waits))
                await _begin_at(connection, webhook_id, at)
            else:
                again = {"due_at": 0, "attempts": 0, "first_at": 0}
                await connection.execute(update(waiting).where(*waits).values(again))
            await self._audit(connection, scope, done, "enable", "skip" if skip else "")
        await self._resolve(scope, done)
        return done

    async def delete(self, scope: Scope, webhook_id: int) -> Endpoint:
        """Forget it, with what waits for it and its deliveries."""
        async with change(self._engine, Part.WEBHOOKS) as changed:
            connection = changed.connection
            found = await _get(connection, scope, webhook_id)
            for table in (delivery, waiting, lane):
                await connection.execute(delete(table).where(table.c.webhook_id == webhook_id))
            await connection.execute(delete(webhook).where(webhook.c.id == webhook_id))
            await self._audit(connection, scope, found, "delete", found.url)
        await self._resolve(scope, found)
        return found

    # -- deliveries ------------------------------------------------------------

    async def deliveries(
        self, scope: Scope, webhook_id: int, *, before: int = 0, limit: int = 100
    ) -> tuple[Delivery, ...]:
        """A page of attempts with ids below `before` (0 = from the newest), newest first."""
        statement = select(delivery).where(delivery.c.webhook_id == webhook_id)
        if before:
            statement = statement.where(delivery.c.id < before)
        newest_first = statement.order_by(delivery.c.id.desc()).limit(max(1, min(limit, _MAX_PAGE)))
        async with reading(self._engine) as connection:
            await _get(connection, scope, webhook_id)
            return tuple(map(delivery_of, (await connection.execute(newest_first)).mappings()))

    async def note_delivery(self, scope: Scope, made: Delivery) -> None:
        """Put an attempt that was not the sender's into the log."""
        async with transaction(self._engine) as connection:
            await _get(connection, scope, made.webhook_id)
            await connection.execute(insert(delivery), delivery_row(made))

    async def standing(self, scope: Scope, webhook_id: int) -> Standing:
        """How far an endpoint is. What has waited for less than a second may not be counted."""
        await self.get(scope, webhook_id)
        return (await self.standings(scope, [webhook_id]))[webhook_id]

    async def standings(self, scope: Scope, webhook_ids: Sequence[int]) -> dict[int, Standing]:
        """How far each of these is, of those that the scope sees."""
        mine = scoped(select(webhook.c.id), webhook, scope).where(webhook.c.id.in_(webhook_ids))
        newest = select(func.max(delivery.c.id)).where(delivery.c.webhook_id.in_(mine))
        last = select(delivery).where(delivery.c.id.in_(newest.group_by(delivery.c.webhook_id)))
        async with reading(self._engine) as connection:
            ids = (await connection.execute(mine)).scalars().all()
            rows = (await connection.execute(last)).mappings()
            lasts = {row["webhook_id"]: delivery_of(row) for row in rows}
            waits = {row[0]: row[1:] for row in await connection.execute(_waits(mine))}
        return {one: _standing(waits.get(one, (0, 0, 0, 0)), lasts.get(one)) for one in ids}

    # -- replay ----------------------------------------------------------------

    async def replay_failed(self, scope: Scope, webhook_id: int, *, since: int = 0) -> int:
        """Try again at once what was given up and happened since then; returns how many."""
        again = {"given_up_at": 0, "due_at": 0, "attempts": 0, "first_at": 0}
        failed = (
            waiting.c.webhook_id == webhook_id,
            waiting.c.given_up_at > 0,
            waiting.c.at >= since,
        )
        async with change(self._engine, Part.WEBHOOKS) as changed:
            done = await self._set(changed, scope, webhook_id, {})
            found = await changed.connection.execute(update(waiting).where(*failed).values(again))
            await self._audit(changed.connection, scope, done, "replay", f"{found.rowcount} failed")
        return int(found.rowcount)

    async def replay(self, scope: Scope, webhook_id: int, events: Sequence[Waiting]) -> int:
        """Send these events again; returns how many of them found room, from the first on.

        They become due now, which tells them from what an endpoint takes at this moment anyway.
        """
        async with change(self._engine, Part.WEBHOOKS) as changed:
            connection = changed.connection
            done = await self._set(changed, scope, webhook_id, {})
            if not done.is_enabled:
                raise ConflictError(f"webhook {webhook_id} is disabled: enable it first")
            held = select(func.count()).where(waiting.c.webhook_id == webhook_id)
            room = MAX_WAITING - int((await connection.execute(held)).scalar_one())
            taken = events[: max(0, room)]
            if taken:
                statement = upsert(connection, waiting)
                again = ("due_at", "attempts", "first_at", "given_up_at")
                statement = statement.on_conflict_do_update(
                    index_elements=list(waiting.primary_key.columns),
                    set_={name: statement.excluded[name] for name in again},
                )
                now = clock.now_ms()
                rows = [waiting_row(webhook_id, one) | {"due_at": now} for one in taken]
                await connection.execute(statement, rows)
                await self._audit(connection, scope, done, "replay", f"{len(taken)} events")
        return len(taken)

    # -- how -------------------------------------------------------------------

    def _checked(self, url: str) -> str:
        target = checked_url(url, allow_http=self._settings.allow_http)
        if is_address(target.host) and not self._allowed(target.host):
            raise UsageError(
                f"{target.host} is a private address: webhooks.allow_networks would allow it",
                field="url",
            )
        return target.url

    def _sealed(self, webhook_id: int, secret: str) -> dict[str, Any]:
        place = bound_to(webhook_id, "secret")
        return {"secret": self._keys.encrypt(secret.encode(), bound_to=place)}

    def _moved(self, webhook_id: int, sealed: str) -> str:
        """A secret in the place of the old one; "" when it cannot be read any more."""
        try:
            opened = self._keys.decrypt(sealed, bound_to=bound_to(webhook_id, "secret"))
        except SecretError:
            return ""
        return self._keys.encrypt(opened, bound_to=bound_to(webhook_id, "old_secret"))

    async def _set(
        self, changed: Changed, scope: Scope, webhook_id: int, values: dict[str, Any]
    ) -> Endpoint:
        if webhook_id > _MAX_ID:
            raise _unknown(webhook_id)
        wanted = scoped(update(webhook), webhook, scope).where(webhook.c.id == webhook_id)
        values = values | {"generation": changed.generation}
        rows = await changed.connection.execute(wanted.values(values).returning(webhook))
        row = rows.mappings().one_or_none()
        if row is None:
            raise _unknown(webhook_id)
        return endpoint_of(row)

    async def _audit(
        self,
        connection: AsyncConnection,
        scope: Scope,
        about: Endpoint,
        action: str,
        detail: str = "",
    ) -> None:
        act = Act(
            tenant_id=about.tenant_id,
            at=self._now(),
            action=f"webhook.{action}",
            subject=f"webhook {about.id}",
            detail=detail,
        )
        await record(connection, scope, act)

    async def _resolve(self, scope: Scope, about: Endpoint) -> None:
        notices = Notices(self._engine, self._now)
        await notices.resolve(scope, NOTICE, f"webhook {about.id}", tenant_id=about.tenant_id)


async def _get(connection: AsyncConnection, scope: Scope, webhook_id: int) -> Endpoint:
    if webhook_id > _MAX_ID:
        raise _unknown(webhook_id)
    statement = scoped(select(webhook), webhook, scope).where(webhook.c.id == webhook_id)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise _unknown(webhook_id)
    return endpoint_of(row)


def _waits(mine: Select[Any]) -> Select[Any]:
    """Of each endpoint: its id, how many events wait, were given up, since when the oldest waits and fails."""
    c = waiting.c
    is_waiting = c.given_up_at == 0
    return (
        select(
            c.webhook_id,
            func.count().filter(is_waiting),
            func.count().filter(~is_waiting),
            func.min(c.at).filter(is_waiting),
            func.min(c.first_at).filter(is_waiting, c.first_at > 0),
        )
        .where(c.webhook_id.in_(mine))
        .group_by(c.webhook_id)
    )


def _standing(waits: Sequence[int | None], last: Delivery | None) -> Standing:
    waiting_now, given_up, oldest_at, failing_since = (number or 0 for number in waits)
    return Standing(
        waiting=waiting_now,
        given_up=given_up,
        oldest_at=oldest_at,
        last=last,
        failing_since=failing_since,
    )


async def _require_room(connection: AsyncConnection, tenant_id: int) -> None:
    """The part's counter is locked: two at once cannot both take the last place."""
    have = select(func.count()).where(webhook.c.tenant_id == tenant_id)
    if (await connection.execute(have)).scalar_one() >= MAX_PER_TENANT:
        raise ConflictError(f"a tenant has at most {MAX_PER_TENANT} webhooks: delete one first")


async def _begin_at(connection: AsyncConnection, webhook_id: int, at: int) -> None:
    """Let its lane begin with what the log takes in from then on."""
    statement = upsert(connection, lane).values(webhook_id=webhook_id, cursor=int(cursor_at(at)))
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[lane.c.webhook_id], set_={"cursor": statement.excluded.cursor}
        )
    )


def _unknown(webhook_id: int) -> NotFoundError:
    return NotFoundError(f"no webhook has the id {webhook_id}: `pillarbox webhook list` shows them")
