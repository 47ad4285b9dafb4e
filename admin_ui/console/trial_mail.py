"""Trial mail: a message from a sending domain to the address of who asks for it, as any other message goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from admin_ui.api.guard import Asker
from admin_ui.api.send import handed_by
from appliance.core import ids
from appliance.core.errors import UsageError
from appliance.sending import Letter, Refusal

if TYPE_CHECKING:
    from litestar import Response

    from admin_ui.console.visit import Visit
    from admin_ui.rooms import Rooms
    from appliance.domains import DomainRecord

_LOCAL: Final = "test"


async def send(rooms: Rooms, visit: Visit, found: DomainRecord, back: str = "") -> Response[bytes]:
    """Send it, and say what came of it on the page that was asked from. Raises UsageError."""
    if not found.verified:
        raise UsageError(f"{found.name} is not verified yet: publish its ownership record first")
    me = await rooms.people.account.user(visit.own.seen)
    asker = Asker(visit.actor, visit.own.client.address)
    handed = await handed_by(rooms, asker, found.tenant_id)
    letter = Letter(
        from_=f"{_LOCAL}@{found.name}",
        to=(me.email,),
        subject=f"A test from {found.name}",
        text=f"Sent by {visit.actor.name} from the console of Pillarbox, to see that it arrives.\n",
    )
    (result,) = await rooms.sending.send(handed, [letter])
    where = back or visit.back(f"/domains/{found.id}")
    if isinstance(result, Refusal):
        reply = f"{result.code} {result.enhanced} " if result.code else ""
        return visit.to(where, "The test was refused", f"{reply}{result.words}", kind="error")
    text = f"To {me.email}, as {ids.to_text(result.id)}. Its way is shown under Messages."
    return visit.to(where, "The test is on its way", text)
