"""WebRooms: the rooms that the web process opens, with the loops that keep them current."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from admin_ui.rooms import Rooms
from appliance.core import clock
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials
from appliance.keys import KeyBook, Keys, Requests
from appliance.people import Options, Sessions
from appliance.run.carrier import BoxCarrier
from appliance.run.shard_owners import ShardOwners
from appliance.sending import Sending
from appliance.tenancy import AuditLog, Tenants

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.settings import Settings
    from appliance.run.loops import Loops
    from appliance.run.process import Context

BOOK_SECONDS: Final = 0.2
_NOTE_SECONDS: Final = 15.0
_FORGET_SECONDS: Final = 600.0


class WebRooms:
    """Everything behind the pages and the API."""

    def __init__(self, context: Context, engine: AsyncEngine) -> None:
        keys = MasterKeys.load(context.home.keys_file)
        credentials = Credentials(engine, keys)
        api_keys = Keys(engine, keys, credentials)
        self._owners = ShardOwners(context.home, context.processes)
        self._carrier = BoxCarrier(context.home, context.processes, self._owners)
        self.rooms = Rooms(
            audit=AuditLog(engine),
            book=KeyBook(engine, api_keys, keys),
            keys=api_keys,
            requests=Requests(engine),
            sending=Sending(self._carrier),
            sessions=Sessions(engine, keys, _options(context.settings)),
            tenants=Tenants(engine),
        )

    async def start(self, loops: Loops) -> None:
        """Read what is kept in memory, and keep it current."""
        book = self.rooms.book
        await book.step()
        loops.start("keys", book.step, pause=BOOK_SECONDS, limit=30)
        loops.start("key uses", book.note, pause=_NOTE_SECONDS, limit=300)
        loops.start("requests", self._forget, pause=_FORGET_SECONDS, limit=2 * _FORGET_SECONDS)

    async def close(self) -> None:
        """Hang up."""
        await self._carrier.close()
        await self._owners.close()

    async def _forget(self) -> bool:
        await self.rooms.requests.forget()
        return False


def _options(settings: Settings) -> Options:
    return Options(
        public_url=f"http://localhost:{settings.listeners.web.port}",
        box_name=settings.box.hostname,
        session_idle=12 * clock.HOUR,
        session_life=30 * clock.DAY,
    )
