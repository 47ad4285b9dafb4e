"""Records: reading and changing rows of people inside a transaction that somebody else opened.

`users` narrows to a scope: a tenant finds its own members, and of them nothing but its own membership.
`keep_*` hold off the moment in which nobody would be left who can let others in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from appliance.core.errors import ConflictError, NotFoundError
from appliance.core.scope import scoped
from appliance.people.model import Membership, PeopleCounts, User
from appliance.people.sessions import end_all
from appliance.people.tables import link, membership, passkey, person, recovery_code
from appliance.rights import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from appliance.core.scope import Scope


async def users(
    connection: AsyncConnection,
    scope: Scope,
    *,
    after: int = 0,
    limit: int = 1,
    prefix: str = "",
    staff_only: bool = False,
) -> tuple[User, ...]:
    """The users whom the scope sees, by id, from the one behind `after`; `prefix`: of an address."""
    statement = select(person).where(person.c.id > after).order_by(person.c.id).limit(limit)
    if prefix:
        statement = statement.where(person.c.email.startswith(prefix, autoescape=True))
    if staff_only:
        statement = statement.where(person.c.box_role != "")
    if not scope.is_system:
        members = scoped(select(membership.c.person_id), membership, scope)
        statement = statement.where(person.c.id.in_(members))
    rows = (await connection.execute(statement)).mappings().all()
    mine = scoped(
        select(membership)
        .where(membership.c.person_id.in_([row["id"] for row in rows]))
        .order_by(membership.c.tenant_id),
        membership,
        scope,
    )
    found = (await connection.execute(mine)).mappings().all()
    return tuple(_user(row, found, scope) for row in rows)


async def counts(connection: AsyncConnection, scope: Scope) -> PeopleCounts:
    """How many they are, how many may not come in, and how many need a password alone."""
    every, c = func.count(), person.c
    has_passkey = select(passkey.c.id).where(passkey.c.person_id == c.id).exists()
    wanted = select(
        every,
        every.filter(c.disabled_at > 0),
        every.filter(c.disabled_at == 0, c.totp_secret == "", c.password_hash != "", ~has_passkey),
    ).select_from(person)
    if not scope.is_system:
        wanted = wanted.where(c.id.in_(scoped(select(membership.c.person_id), membership, scope)))
    whole, disabled, weak = (await connection.execute(wanted)).one()
    return PeopleCounts(whole=whole, disabled=disabled, password_alone=weak)


async def user(connection: AsyncConnection, scope: Scope, person_id: int) -> User:
    """One of them. Raises NotFoundError."""
    found = await users(connection, scope, after=person_id - 1, limit=1)
    if not found or found[0].id != person_id:
        raise NotFoundError(f"there is no user {person_id}")
    return found[0]


async def by_email(connection: AsyncConnection, email: str) -> RowMapping | None:
    """The row of an address in its stored form."""
    found = await connection.execute(select(person).where(person.c.email == email))
    return found.mappings().one_or_none()


async def is_welcome(connection: AsyncConnection, row: RowMapping | None) -> bool:
    """Whether somebody may sign in at all: known, not disabled, with a role anywhere."""
    if row is None or row["disabled_at"]:
        return False
    return not await has_no_role(connection, row["id"])


async def add_person(connection: AsyncConnection, values: dict[str, Any]) -> int:
    """A new row; its id. Raises ConflictError when the address has one."""
    row = {
        "password_hash": "",
        "box_role": "",
        "disabled_at": 0,
        "signed_in_at": 0,
        "totp_secret": "",
        "totp_step": 0,
        **values,
    }
    try:
        made = await connection.execute(insert(person).values(row).returning(person.c.id))
    except IntegrityError as error:
        raise ConflictError(
            f"{row['email']} has an account already: give it a role instead", field="email"
        ) from error
    return int(made.scalar_one())


async def set_role(
    connection: AsyncConnection, person_id: int, tenant_id: int, role: Role | None, now: int
) -> None:
    """What somebody is to a tenant, or to the box (0), from now on; None: nothing."""
    if not tenant_id:
        await keep_an_admin(connection, person_id, becomes=role)
        values = {"box_role": role or ""}
        await connection.execute(update(person).where(person.c.id == person_id).values(values))
    else:
        await keep_an_owner(connection, person_id, tenant_id, becomes=role)
        its = (membership.c.person_id == person_id, membership.c.tenant_id == tenant_id)
        await connection.execute(delete(membership).where(*its))
        if role is not None:
            row = {
                "person_id": person_id,
                "tenant_id": tenant_id,
                "role": role,
                "created_at": now,
            }
            try:
                await connection.execute(insert(membership).values(row))
            except IntegrityError as error:
                raise NotFoundError(f"there is no tenant {tenant_id}") from error
    await end_all(connection, person_id)


async def keep_an_admin(
    connection: AsyncConnection, person_id: int, *, becomes: Role | None = None
) -> None:
    """Raise ConflictError when the box would lose its last admin who may sign in."""
    if becomes is Role.ADMIN:
        return
    statement = select(person.c.id).where(
        person.c.box_role == Role.ADMIN, person.c.disabled_at == 0
    )
    admins = await _locked(connection, statement.order_by(person.c.id))
    if admins == [person_id]:
        raise ConflictError(
            "this is the last admin of the box: make somebody else one first", field="role"
        )


async def keep_an_owner(
    connection: AsyncConnection, person_id: int, tenant_id: int, *, becomes: Role | None = None
) -> None:
    """Raise ConflictError when a tenant would lose its last owner who may sign in."""
    if becomes is Role.OWNER:
        return
    statement = (
        select(membership.c.person_id)
        .where(membership.c.tenant_id == tenant_id, membership.c.role == Role.OWNER)
        .where(membership.c.person_id == person.c.id, person.c.disabled_at == 0)
    )
    owners = await _locked(connection, statement.order_by(membership.c.person_id))
    if owners == [person_id]:
        raise ConflictError(
            "this is the last owner of the tenant: make somebody else one first", field="role"
        )


async def delete_person(connection: AsyncConnection, person_id: int) -> None:
    """Forget somebody altogether; what they did stays in the audit log, by their address."""
    await end_all(connection, person_id)
    for table in (membership, recovery_code, passkey, link):
        await connection.execute(delete(table).where(table.c.person_id == person_id))
    await connection.execute(delete(person).where(person.c.id == person_id))


async def has_no_role(connection: AsyncConnection, person_id: int) -> bool:
    """Whether somebody is nothing to anybody here."""
    statement = select(person.c.box_role).where(person.c.id == person_id)
    of_box = (await connection.execute(statement)).scalar()
    return not of_box and not await tenants_of(connection, person_id)


async def tenants_of(connection: AsyncConnection, person_id: int) -> list[int]:
    """The tenants somebody is a member of."""
    statement = select(membership.c.tenant_id).where(membership.c.person_id == person_id)
    found = await connection.execute(statement.order_by(membership.c.tenant_id))
    return [int(number) for number in found.scalars()]


async def _locked(connection: AsyncConnection, statement: Any) -> list[int]:
    """Rows that nobody else changes until we are done: SQLite has one writer, PostgreSQL locks them."""
    return [
        int(number) for number in (await connection.execute(statement.with_for_update())).scalars()
    ]


def _user(row: RowMapping, memberships: Sequence[RowMapping], scope: Scope) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        box_role=Role(row["box_role"]) if row["box_role"] and scope.is_system else None,
        memberships=tuple(
            Membership(tenant_id=one["tenant_id"], role=Role(one["role"]))
            for one in memberships
            if one["person_id"] == row["id"]
        ),
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
        signed_in_at=row["signed_in_at"],
        has_password=bool(row["password_hash"]),
        has_second_factor=bool(row["totp_secret"]),
    )
