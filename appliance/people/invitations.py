"""Invitations: an address is asked in, by a link that works once, for a week.

Who has an account already keeps it, password and all, and gains the role; anybody else chooses a name and a
password. The inviter is not told which of the two it is. An invitation may be withdrawn, and another one to
the same place takes the first one's stead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, select

from appliance.core.database import reading, transaction
from appliance.core.errors import ConflictError, NotFoundError
from appliance.core.scope import BOX, Scope, scoped
from appliance.people import letters, links, records
from appliance.people.guessing import invitation_key
from appliance.people.model import Invitation, LinkKind
from appliance.people.rules import (
    INVITATION_LIFE,
    checked_email,
    checked_name,
    checked_password,
    checked_role,
)
from appliance.people.tables import link
from appliance.rights import Role
from appliance.tenancy import Act, Tenants, record

if TYPE_CHECKING:
    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from appliance.people.kit import Kit
    from appliance.people.model import Client, Opened

MOST_OPEN: Final = 500  # of a tenant


class Invitations:
    """Who was asked in."""

    def __init__(self, kit: Kit) -> None:
        self._engine, self._options, self._now = kit.engine, kit.options, kit.now
        self._passwords, self._guessing = kit.passwords, kit.guessing
        self._door, self._letters, self._later = kit.door, kit.letters, kit.later

    async def invite(
        self, scope: Scope, *, email: str, role: str, tenant_id: int = BOX
    ) -> Invitation:
        """Ask somebody in, by letter, which may take some minutes while the queue takes none.

        Raises NotFoundError, ConflictError, TooManyError, StoreError.
        """
        made, url = await self.link(scope, email=email, role=role, tenant_id=tenant_id)
        await self._later.send(made.email, *await self._letter(made, url))
        return made

    async def send(self, made: Invitation, url: str) -> None:
        """Send the letter of a link now or not at all. Raises Refused or StoreError."""
        await self._letters.send(made.email, *await self._letter(made, url))

    async def link(
        self, scope: Scope, *, email: str, role: str, tenant_id: int = BOX
    ) -> tuple[Invitation, str]:
        """As `invite`, for somebody who hands the link over in another way than by mail."""
        owner = _owner(scope, tenant_id)
        address, wanted = checked_email(email), checked_role(role, owner)
        await self._tenant_name(owner)  # there is one
        await self._guessing.count(invitation_key(address))
        values = {"tenant_id": owner, "email": address, "role": wanted, "by": scope.by}
        async with transaction(self._engine) as connection:
            await self._make_room(connection, owner, address)
            token, row = await links.make(
                connection, LinkKind.INVITATION, values, now=self._now(), life=INVITATION_LIFE
            )
            made = _invitation(row)
            await self._audit(connection, scope, made, "invitation.create")
        return made, links.url_of(self._options.public_url, LinkKind.INVITATION, token)

    async def list(self, scope: Scope) -> tuple[Invitation, ...]:
        """Those that were not accepted yet, newest first."""
        statement = scoped(select(link), link, scope).where(
            link.c.kind == LinkKind.INVITATION, link.c.expires_at > self._now()
        )
        async with reading(self._engine) as connection:
            rows = await connection.execute(statement.order_by(link.c.id.desc()).limit(MOST_OPEN))
            return tuple(map(_invitation, rows.mappings()))

    async def get(self, scope: Scope, invitation_id: int) -> Invitation:
        """One that is open. Raises NotFoundError."""
        statement = scoped(select(link), link, scope).where(
            link.c.kind == LinkKind.INVITATION,
            link.c.id == invitation_id,
            link.c.expires_at > self._now(),
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"there is no open invitation {invitation_id}")
        return _invitation(row)

    async def withdraw(self, scope: Scope, invitation_id: int) -> None:
        """Take one back: its link is worth nothing from now on. Raises NotFoundError."""
        statement = scoped(delete(link), link, scope).where(
            link.c.kind == LinkKind.INVITATION, link.c.id == invitation_id
        )
        async with transaction(self._engine) as connection:
            row = (await connection.execute(statement.returning(link))).mappings().one_or_none()
            if row is None:
                raise NotFoundError(f"there is no open invitation {invitation_id}")
            await self._audit(connection, scope, _invitation(row), "invitation.withdraw")

    async def look(self, token: str) -> tuple[Invitation, bool]:
        """What a link asks into, and whether its address has an account. Raises NotFoundError."""
        async with reading(self._engine) as connection:
            row = await links.look(connection, LinkKind.INVITATION, token, self._now())
            asked = _invitation(row)
            return asked, await records.by_email(connection, asked.email) is not None

    async def accept(
        self, token: str, client: Client, *, name: str = "", password: str = ""
    ) -> Opened | None:
        """Come in. A new account is signed in at once; whoever has one signs in with it (None)."""
        asked, has_account = await self.look(token)
        hashed = ""
        if not has_account:
            name = checked_name(name)
            hashed = await self._passwords.hash(checked_password(password, asked.email))
        async with transaction(self._engine) as connection:
            row = await links.use(connection, LinkKind.INVITATION, token, self._now())
            by = Scope.system(by=asked.email, address=client.address)
            person_id = await self.enter(
                connection, by, _invitation(row), name=name, password_hash=hashed
            )
            return None if has_account else await self._door.open(connection, person_id, client)

    async def enter(
        self,
        connection: AsyncConnection,
        by: Scope,
        asked: Invitation,
        *,
        name: str,
        password_hash: str,
    ) -> int:
        """Give somebody who accepts the role, and an account if there is none; the person's id."""
        row = await records.by_email(connection, asked.email)
        if row is not None:
            person_id = int(row["id"])
        else:
            values = {
                "email": asked.email,
                "name": name,
                "password_hash": password_hash,
                "created_at": self._now(),
            }
            person_id = await records.add_person(connection, values)
        await records.set_role(connection, person_id, asked.tenant_id, asked.role, self._now())
        await self._audit(connection, by, asked, "invitation.accept")
        return person_id

    async def enter_all(
        self, connection: AsyncConnection, email: str, client: Client, *, name: str
    ) -> int | None:
        """Accept every open invitation of an address that an issuer has proved; None without any."""
        mine = (
            link.c.kind == LinkKind.INVITATION,
            link.c.email == email,
            link.c.expires_at > self._now(),
        )
        rows = (await connection.execute(delete(link).where(*mine).returning(link))).mappings()
        by, person_id = Scope.system(by=email, address=client.address), None
        for row in sorted(rows, key=lambda row: int(row["id"])):
            asked = _invitation(row)
            person_id = await self.enter(connection, by, asked, name=name, password_hash="")
        return person_id

    async def _letter(self, made: Invitation, url: str) -> tuple[str, str]:
        tenant = await self._tenant_name(made.tenant_id)
        return letters.invitation(self._options, made, tenant, url)

    async def _make_room(self, connection: AsyncConnection, tenant_id: int, email: str) -> None:
        its = (link.c.kind == LinkKind.INVITATION, link.c.tenant_id == tenant_id)
        await connection.execute(delete(link).where(*its, link.c.email == email))
        count = select(func.count()).select_from(link).where(*its)
        if int((await connection.execute(count)).scalar_one()) >= MOST_OPEN:
            raise ConflictError(
                f"{MOST_OPEN} invitations are open already: withdraw those that nobody accepts"
            )

    async def _tenant_name(self, tenant_id: int) -> str:
        if tenant_id == BOX:
            return ""
        found = await Tenants(self._engine).list(Scope.tenant(tenant_id))
        if not found:
            raise NotFoundError(f"there is no tenant {tenant_id}")
        return found[0].name

    async def _audit(
        self, connection: AsyncConnection, scope: Scope, asked: Invitation, action: str
    ) -> None:
        act = Act(
            tenant_id=asked.tenant_id,
            at=self._now(),
            action=action,
            subject=f"invitation {asked.id} ({asked.email})",
            detail=f"role={asked.role}",
        )
        await record(connection, scope, act)


def _owner(scope: Scope, tenant_id: int) -> int:
    """Where to: a tenant's scope asks into its own tenant and nowhere else."""
    if scope.tenant_id is None:
        return tenant_id
    if tenant_id not in (BOX, scope.tenant_id):
        raise NotFoundError(f"there is no tenant {tenant_id}")
    return scope.tenant_id


def _invitation(row: RowMapping) -> Invitation:
    return Invitation(
        id=row["id"],
        tenant_id=row["tenant_id"],
        email=row["email"],
        role=Role(row["role"]),
        by=row["by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )
