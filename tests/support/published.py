"""A domain's records in a DNS of the test's own, looked at as the worker does.

await publish(api.rooms, "mail.acme.example")
await publish(api.rooms, "mail.acme.example", cut="k=rsa", missing=("_dmarc.mail.acme.example",))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core.dns import Answer, MxAnswer, NoSuchNameError
from appliance.core.scope import Scope

if TYPE_CHECKING:
    from admin_ui.rooms import Rooms
    from appliance.domains import DomainRecord

SYSTEM = Scope.system(by="test")


class Dns:
    """What is needed of appliance.core.dns.Resolver."""

    servers = ("192.0.2.53",)

    def __init__(self, zone: dict[tuple[str, str], str]) -> None:
        self._zone = zone

    async def txt(self, name: str) -> Answer:
        return self._answer("TXT", name)

    async def cname(self, name: str) -> Answer:
        return self._answer("CNAME", name)

    async def mx(self, name: str) -> MxAnswer:
        raise NoSuchNameError(name, 0)

    def _answer(self, kind: str, name: str) -> Answer:
        if (kind, name) not in self._zone:
            raise NoSuchNameError(name, 0)
        return Answer((self._zone[kind, name].rstrip("."),), 0)


async def publish(
    rooms: Rooms, name: str, *, cut: str = "", missing: tuple[str, ...] = ()
) -> DomainRecord:
    """All its records but those `missing`; the key of the one that holds `cut` after 40 characters."""
    (found,) = [one for one in await rooms.domains.list(SYSTEM) if one.name == name]
    zone = {("TXT", "bounces.box.test"): "v=spf1 ip4:192.0.2.1 -all"}
    for record in rooms.domains.records(found):
        value = record.value
        if cut and cut in value:
            value = value[: value.index("p=") + 42]
        if record.name not in missing:
            zone[record.type, record.name] = value
    return await rooms.domains.check(SYSTEM, name, Dns(zone), tenant_id=found.tenant_id)
