"""Submissions for tests: a complete value from the few facts a test is about."""

from __future__ import annotations

from typing import Any

from mta.directory import Credential, Tenant
from mta.message import Client, RecipientRequest, Source, Submission

TENANT = Tenant(id=7, name="acme")
CREDENTIAL = Credential(id=3, tenant_id=7, name="shop", username="shop", secret_hash=b"")
CLIENT = Client(
    address="192.0.2.10",
    port=50000,
    helo="app1.example.com",
    tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
    protocol="ESMTPSA",
)


def credential(**changes: Any) -> Credential:
    """The usual credential with some things changed."""
    values = {name: getattr(CREDENTIAL, name) for name in Credential.__dataclass_fields__}
    return Credential(**(values | changes))


def client(**changes: Any) -> Client:
    """The usual client with some things changed."""
    values = {name: getattr(CLIENT, name) for name in Client.__dataclass_fields__}
    return Client(**(values | changes))


def submission(
    data: bytes, *, recipients: tuple[str, ...] = ("jane@example.net",), **changes: Any
) -> Submission:
    """A submission over SMTP with TLS and AUTH."""
    values: dict[str, Any] = {
        "source": Source.SMTP,
        "tenant": TENANT,
        "credential": CREDENTIAL,
        "client": CLIENT,
        "envelope_from": "orders@shop.example.com",
        "recipients": tuple(RecipientRequest(address=address) for address in recipients),
        "data": data,
        "received_at": 1_790_000_000_000,
    }
    return Submission(**(values | changes))
