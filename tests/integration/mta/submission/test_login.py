"""MTA-2, MTA-3: who may send, as clients see it."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import smtplib
import ssl
from dataclasses import replace
from email.message import EmailMessage

import aiosmtplib
import pytest

from appliance.core.errors import StoreError, StoreFullError
from mta.directory import SendingDomain
from mta.policy.refusal import Refused
from mta.submission.login import LoginRules
from mta.submission.service import TlsMode
from tests.support import tls
from tests.support.smtp_box import PASSWORD, TENANT, Box, credential, directory, trusting, until
from tests.support.third_party import require_swaks


def b64(*words: str) -> str:
    return base64.b64encode("\0".join(words).encode()).decode()


PLAIN = "AUTH PLAIN " + b64("", "shop", PASSWORD)


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@shop.example", "b@example.net", "hi"
    message.set_content("hello\n.\n.dots\n")
    return message


async def test_mail_before_tls_and_before_auth_is_530() -> None:
    async with Box(directory=directory(credential())) as box:
        wire = await box.ready()
        assert (await wire.ask("MAIL FROM:<a@shop.example>")).startswith("530 5.7.0 say STARTTLS")
        assert (await wire.ask(PLAIN)).startswith("538 5.7.11")
        await wire.close()
        wire = await box.secure()
        assert (await wire.ask("MAIL FROM:<a@shop.example>")).startswith("530 5.7.0 auth")
        assert (await wire.ask(PLAIN)).startswith("235 2.7.0")
        assert (await wire.message()).startswith("250 2.0.0 queued as ")
        client = box.intake.taken[0].client
        assert client.protocol == "ESMTPSA"
        assert client.tls.startswith("TLSv1.3 TLS_")
        (use,) = box.uses.drain().values()
        assert use.address == "127.0.0.1"
        await wire.close()


@pytest.mark.parametrize(
    ("dialogue", "answers"),
    [
        ([PLAIN], ["235"]),
        (["auth plain " + b64("", "SHOP", PASSWORD)], ["235"]),
        (["AUTH PLAIN", b64("", "shop", PASSWORD)], ["334 ", "235"]),
        (
            ["AUTH LOGIN", b64("shop"), b64(PASSWORD)],
            ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235"],
        ),
        (["AUTH LOGIN " + b64("shop"), b64(PASSWORD)], ["334 UGFzc3dvcmQ6", "235"]),
        (["AUTH PLAIN " + b64("", "shop", "wrong")], ["535 5.7.8"]),
        (["AUTH LOGIN", b64("shop"), b64("wrong")], ["334", "334", "535 5.7.8"]),
        (["AUTH LOGIN", "*"], ["334", "501 5.7.0"]),
        (["AUTH LOGIN", "!!!"], ["334", "501 5.5.2"]),
        (["AUTH PLAIN ="], ["501 5.5.2"]),
        (["AUTH PLAIN !!!"], ["501 5.5.2"]),
        (["AUTH PLAIN " + base64.b64encode(b"\0\xff\0x").decode()], ["535 5.7.8"]),
        (["AUTH CRAM-MD5"], ["504 5.5.4"]),
        (["AUTH"], ["501 5.5.4"]),
        (["AUTH PLAIN a b"], ["501 5.5.4"]),
        ([PLAIN, PLAIN], ["235", "503 5.5.1"]),
        (["AUTH PLAIN " + b64("", "shop", "x" * 8000)], ["535 5.7.8"]),
    ],
)
async def test_auth_dialogues(dialogue: list[str], answers: list[str]) -> None:
    async with Box(directory=directory(credential())) as box:
        wire = await box.secure()
        for line, answer in zip(dialogue, answers, strict=True):
            assert (await wire.ask(line)).startswith(answer)
        assert (await wire.ask("NOOP")).startswith("250")
        await wire.close()


async def test_an_auth_dialogue_is_as_strict_as_commands_are() -> None:
    async with Box(directory=directory(credential())) as box:
        wire = await box.secure()
        await wire.ask("AUTH LOGIN")
        assert (await wire.ask(b64("shop").encode() + b"\n")).startswith("521 5.5.2")
        assert await wire.is_closed()
        await wire.close()


async def test_a_pipelined_auth_dialogue_is_answered_in_order() -> None:
    async with Box(directory=directory(credential())) as box:
        wire = await box.secure()
        wire.send(f"AUTH LOGIN\r\n{b64('shop')}\r\n{b64(PASSWORD)}\r\nNOOP\r\nQUIT\r\n".encode())
        codes = [reply[:3] async for reply in wire.rest()]
        assert codes == ["334", "334", "235", "250", "221"]
        await wire.close()


async def test_many_wrong_logins_are_slowed_and_then_421() -> None:
    rules = LoginRules(failures=3, delay=0.05)
    async with Box(directory=directory(credential()), rules=rules) as box:
        loop = asyncio.get_running_loop()
        wire = await box.secure()
        began = loop.time()
        for _ in range(3):
            assert (await wire.ask("AUTH PLAIN " + b64("", "shop", "no"))).startswith("535 5.7.8")
        assert loop.time() - began > 0.05 * (1 + 2 + 3) * 0.9
        assert (await wire.ask(PLAIN)).startswith("421 4.7.0")
        assert await wire.is_closed()
        await wire.close()
        assert box.ledger.drain_deltas() == {"user:shop": 3, "net:127.0.0.1": 3}
        wire = await box.secure()
        assert (await wire.ask(PLAIN)).startswith("421 4.7.0")
        await wire.close()


async def test_a_revoked_login_ends_an_open_session() -> None:
    async with Box(directory=directory(credential())) as box:
        wire = await box.secure()
        await wire.ask(PLAIN)
        assert (await wire.message()).startswith("250")
        box.change(credentials={"shop": credential(revoked=True)})
        assert (await wire.ask("MAIL FROM:<a@shop.example>")).startswith("421 4.7.0 this login was")
        assert await wire.is_closed()
        await wire.close()


async def test_a_deleted_login_ends_an_open_session() -> None:
    async with Box(directory=directory(credential())) as box:
        wire = await box.secure()
        await wire.ask(PLAIN)
        box.change(credentials={})
        assert (await wire.ask("MAIL FROM:<a@shop.example>")).startswith("421 4.7.0")
        await wire.close()


async def test_a_suspended_tenant_is_refused_with_whom_to_ask() -> None:
    suspended = replace(TENANT, suspended=True, suspended_reason="unpaid")
    async with Box(directory=trusting(tenants={7: suspended})) as box:
        wire = await box.ready()
        answer = await wire.ask("MAIL FROM:<a@shop.example>")
        assert answer.startswith("550 5.7.1")
        assert "unpaid" in answer
        assert "contact" in answer
        await wire.close()


async def test_a_login_works_only_from_its_networks() -> None:
    elsewhere = credential(networks=(ipaddress.ip_network("10.0.0.0/8"),))
    async with Box(directory=directory(elsewhere)) as box:
        wire = await box.secure()
        answer = await wire.ask(PLAIN)
        assert answer.startswith("535 5.7.8")
        assert "127.0.0.1" in answer
        await wire.close()


async def test_a_trusted_network_relays_without_a_login_and_others_do_not() -> None:
    other = ipaddress.ip_network("10.0.0.0/8")
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        assert (await wire.message()).startswith("250")
        box.change(trusted=((other, credential()),))
        assert (await wire.ask("MAIL FROM:<a@shop.example>")).startswith("530 5.7.0")
        await wire.close()


@pytest.mark.parametrize(
    ("sender", "answer"),
    [
        ("<a@shop.example>", "250"),
        ("<a@mail.shop.example>", "250"),
        ("<>", "250"),
        ("<a@foreign.example>", "550 5.7.1"),
        ("<a@other.example>", "550 5.7.1"),
    ],
)
async def test_an_envelope_sender_may_have_to_be_verified(sender: str, answer: str) -> None:
    domains = {
        "shop.example": SendingDomain(id=1, tenant_id=7, name="shop.example", verified=True),
        "other.example": SendingDomain(id=2, tenant_id=8, name="other.example", verified=True),
    }
    strict = credential(envelope_sender_verified=True)
    async with Box(directory=trusting(strict, domains=domains)) as box:
        wire = await box.ready()
        assert (await wire.ask(f"MAIL FROM:{sender}")).startswith(answer)
        await wire.close()


async def test_a_suppressed_recipient_is_refused_where_the_credential_says_so() -> None:
    class Suppressed:
        def match(self, tenant_id: int, address: str) -> bool:
            return (tenant_id, address) == (7, "gone@example.net")

    for refuses, answer in ((True, "550 5.7.1"), (False, "250")):
        known = trusting(credential(refuse_suppressed=refuses), suppressions=Suppressed())
        async with Box(directory=known) as box:
            wire = await box.ready()
            await wire.ask("MAIL FROM:<a@shop.example>")
            assert (await wire.ask("RCPT TO:<gone@Example.net>")).startswith(answer)
            assert (await wire.ask("RCPT TO:<here@example.net>")).startswith("250")
            await wire.close()


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (StoreFullError("disk full"), "452 4.3.1"),
        (StoreError("broken"), "451 4.3.0"),
        (Refused(550, "5.7.1", "foreign.example is not yours"), "550 5.7.1 foreign.example"),
        (Refused(421, "4.3.2", "stopping"), "421 4.3.2"),
    ],
)
async def test_what_intake_says_is_what_the_client_hears(error: Exception, answer: str) -> None:
    async with Box(directory=trusting()) as box:
        box.intake.error = error
        wire = await box.ready()
        assert (await wire.message()).startswith(answer)
        assert box.room.used == 0
        if not answer.startswith("421"):
            box.intake.error = None
            assert (await wire.message()).startswith("250")
        await wire.close()


async def test_too_many_recipients_are_452_and_the_first_hundred_go() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        last = await wire.begin("a@shop.example", *(f"r{n}@example.net" for n in range(101)))
        assert last.startswith("452 4.5.3")
        await wire.ask("DATA")
        assert (await wire.ask(b"hi\r\n.\r\n")).startswith("250")
        assert len(box.intake.taken[0].recipients) == 100
        await wire.close()


def with_smtplib(port: int, mode: TlsMode) -> None:
    context = tls.contexts()[1]
    if mode is TlsMode.IMPLICIT:
        server: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", port, context=context, timeout=30)
    else:
        server = smtplib.SMTP("127.0.0.1", port, timeout=30)
        server.starttls(context=context)
    with server:
        for mechanism in ("PLAIN", "LOGIN"):
            server.user, server.password = "shop", PASSWORD
            server.ehlo()
            method = getattr(server, f"auth_{mechanism.lower()}")
            if mechanism == "PLAIN":
                server.auth(mechanism, method)
        server.send_message(letter())


@pytest.mark.parametrize("mode", [TlsMode.STARTTLS, TlsMode.IMPLICIT])
async def test_smtplib_sends_through(mode: TlsMode) -> None:
    async with Box(directory=directory(credential()), mode=mode) as box:
        await asyncio.to_thread(with_smtplib, box.port, mode)
        assert b"\r\n.\r\n.dots\r\n" in box.intake.taken[0].data


def with_smtplib_login(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as server:
        server.starttls(context=tls.contexts()[1])
        server.ehlo()
        server.user, server.password = "shop", PASSWORD
        server.auth("LOGIN", server.auth_login, initial_response_ok=False)


async def test_smtplib_logs_in_with_the_login_mechanism() -> None:
    async with Box(directory=directory(credential())) as box:
        await asyncio.to_thread(with_smtplib_login, box.port)
        assert list(box.uses.drain()) == [3]


@pytest.mark.parametrize("mode", [TlsMode.STARTTLS, TlsMode.IMPLICIT])
async def test_aiosmtplib_sends_through(mode: TlsMode) -> None:
    async with Box(directory=directory(credential()), mode=mode) as box:
        await aiosmtplib.send(
            letter(),
            hostname="127.0.0.1",
            port=box.port,
            username="shop",
            password=PASSWORD,
            use_tls=mode is TlsMode.IMPLICIT,
            start_tls=mode is TlsMode.STARTTLS,
            tls_context=tls.contexts()[1],
        )
        assert box.intake.taken[0].credential.id == 3


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_swaks_sends_through(mechanism: str) -> None:
    require_swaks()
    async with Box(directory=directory(credential())) as box:
        words = (
            f"--server 127.0.0.1:{box.port} --tls --auth {mechanism} --auth-user shop --pipeline"
        )
        process = await asyncio.create_subprocess_exec(
            "swaks", *words.split(), "--auth-password", PASSWORD, "--from", "a@shop.example",
            "--to", "b@example.net,c@example.net", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        assert len(box.intake.taken[0].recipients) == 2


async def test_old_tls_versions_are_refused() -> None:
    async with Box(directory=directory(), mode=TlsMode.IMPLICIT) as box:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", box.port, ssl=old)
        await until(lambda: not box.sessions.open)
        assert box.seen.handshakes == ["failed"]


async def test_what_a_login_was_refused_last_is_kept_for_its_owner() -> None:
    async with Box(directory=directory(credential(envelope_sender_verified=True))) as box:
        wire = await box.secure()
        await wire.ask("AUTH PLAIN " + b64("", "shop", "wrong"))
        assert [one.words[:9] for one in box.uses.drain_rebuffs().values()] == ["535 5.7.8"]
        await wire.ask("AUTH PLAIN " + b64("", "nobody", "wrong"))
        assert not box.uses.drain_rebuffs()
        await wire.ask(PLAIN)
        (use,) = box.uses.drain().values()
        assert use.tls.startswith("TLSv1.")
        await wire.ask("MAIL FROM:<a@elsewhere.example>")
        (kept,) = box.uses.drain_rebuffs().values()
        assert (kept.sender, kept.words[:9]) == ("a@elsewhere.example", "550 5.7.1")
        await wire.close()
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        await wire.message()
        assert not box.uses.drain_rebuffs()
        box.intake.error = Refused(550, "5.7.1", "no")
        await wire.message()
        assert [one.words for one in box.uses.drain_rebuffs().values()] == ["550 5.7.1 no"]
        await wire.close()
