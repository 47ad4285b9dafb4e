"""People of a box, as its settings have them: the room's options, and where its links lead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.people import Options, Provider, first_admin_link

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.settings import Settings


def public_url(settings: Settings, port: int = 0) -> str:
    """Where browsers reach the console; `port` is the one it listens on, where the system chose it.

    Without a name it is localhost, never 127.0.0.1: passkeys need a host name.
    """
    chosen = port or settings.listeners.web.port
    return settings.web.public_url.rstrip("/") or f"http://localhost:{chosen}"


def people_options(settings: Settings, port: int = 0) -> Options:
    """How people sign in to this box."""
    sign_in = settings.sign_in
    return Options(
        public_url=public_url(settings, port),
        box_name=settings.box.hostname,
        session_idle=int(sign_in.session_idle * clock.SECOND),
        session_life=int(sign_in.session_life * clock.SECOND),
        providers=tuple(
            Provider(
                name=one.name,
                issuer=one.issuer,
                client_id=one.client_id,
                client_secret=one.client_secret,
                trusts_email=one.trust_email,
            )
            for one in sign_in.providers
        ),
    )


async def welcome_link(settings: Settings, engine: AsyncEngine, port: int = 0) -> str:
    """A fresh one-time link for the first admin, to be printed; "" once there is one."""
    return await first_admin_link(engine, public_url(settings, port)) or ""
