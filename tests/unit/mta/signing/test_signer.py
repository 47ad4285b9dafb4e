"""Which keys a message leaves with: those of the moment it is sent, and never somebody else's."""

from __future__ import annotations

import asyncio
import re

import pytest
import pytest_asyncio

from appliance.core import clock
from appliance.core.errors import SecretError
from mta.directory import Directory, DkimKey, SendingDomain
from mta.message import Source
from mta.signing.keys import make_ed25519
from mta.signing.signer import SHARED, Signer
from tests.support.recipients import message

CONTENT = b"From: a@example.com\r\nSubject: hello\r\n\r\nhi\r\n"
TENANT, OTHER = 7, 8


def domain(*selectors, name="example.com", tenant_id=TENANT, keys=None):
    made = tuple(
        DkimKey(selector=selector, algorithm="ed25519-sha256", private_key=make_ed25519())
        for selector in selectors
    )
    return SendingDomain(
        id=1, tenant_id=tenant_id, name=name, verified=True, keys=made if keys is None else keys
    )


class Box:
    """A signer and the directory it looks into."""

    def __init__(self):
        self.know(domain("s1"))
        self.signer = Signer(lambda: self.directory)

    def know(self, *domains, default=None, box_keys=None):
        defaults = {default.tenant_id: default} if default else {}
        self.directory = Directory(
            generation=1,
            domains={found.name: found for found in domains},
            default_domains=defaults,
            box_keys=box_keys,
        )

    async def sign(self, n=1, *, content=CONTENT, **changes):
        values = {"tenant_id": TENANT, "signing_domain": "example.com"} | changes
        return await self.signer(message(n, **values), content)


@pytest_asyncio.fixture
async def box():
    made = Box()
    yield made
    await asyncio.to_thread(made.signer.stop)


def names(signature):
    """(domain, selector) of each field."""
    return re.findall(rb"d=([^;]+);\s+s=([^;]+);", signature)


async def test_a_message_is_signed_with_all_keys_of_its_domain(box):
    box.know(domain("s1", "s2"))
    assert names(await box.sign()) == [(b"example.com", b"s1"), (b"example.com", b"s2")]


async def test_what_was_rotated_while_a_message_waited_signs_it(box):
    await box.sign()
    box.know(domain("s2"))
    assert names(await box.sign()) == [(b"example.com", b"s2")]


async def test_recipients_of_a_message_share_its_signature(box):
    first, *others = await asyncio.gather(*(box.sign(5) for _ in range(20)), box.sign(6))
    assert all(other is first for other in others[:-1])
    assert others[-1] is not first
    assert await box.sign(5) is first


async def test_so_many_signatures_are_kept_and_no_more(box):
    first = await box.sign(0)
    for n in range(1, SHARED + 1):
        await box.sign(n)
    assert await box.sign(0) is not first


async def test_whoever_gives_up_waiting_takes_the_signature_from_nobody(box):
    asking = [asyncio.ensure_future(box.sign()) for _ in range(3)]
    await asyncio.sleep(0)
    asking[1].cancel()
    assert names(await asking[2]) == [(b"example.com", b"s1")]
    asking = [asyncio.ensure_future(box.sign(2)) for _ in range(2)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert names(await box.sign(2)) == [(b"example.com", b"s1")]


@pytest.mark.parametrize(
    "now",
    [(), (domain("s1", tenant_id=OTHER),)],
    ids=["the domain was removed", "the domain is another tenant's by now"],
)
async def test_where_its_domain_is_gone_the_tenants_default_signs(box, now):
    box.know(*now)
    assert await box.sign() == b""
    box.know(*now, default=domain("d1", name="default.example"))
    assert names(await box.sign()) == [(b"default.example", b"d1")]


async def test_without_a_key_nothing_is_signed(box):
    box.know(domain())
    assert await box.sign() == b""


@pytest.mark.parametrize("source", [source for source in Source if source.is_ours])
async def test_the_boxs_own_mail_is_signed_with_its_own_keys(box, source):
    box.know(domain("s1", tenant_id=0), box_keys=domain("own", name="box.example", tenant_id=0))
    found = await box.sign(tenant_id=0, source=source)
    assert names(found) == [(b"box.example", b"own")]


async def test_a_key_that_cannot_sign_is_told_to_who_asked_and_stops_no_other(box, caplog):
    odd = DkimKey(selector="odd", algorithm="rsa-sha256", private_key=object())
    box.know(domain(keys=(odd,)))
    with pytest.raises(SecretError, match="could not be signed"):
        await box.sign()
    assert "selector 'odd': a DKIM key is RSA or Ed25519" in caplog.text
    box.know(domain("s1"))
    assert names(await box.sign()) == [(b"example.com", b"s1")]


async def test_a_signature_is_of_the_moment_it_is_made(box, monkeypatch):
    monkeypatch.setattr(clock, "now_ms", lambda: 1_790_000_000_999)
    assert b"t=1790000000;" in await box.sign()


async def test_a_signature_that_failed_is_tried_again(box, monkeypatch):
    tries = []

    def sign(*args, **changes):
        tries.append(args)
        if len(tries) == 1:
            raise ValueError("not this time")
        return b"DKIM-Signature: made\r\n"

    monkeypatch.setattr("mta.signing.signer.sign", sign)
    with pytest.raises(SecretError):
        await box.sign()
    async with asyncio.timeout(30):
        assert await box.sign() == b"DKIM-Signature: made\r\n"
