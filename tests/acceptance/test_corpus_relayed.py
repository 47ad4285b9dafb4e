"""Real messages made by others, relayed by a real box: they arrive byte for byte apart from what is added.

Each signature is verified by dkimpy and by Mail::DKIM, which share no code with ours. What is refused
gets its reason in words. CORPUS=DIR relays the files in folders named *bounces* below DIR instead.
"""

from __future__ import annotations

import asyncio
import os
import re
import smtplib
import subprocess
from collections import Counter
from pathlib import Path

import dkim

from appliance.credentials import Policy
from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from mta.directory import FromPolicy
from tests.support import corpus
from tests.support.box import running_box
from tests.support.third_party import require_perl_module
from tests.support.way import until

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
VERIFIER = Path(__file__).parents[1] / "support" / "mail_dkim_verify.pl"
DROPPED = re.compile(rb"(?im)^(?:bcc|resent-bcc|return-path):.*\r\n(?:[ \t].*\r\n)*")
ADDED = re.compile(
    rb"(?:From: <orders@shop\.test>\r\n)?(?:Date: [^\r]*\r\n)?(?:Message-ID: <\w+@box\.test>\r\n)?"
    rb"(?:Feedback-ID: [^\r]*\r\n)?"
)


def _files() -> list[Path]:
    folder = os.environ.get("CORPUS")
    more = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()] if folder else []
    mail = [path for path in more if "bounces" in str(path)]
    return mail or corpus.files()


async def test_what_is_accepted_arrives_byte_for_byte_and_verifies(tmp_path):
    require_perl_module("Mail::DKIM::Verifier", "libmail-dkim-perl")
    policy = Policy(from_policy=FromPolicy.ANY, accept_8bit_headers=True)
    async with LabDns(ZONE) as dns, Receiver() as mx:
        async with running_box(tmp_path, dns, mx.port, policy=policy) as box:
            originals = {index: corpus.submitted(path) for index, path in enumerate(_files())}
            refused = await asyncio.to_thread(_submit_all, box, originals)
            accepted = originals.keys() - refused.keys()
            await until(lambda: mx.count >= len(accepted), seconds=120)
        arrived = {int(m.recipients[0].partition("@")[0][1:]): m.data for m in mx.messages}
    assert arrived.keys() == accepted
    for index in accepted:
        _check_unchanged(originals[index], arrived[index])
    verified = Counter(_dkimpy(data, dns.zone) for data in arrived.values())
    others = _mail_dkim(tmp_path, arrived, dns.zone)
    reasons = Counter(" ".join(text.split()[:2]) for text in refused.values())
    print(
        f"\n{len(originals)} messages: {len(accepted)} accepted, {len(refused)} refused {dict(reasons)}; "
        f"dkimpy {dict(verified)}; Mail::DKIM {dict(others)}"
    )
    assert verified == {(True, True): len(accepted)}
    assert others["pass"] == len(accepted)
    assert len(accepted) > 0.8 * len(originals)
    assert all(len(text) > 20 for text in refused.values())


def _submit_all(box, originals: dict[int, bytes]) -> dict[int, str]:
    refused = {}
    client = None
    for index, data in originals.items():
        if client is None:
            client = smtplib.SMTP(*box.submission, timeout=20)
            client.starttls()
            client.login(box.login.username, box.login.password)
        client.docmd("MAIL", "FROM:<orders@shop.test>")
        client.docmd("RCPT", f"TO:<u{index}@good.test>")
        client.docmd("DATA")
        client.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
        code, text = client.getreply()
        if code != 250:
            refused[index] = f"{code} {text.decode()}"
            client.close()
            client = None
    if client is not None:
        client.close()
    return refused


def _check_unchanged(original: bytes, arrived: bytes) -> None:
    """What arrived, without our own fields on top, is the original without what is dropped."""
    ours = re.match(
        rb"(?:DKIM-Signature:[^\r]*\r\n(?:[ \t][^\r]*\r\n)*){2}Received:[^\r]*\r\n(?:[ \t][^\r]*\r\n)*",
        arrived,
    )
    assert ours is not None, arrived[:200]
    head, _, body = original.partition(b"\r\n\r\n")
    dropped = DROPPED.sub(b"", head + b"\r\n")
    rest = arrived[ours.end() :]
    assert rest.startswith(dropped), original[:200]
    rest = rest[len(dropped) :]
    found = ADDED.match(rest)
    assert found is not None
    assert rest[found.end() :].removeprefix(b"\r\n") == body, original[:200]


def _dkimpy(data: bytes, zone) -> tuple[bool, bool]:
    def txt(name: bytes, timeout: int = 5) -> bytes | None:
        found = zone.get(name.decode().rstrip(".").lower(), {}).get("TXT")
        return found[0].encode() if found else None

    return tuple(dkim.DKIM(data).verify(idx=index, dnsfunc=txt) for index in range(2))


def _mail_dkim(folder: Path, arrived: dict[int, bytes], zone) -> Counter[str]:
    """Results for the RSA signature; older releases do not know Ed25519."""
    records = folder / "records"
    lines = [f"{name}\t{types['TXT'][0]}\n" for name, types in zone.items() if "TXT" in types]
    records.write_text("".join(lines))
    files = []
    for index, data in arrived.items():
        file = folder / f"{index:04d}.eml"
        file.write_bytes(data)
        files.append(str(file))
    out = subprocess.run(
        ["perl", str(VERIFIER), str(records), *files], capture_output=True, text=True, check=True
    ).stdout
    first: dict[str, str] = {}
    for line in out.splitlines():
        file, _, algorithm, result, _ = line.split("\t")
        if algorithm == "rsa-sha256":
            first.setdefault(file, result)
    return Counter(first.values())
