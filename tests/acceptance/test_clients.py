"""Programs that people send with: swaks, smtplib, nodemailer, msmtp; and what each is refused for."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import smtplib
import subprocess
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from tests.support.box import running_box
from tests.support.third_party import require_command, require_swaks
from tests.support.way import until

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
LETTER = "From: orders@shop.test\r\nTo: jane@good.test\r\nSubject: hello\r\n\r\nhi\r\n"


pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("clients")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    """One box for all: none of them changes it."""
    async with LabDns(ZONE) as dns, Receiver() as mx:
        async with running_box(
            tmp_path_factory.mktemp("clients"),
            dns,
            mx.port,
            submission={"max_message_bytes": 200_000, "max_recipients": 100, "login_delay": 0.0},
        ) as box:
            yield box, mx


async def _run(
    *command: str, stdin: bytes = b"", env: dict[str, str] | None = None
) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
    )
    out, _ = await process.communicate(stdin)
    return process.returncode or 0, out.decode(errors="replace")


def _swaks(box, *more: str, password: str | None = None) -> list[str]:
    address, port = box.submission
    return [
        "swaks",
        "--server",
        f"{address}:{port}",
        "--from",
        "orders@shop.test",
        "--to",
        "jane@good.test",
        "--ehlo",
        "app.test",
        "--timeout",
        "10",
        "--auth-user",
        box.login.username,
        "--auth-password",
        password or box.login.password,
        *more,
    ]


async def test_swaks_sends_through_with_starttls_and_auth(world):
    require_swaks()
    box, mx = world
    before = mx.count
    code, out = await _run(*_swaks(box, "--tls"))
    assert code == 0, out
    await until(lambda: mx.count == before + 1)


@pytest.mark.parametrize(
    ("more", "password", "reply"),
    [
        (("--tls",), "wrong", "535 5.7.8"),
        ((), None, "538 5.7.11"),
        (("--tls", "--from", "x@foreign.test", "--h-From", "x@foreign.test"), None, "550 5.7.1"),
        (("--tls", "--body", "x" * 60 + "\n", "--h-X", "y"), None, "250 2.0.0"),
    ],
    ids=["wrong password", "no TLS", "foreign From", "all well"],
)
async def test_swaks_hears_the_code_of_the_specification(world, more, password, reply):
    require_swaks()
    box, mx = world
    before = mx.count
    force = [] if "--tls" in more else ["--auth", "PLAIN"]
    _, out = await _run(*_swaks(box, *more, *force, password=password))
    if "--tls" not in more and reply not in out:
        address, port = box.submission
        out = await asyncio.to_thread(_auth_in_the_clear, address, port)
    assert reply in out, out
    await until(lambda: mx.count == before + reply.startswith("250"))


def _auth_in_the_clear(address: str, port: int) -> str:
    with smtplib.SMTP(address, port, timeout=10) as client:
        client.ehlo("app.test")
        code, text = client.docmd("AUTH", "PLAIN AGEAYg==")
        return f"{code} {text.decode()}"


async def test_smtplib_sends_through_and_is_refused_in_words(world):
    box, mx = world
    before = mx.count

    def send() -> dict[str, str]:
        heard = {}
        with smtplib.SMTP(*box.submission, timeout=10) as client:
            client.ehlo("app.test")
            heard["no TLS"] = str(client.docmd("MAIL", "FROM:<orders@shop.test>"))
            client.starttls()
            client.ehlo("app.test")
            heard["no AUTH"] = str(client.docmd("MAIL", "FROM:<orders@shop.test>"))
            client.login(box.login.username, box.login.password)
            client.sendmail("orders@shop.test", ["jane@good.test"], LETTER)
            try:
                client.sendmail("orders@shop.test", ["jane@good.test"], LETTER + "x\r\n" * 100_000)
            except smtplib.SMTPResponseException as error:
                heard["too large"] = f"{error.smtp_code} {error.smtp_error!r}"
            except smtplib.SMTPSenderRefused as error:
                heard["too large"] = str(error)
        with smtplib.SMTP(*box.submission, timeout=10) as client:
            client.starttls()
            client.login(box.login.username, box.login.password)
            client.docmd("MAIL", "FROM:<orders@shop.test>")
            for n in range(101):
                heard["too many"] = str(client.docmd("RCPT", f"TO:<u{n}@good.test>"))
        return heard

    heard = await asyncio.to_thread(send)
    await until(lambda: mx.count == before + 1)
    for name, code in {
        "no TLS": "5.7.0",
        "no AUTH": "5.7.0",
        "too large": "5.3.4",
        "too many": "4.5.3",
    }.items():
        assert code in heard[name], heard


async def test_msmtp_sends_through(world, tmp_path):
    require_command("msmtp", "msmtp")
    box, mx = world
    before = mx.count
    address, port = box.submission
    code, out = await _run(
        "msmtp",
        f"--host={address}",
        f"--port={port}",
        "--tls=on",
        "--tls-starttls=on",
        "--tls-certcheck=off",
        "--auth=plain",
        f"--user={box.login.username}",
        "--passwordeval=printenv LAB_PASSWORD",
        "--from=orders@shop.test",
        "--domain=app.test",
        "jane@good.test",
        stdin=LETTER.replace("\r\n", "\n").encode(),
        env={"LAB_PASSWORD": box.login.password},
    )
    assert code == 0, out
    await until(lambda: mx.count == before + 1)


async def test_nodemailer_sends_through(world, tmp_path):
    box, mx = world
    before = mx.count
    package = await asyncio.to_thread(_nodemailer)
    address, port = box.submission
    script = tmp_path / "send.cjs"
    script.write_text(
        f"""
const transport = require({json.dumps(str(package))}).createTransport({{
  host: {json.dumps(address)}, port: {port}, requireTLS: true, name: 'app.test',
  tls: {{ rejectUnauthorized: false }},
  auth: {{ user: {json.dumps(box.login.username)}, pass: {json.dumps(box.login.password)} }},
}});
transport.sendMail({{ from: 'orders@shop.test', to: 'jane@good.test', subject: 'Grüße', text: 'hi',
  html: '<p>hi</p>', attachments: [{{ filename: 'a.txt', content: 'x'.repeat(5000) }}] }})
  .then(info => console.log(info.response)).catch(e => {{ console.error(e); process.exit(1); }});
"""
    )
    code, out = await _run("node", str(script))
    assert code == 0, out
    assert "250 2.0.0 queued as" in out
    await until(lambda: mx.count == before + 1)


def _nodemailer() -> Path:
    """The package from npm, installed once beside the virtual environment."""
    folder = Path(__file__).parents[2] / ".run" / "nodemailer"
    package = folder / "node_modules" / "nodemailer"
    if not package.exists():
        if shutil.which("npm") is None:
            words = "npm is missing: apt-get install nodejs npm"
            pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(folder),
            "nodemailer@7",
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return package
