"""Handover: a submission given to another mta process over its socket, and read there.

Used for idempotency keys, which live in shard 0, and for what inbound sends on (postmaster mail).
Tenant and credential travel by id and are looked up in the directory of the process that accepts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appliance.core.errors import NotRunningError, StoreError
from appliance.core.rpc import RpcClient
from appliance.core.scope import BOX
from mta.directory import Credential, Directory, Tenant
from mta.message import Client, RecipientRequest, Source, Submission
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT = 60.0

BOX_TENANT = Tenant(id=BOX, name="box")
BOX_CREDENTIAL = Credential(
    id=0, tenant_id=BOX, name="box", username="", secret_hash=b"", dsn=False, surge_hold=False
)
"""The box itself, which sends its own notices."""


class Handover:
    """Hands submissions to one process."""

    def __init__(self, socket: Path) -> None:
        self._client = RpcClient(socket)

    async def __call__(self, submission: Submission) -> int:
        """The id under which it was accepted. Raises Refused or StoreError."""
        try:
            answer = await self._client.call("submit", payload_of(submission), TIMEOUT)
        except NotRunningError as error:
            raise StoreError(str(error)) from error
        if "refused" in answer:
            code, enhanced, text = answer["refused"]
            raise Refused(code, enhanced, text)
        return int(answer["id"])

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()


def payload_of(submission: Submission) -> dict[str, Any]:
    """A submission as it travels."""
    client = submission.client
    return {
        "source": submission.source,
        "tenant": submission.tenant.id,
        "credential": submission.credential.id,
        "client": [client.address, client.port, client.helo, client.tls, client.protocol],
        "sender": submission.envelope_from,
        "recipients": [[r.address, r.notify, r.orcpt] for r in submission.recipients],
        "data": submission.data,
        "received_at": submission.received_at,
        "smtputf8": submission.smtputf8,
        "body_8bit": submission.body_8bit,
        "ret": submission.ret,
        "envid": submission.envid,
    }


def submission_of(payload: dict[str, Any], directory: Directory) -> Submission:
    """A submission as it arrived. Raises Refused when its tenant or login is gone."""
    address, port, helo, tls, protocol = payload["client"]
    return Submission(
        source=Source(payload["source"]),
        tenant=_tenant(int(payload["tenant"]), directory),
        credential=_credential(int(payload["credential"]), directory),
        client=Client(address=address, port=port, helo=helo, tls=tls, protocol=protocol),
        envelope_from=payload["sender"],
        recipients=tuple(
            RecipientRequest(address=to, notify=notify, orcpt=orcpt)
            for to, notify, orcpt in payload["recipients"]
        ),
        data=payload["data"],
        received_at=int(payload["received_at"]),
        smtputf8=bool(payload["smtputf8"]),
        body_8bit=bool(payload["body_8bit"]),
        ret=payload["ret"],
        envid=payload["envid"],
    )


def submissions_of(
    payload: dict[str, Any], directory: Directory, received_at: int
) -> list[Submission]:
    """Letters of one sender, as the web hands them over. Raises Refused for all of them."""
    tenant = _tenant(int(payload["tenant"]), directory)
    credential = _credential(int(payload["credential"]), directory)
    client = Client(address=payload["address"], port=0, helo="", tls="", protocol="HTTP")
    return [
        Submission(
            source=Source.API,
            tenant=tenant,
            credential=credential,
            client=client,
            envelope_from=sender,
            recipients=tuple(RecipientRequest(address=address) for address in recipients),
            data=data,
            received_at=received_at,
            smtputf8=bool(smtputf8),
            body_8bit=bool(body_8bit),
        )
        for sender, recipients, data, smtputf8, body_8bit in payload["letters"]
    ]


def _tenant(tenant_id: int, directory: Directory) -> Tenant:
    if tenant_id == BOX:
        return BOX_TENANT
    tenant = directory.tenants.get(tenant_id)
    if tenant is None:
        raise Refused(451, "4.3.0", "the account is not known here yet: try again")
    return tenant


def _credential(credential_id: int, directory: Directory) -> Credential:
    if credential_id == 0:
        return BOX_CREDENTIAL
    found = directory.senders.get(credential_id)
    if found is None:
        raise Refused(451, "4.3.0", "the login is not known here yet: try again")
    if found.revoked:
        raise Refused(535, "5.7.8", f"{found.name} is revoked: make a new one")
    return found
