"""Initialise: make a home complete. Safe to run again: what stands is left as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.core.database import open_engine
from appliance.core.migrate import upgrade_async
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.domains import Domains
from appliance.run import certificates
from appliance.run.directory import box_names, queue_life_ms

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.home import Home
    from appliance.core.settings import Settings
    from appliance.domains import DomainRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a first start needs, and which parts of it are new."""

    keys: MasterKeys
    box_domain: DomainRecord
    new: tuple[str, ...]


async def initialise(home: Home, settings: Settings, engine: AsyncEngine | None = None) -> Made:
    """Directories, master key, control.db, certificate and the box's own signing keys."""
    new = []
    home.create()
    if not home.keys_file.exists():
        MasterKeys.create(home.keys_file)
        new.append("master key")
    keys = MasterKeys.load(home.keys_file)
    opened = engine or open_engine(home.control_location(settings))
    try:
        if not await upgrade_async("control", opened):
            new.append("control database")
        certificate, _ = certificates.tls_files(home, settings)
        if not certificate.exists():
            new.append("certificate")
        certificates.ensure(home, settings)
        domains = Domains(opened, keys, box_names(settings), queue_life=queue_life_ms(settings))
        box_domain = await domains.ensure_box(Scope.system(by="init"))
    finally:
        if engine is None:
            await opened.dispose()
    return Made(keys=keys, box_domain=box_domain, new=tuple(new))
