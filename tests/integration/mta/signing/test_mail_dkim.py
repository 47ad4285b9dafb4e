"""Signatures as Mail::DKIM sees them: the second verifier, written by others in another language."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from mta.policy.headers import scan
from mta.policy.refusal import Refused
from mta.signing.dkim import sign
from tests.support import corpus
from tests.support.dkim_zone import plan, zone
from tests.support.third_party import require_perl_module

SCRIPT = Path(__file__).parents[3] / "support" / "mail_dkim_verify.pl"


def _write_signed(folder: Path) -> list[Path]:
    written = []
    for path in corpus.files():
        content = corpus.submitted(path)
        try:
            scan(content, allow_8bit=True)
        except Refused:
            continue
        if re.search(rb"(?mi)^from:", content):
            target = folder / f"{len(written):03d}-{path.name}.eml"
            target.write_bytes(sign(content, plan(), now_s=1_790_000_000) + content)
            written.append(target)
    return written


def _verdicts(folder: Path, messages: list[Path]) -> dict[tuple[str, str], tuple[str, str]]:
    records = folder / "records"
    records.write_text("".join(f"{name}\t{value}\n" for name, value in zone(plan()).items()))
    command = ["perl", str(SCRIPT), str(records), *map(str, messages)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    verdicts = {}
    for line in done.stdout.splitlines():
        file, selector, _, result, detail = line.split("\t")
        verdicts.setdefault((file, selector), (result, detail))  # ours stand above a message's own
    return verdicts


def test_mail_dkim_verifies_every_real_message(tmp_path: Path):
    require_perl_module("Mail::DKIM::Verifier", "libmail-dkim-perl")
    messages = _write_signed(tmp_path)
    assert len(messages) > 150
    verdicts = _verdicts(tmp_path, messages)
    rsa, ed25519 = (key.selector for key in plan().keys)
    failed = {message.name: verdicts.get((str(message), rsa)) for message in messages}
    assert {name: verdict for name, verdict in failed.items() if verdict != ("pass", "pass")} == {}
    for message in messages:  # older releases do not know Ed25519 and must say just that
        result, detail = verdicts[str(message), ed25519]
        assert result == "pass" or "unsupported algorithm" in detail
