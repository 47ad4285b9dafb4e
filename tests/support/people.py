"""People for tests: a desk over a control.db of the test's own, with cheap hashes and a letter box.

people.admin(), people.member("ada@acme.example", "owner", tenant) give somebody who is signed in.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher

from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.people import Client, Opened, Options, Provider, first_admin_link
from appliance.people.desk import Desk, open_desk
from appliance.people.passwords import Passwords
from appliance.tenancy import AuditLog, TenantRecord, Tenants

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.support.control import FakeClock

SYSTEM = Scope.system(by="test")
PASSWORD = "correct horse battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HERE = Client(address="192.0.2.7", agent="Firefox")
URL = "https://box.test"
KEYS = {1: bytes(32)}


class LetterBox:
    """Letters that were sent."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, str, str]] = []

    async def send(self, to: str, subject: str, text: str, *, key: str = "") -> None:
        del key
        await asyncio.sleep(0)
        self.letters.append((to, subject, text))

    def token(self, to: str) -> str:
        """The token of the link in the last letter to somebody."""
        text = [text for address, _, text in self.letters if address == to][-1]
        found = re.search(rf"{re.escape(URL)}/\w+/(\S+)", text)
        assert found, text
        return found.group(1)


class CountingPasswords(Passwords):
    """Counts how often a password was compared."""

    def __init__(self, hasher: PasswordHasher = CHEAP) -> None:
        super().__init__(hasher)
        self.compared = 0

    def _verify(self, stored: str, given: str) -> bool:
        self.compared += 1
        return super()._verify(stored, given)


@dataclass
class People:
    """A desk with what a test looks at."""

    engine: AsyncEngine
    now: FakeClock
    providers: tuple[Provider, ...] = ()
    box: LetterBox = field(default_factory=LetterBox)
    passwords: CountingPasswords = field(default_factory=CountingPasswords)

    def __post_init__(self) -> None:
        self.keys = MasterKeys(KEYS)
        self.options = Options(
            public_url=URL,
            box_name="box.test",
            session_idle=8 * 3_600_000,
            session_life=7 * 86_400_000,
            providers=self.providers,
        )
        self.desk = self.reopened()

    def reopened(self) -> Desk:
        """The desk of another process."""
        return open_desk(
            self.engine,
            self.keys,
            self.options,
            self.box,
            now=self.now,
            passwords=self.passwords,
        )

    async def admin(self, email: str = "root@box.test") -> Opened:
        """The box's first admin, signed in."""
        url = await first_admin_link(self.engine, URL, self.now)
        assert url is not None
        return await self.desk.first_admin.welcome(
            url.rpartition("/")[2], HERE, email=email, name="Root", password=PASSWORD
        )

    async def tenant(self, name: str) -> TenantRecord:
        return await Tenants(self.engine, self.now).create(SYSTEM, name=name)

    async def member(self, email: str, role: str, tenant_id: int) -> Opened:
        """Somebody who accepted an invitation, signed in."""
        _, url = await self.desk.invitations.link(
            SYSTEM, email=email, role=role, tenant_id=tenant_id
        )
        opened = await self.desk.invitations.accept(
            url.rpartition("/")[2], HERE, name=email.partition("@")[0], password=PASSWORD
        )
        assert opened is not None
        return opened

    async def sign_in(self, email: str, password: str = PASSWORD, client: Client = HERE) -> Opened:
        opened = await self.desk.sign_in.with_password(email, password, client)
        assert isinstance(opened, Opened)
        return opened

    async def is_alive(self, opened: Opened) -> bool:
        return await self.desk.sessions.actor_of(opened.token) is not None

    async def audit(self) -> list[tuple[int, str, str]]:
        """Tenant, by and action of every entry, oldest first."""
        entries = await AuditLog(self.engine).list(SYSTEM, limit=1000)
        return [(one.tenant_id, one.by, one.action) for one in reversed(entries)]


@pytest.fixture
def people(engine: AsyncEngine, now: FakeClock) -> People:
    return People(engine, now)
