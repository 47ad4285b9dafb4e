"""Tries: what came of a credential's first tries, for who waits for the first message.

    note_tries     sign-ins and refusals, from the processes of the mta, once a second
    note_mail      what was accepted and delivered, from the event log

A row a credential; of refusals the last one stands, whenever it was; sign-ins and messages are noted until the
first one was delivered, so that a credential in use costs nothing. Nothing is decided by what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import select

from appliance.core import clock
from appliance.core.database import reading, transaction, upsert
from appliance.core.scope import scoped
from appliance.credentials.tables import credential, trial

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from appliance.core.scope import Scope

Row: TypeAlias = dict[str, Any]
MAX_WORDS: Final = 500
MAX_SENDER: Final = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How far a credential came. Times are 0 for what has not happened."""

    signed_in_at: int = 0
    address: str = ""  # of the client that signed in last
    tls: str = ""  # "TLSv1.3 TLS_AES_256_GCM_SHA384", "" in the clear
    refused_at: int = 0
    refused_sender: str = ""  # envelope sender; "" for a sign-in that failed
    refused_words: str = ""  # the reply, whole
    accepted_at: int = 0
    message_id: int = 0  # of the newest accepted one, then of the first delivered one
    delivered_at: int = 0  # the first time

    @property
    def is_refused(self) -> bool:
        """Whether the last thing that came of it is a refusal."""
        return self.refused_at > max(self.accepted_at, self.delivered_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """A sign-in, or with `words` a refusal."""

    credential_id: int
    at: int
    address: str = ""
    tls: str = ""
    sender: str = ""
    words: str = ""


class Tries:
    """What came of tries."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], int] = clock.now_ms) -> None:
        self._engine, self._now = engine, now

    async def of(self, scope: Scope, credential_ids: Iterable[int]) -> dict[int, Trial]:
        """By credential, of those that the scope sees; who never tried has none."""
        wanted = select(trial).where(trial.c.credential_id.in_(sorted(set(credential_ids))))
        async with reading(self._engine) as connection:
            rows = await connection.execute(scoped(wanted, trial, scope))
            return {row["credential_id"]: _trial(row) for row in rows.mappings()}

    async def has_delivered(self, scope: Scope) -> bool:
        """Whether any credential of the scope has brought a message to its receiver."""
        wanted = select(trial.c.credential_id).where(trial.c.delivered_at > 0)
        async with reading(self._engine) as connection:
            rows = await connection.execute(scoped(wanted, trial, scope).limit(1))
            return rows.first() is not None

    async def note_tries(self, tries: Iterable[Try]) -> None:
        """Write down the last sign-in and the last refusal of each; unknown credentials are ignored."""
        signed: dict[int, Row] = {}
        refused: dict[int, Row] = {}
        for one in tries:
            if one.words:
                refused[one.credential_id] = {
                    "refused_at": one.at,
                    "refused_sender": one.sender[:MAX_SENDER],
                    "refused_words": one.words[:MAX_WORDS],
                }
            else:
                signed[one.credential_id] = {
                    "signed_in_at": one.at,
                    "address": one.address,
                    "tls": one.tls,
                }
        if signed or refused:
            async with transaction(self._engine) as connection:
                await self._put(connection, signed, only_new=True)
                await self._put(connection, refused)

    async def note_mail(
        self, accepted: Mapping[int, tuple[int, int]], delivered: Mapping[int, tuple[int, int]]
    ) -> None:
        """By credential: when which message was accepted, and when which was the first delivered."""
        if not accepted and not delivered:
            return
        taken = {
            number: {"accepted_at": at, "message_id": message_id}
            for number, (at, message_id) in accepted.items()
        }
        done = {
            number: {"delivered_at": at, "message_id": message_id}
            for number, (at, message_id) in delivered.items()
        }
        async with transaction(self._engine) as connection:
            await self._put(connection, taken, only_new=True)
            await self._put(connection, done, only_new=True)

    async def waiting(self) -> dict[int, int]:
        """Messages whose delivery would be their credential's first: message -> credential."""
        wanted = select(trial.c.message_id, trial.c.credential_id)
        unproven = wanted.where(trial.c.message_id > 0, trial.c.delivered_at == 0)
        async with reading(self._engine) as connection:
            return {row.message_id: row.credential_id for row in await connection.execute(unproven)}

    async def proven(self) -> frozenset[int]:
        """Credentials that have delivered: nothing is to be noted of their mail any more."""
        wanted = select(trial.c.credential_id).where(trial.c.delivered_at > 0)
        async with reading(self._engine) as connection:
            return frozenset((await connection.execute(wanted)).scalars())

    async def _put(
        self, connection: AsyncConnection, rows: Mapping[int, Row], *, only_new: bool = False
    ) -> None:
        """Rows with the same columns; `only_new`: leave alone what has delivered."""
        owners = await _owners(connection, rows)
        known = [
            {"credential_id": number, "tenant_id": owners[number], "changed_at": self._now(), **row}
            for number, row in sorted(rows.items())
            if number in owners
        ]
        if not known:
            return
        statement = upsert(connection, trial)
        changed = {name: statement.excluded[name] for name in known[0]}
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=[trial.c.credential_id],
                set_=changed,
                where=trial.c.delivered_at == 0 if only_new else None,
            ),
            known,
        )


async def _owners(connection: AsyncConnection, credential_ids: Collection[int]) -> dict[int, int]:
    if not credential_ids:
        return {}
    wanted = select(credential.c.id, credential.c.tenant_id)
    rows = await connection.execute(wanted.where(credential.c.id.in_(sorted(credential_ids))))
    return {row.id: row.tenant_id for row in rows}


def _trial(row: Mapping[str, Any]) -> Trial:
    kept = {"credential_id", "tenant_id", "changed_at"}
    return Trial(**{name: value for name, value in row.items() if name not in kept})
