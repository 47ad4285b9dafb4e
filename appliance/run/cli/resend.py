"""`pillarbox messages resend`: a message once more, through the running box, as the console does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core.errors import UsageError

if TYPE_CHECKING:
    from appliance.run.cli.box import Box
    from appliance.run.cli.rooms import Rooms
    from appliance.sending import Taken


async def send_again(box: Box, rooms: Rooms, number: int, to: tuple[str, ...]) -> Taken:
    """Hand it over. Raises UsageError with the box's words when it is refused."""
    from appliance.run.carrier import BoxCarrier
    from appliance.run.originals import KeptMail
    from appliance.run.shard_owners import ShardOwners
    from appliance.sending import Handed, Refusal, Resending

    owners = ShardOwners(box.home, box.owners.names)
    carrier = BoxCarrier(box.home, box.owners.names, owners)
    with box.log() as log:
        resending = Resending(KeptMail(log, owners), carrier, rooms.audit)
        try:
            kept = await resending.find(rooms.scope, number)
            if not kept.tenant_id:
                raise UsageError("this is mail of the box itself: it is not sent again")
            behind = await rooms.credentials.of_console(rooms.scope, kept.tenant_id)
            handed = Handed(tenant_id=kept.tenant_id, credential_id=behind.id, address="127.0.0.1")
            result = await resending.send(rooms.scope, handed, kept, to)
        finally:
            await carrier.close()
            await owners.close()
    if isinstance(result, Refusal):
        raise UsageError(f"the box refuses it: {result.code} {result.enhanced} {result.words}")
    return result
