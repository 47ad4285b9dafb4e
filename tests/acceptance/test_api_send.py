"""A program sends by HTTP: what it sends is signed and delivered, once, and what is wrong is told by field."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import os
from collections import Counter

import dkim
import httpx
import pytest
import pytest_asyncio

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from pillarbox.client import ApiError, AsyncClient, Client
from tests.support.box import ROOT, TENANT, running_box
from tests.support.third_party import require_command
from tests.support.way import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("api-send")]

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
LETTER = {
    "from": {"email": "orders@shop.test", "name": "Der Lädchen"},
    "to": ["jane@good.test", {"email": "joe@good.test", "name": 'Joe "J" O\'Neill'}],
    "bcc": ["hidden@good.test"],
    "subject": "Ihre Bestellung für 12 €",
    "text": "Grüße\nund Dank",
    "html": "<p>Grüße</p>",
    "attachments": [
        {"filename": "Rechnung für Ada.txt", "content": "aGFsbG8=", "content_type": "text/plain"}
    ],
    "headers": {"X-Order": "1234"},
    "tags": ["order"],
    "metadata": {"größe": "1234"},
    "class": "transactional",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    async with LabDns(ZONE) as dns, Receiver() as mx:
        kept = {"keep_content": 600}
        place = tmp_path_factory.mktemp("api")
        async with running_box(place, dns, mx.port, spool=kept) as box:
            made = await box.cli(
                "key", "create", "shop", "--tenant", TENANT, "--right", "messages.send"
            )
            token = made["token"]
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(
                base_url=f"{box.web}/api/v1", headers=headers, timeout=30
            ) as http:
                await until(lambda: _knows(http), seconds=5)
                yield box, mx, http


async def _knows(http) -> bool:
    """The key is in the book of the web process, its credential known to the mta."""
    answer = await http.post("/send", json=_letter(to=["probe@good.test"]))
    assert answer.status_code in (202, 401, 503), answer.text
    return answer.status_code == 202


def _letter(**changes):
    return {"from": "orders@shop.test", "to": ["jane@good.test"], "text": "hello"} | changes


async def _arrived(mx, subject):
    def found():
        return [m for m in mx.messages if subject in (_read(m.data)["Subject"] or "")]

    await until(lambda: bool(found()), seconds=20)
    return found()


def _read(data):
    return email.message_from_bytes(data, policy=email.policy.SMTP)


async def test_a_letter_arrives_as_it_was_written_signed_and_at_everybody(world):
    box, mx, http = world
    answer = await http.post("/send", json=LETTER)
    assert answer.status_code == 202, answer.text
    assert answer.json()["recipients"] == 3
    await until(lambda: len([m for m in mx.messages if b"X-Order" in m.data]) == 3, seconds=20)
    arrived = [m for m in mx.messages if b"X-Order" in m.data]
    to = {address for m in arrived for address in m.recipients}
    assert to == {"jane@good.test", "joe@good.test", "hidden@good.test"}
    for each in arrived:
        assert dkim.verify(each.data, dnsfunc=_txt(box.dns.zone))
        assert b"hidden@good.test" not in each.data.split(b"\r\n\r\n")[0].partition(b"From:")[2]
        assert b"X-Pillarbox" not in each.data
    message = _read(arrived[0].data)
    assert message["From"].addresses[0].display_name == "Der Lädchen"
    assert message["To"].addresses[1].display_name == 'Joe "J" O\'Neill'
    assert message["Subject"] == LETTER["subject"]
    assert message["X-Order"] == "1234"
    assert message.get_body(("plain",)).get_content() == "Grüße\r\nund Dank"
    assert message.get_body(("html",)).get_content().strip() == "<p>Grüße</p>"
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "Rechnung für Ada.txt"
    assert attachment.get_content() == "hallo"


def _txt(zone):
    def ask(name, timeout=5):
        del timeout
        found = zone.get(name.decode().rstrip(".").lower(), {}).get("TXT", [])
        return found[0].encode() if found else None

    return ask


async def test_a_message_is_sent_again_with_its_bytes_and_a_signature_of_its_own(world):
    box, mx, http = world
    sent = (await http.post("/send", json=_letter(subject="once more", tags=["again"]))).json()[
        "id"
    ]
    (first,) = await _arrived(mx, "once more")
    # By a login that is made for this, and known to the mta at once.
    again = await box.cli("messages", "resend", sent, "--to", "jane@good.test")
    assert (again["recipients"], again["id"] != sent) == (1, True)
    await until(lambda: len([m for m in mx.messages if b"once more" in m.data]) == 2, seconds=20)
    second = next(m for m in mx.messages if again["id"].encode() in m.data)
    assert second.data.endswith(first.data.partition(b"\r\nFrom:")[2])
    assert dkim.verify(second.data, dnsfunc=_txt(box.dns.zone))
    assert b"X-Pillarbox" not in second.data
    answer = await http.post(f"/messages/{sent}/resend", json={})
    assert (answer.status_code, "name in recipients" in answer.text) == (409, True)


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"to": ["jane@good.test", "nobody"]}, 400, "to[1]"),
        ({"to": [{"email": "a@good.test", "name": "A\r\nBcc: x@y.z"}]}, 400, "to[0].name"),
        ({"from": "orders@shop.test\r\nX: y"}, 400, "from"),
        ({"from": {"email": "orders@shop.test", "name": "x\nBcc: y@z.test"}}, 400, "from.name"),
        ({"subject": "hello\r\nBcc: x@good.test"}, 400, "subject"),
        ({"subject": "hello\x00"}, 400, "subject"),
        ({"headers": {"X-A": "1\nX-B: 2"}}, 400, "headers.X-A"),
        ({"headers": {"X-A\r\nX-B": "1"}}, 400, "headers"),
        ({"headers": {"Bcc": "x@good.test"}}, 400, "headers.Bcc"),
        ({"headers": {"X-Pillarbox-Class": "bulk"}}, 400, "headers.X-Pillarbox-Class"),
        ({"attachments": [{"filename": "a\nb", "content": ""}]}, 400, "attachments[0].filename"),
        ({"attachments": [{"filename": "a", "content": "%%%"}]}, 400, "attachments[0].content"),
        (
            {"attachments": [{"filename": "a", "content": "", "content_type": "a/b\r\nX: 1"}]},
            400,
            "attachments[0].content_type",
        ),
        ({"tags": ["a,b"]}, 400, "tags[0]"),
        ({"text": ""}, 400, "text"),
        ({"to": []}, 400, "to"),
        ({"subject": 7}, 400, "subject"),
        ({"colour": "red"}, 400, "colour"),
        ({"template": "welcome"}, 400, "template"),
        ({"send_at": "2026-11-21T10:00:00"}, 400, "send_at"),
        ({"send_at": "2099-01-01T10:00:00Z"}, 400, "send_at"),
        ({"metadata": {"x": "y" * 5000}}, 400, "metadata"),
        ({"from": "orders@foreign.test"}, 422, ""),
        ({"pool": "nowhere"}, 422, ""),
    ],
)
async def test_what_is_wrong_is_refused_with_its_field(world, change, status, field):
    _, _, http = world
    answer = await http.post("/send", json=_letter(**change))
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["status"] == status
    assert len(told["detail"]) > 10
    assert [one["field"] for one in told.get("errors", [])] == ([field] if field else [])


async def test_a_batch_of_a_thousand_with_three_bad_rows_takes_the_others(world):
    _, mx, http = world
    rows = [{"to": [f"u{n}@good.test"], "text": f"Dear {n}"} for n in range(1000)]
    rows[7] = {"to": ["nobody"], "text": "x"}
    rows[500] = {"to": ["u500@good.test"], "text": 5}
    rows[999] = {"to": ["u999@good.test"], "text": "x", "from": "orders@foreign.test"}
    shared = {"from": "orders@shop.test", "subject": "a batch", "headers": {"X-Batch": "1"}}
    answer = await http.post("/send/batch", json={"shared": shared, "messages": rows})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["accepted"], told["refused"]) == (997, 3)
    wrong = {n: one for n, one in enumerate(told["results"]) if "id" not in one}
    assert {n: (one["status"], one["field"]) for n, one in wrong.items()} == {
        7: (400, "messages[7].to[0]"),
        500: (400, "messages[500].text"),
        999: (422, "messages[999]"),
    }
    await until(lambda: sum(b"X-Batch" in m.data for m in mx.messages) == 997, seconds=60)


async def test_fifty_retries_at_once_send_one_message(world):
    _, mx, http = world
    letter, key = _letter(subject="once only"), {"Idempotency-Key": "order-1"}
    answers = await asyncio.gather(
        *(http.post("/send", json=letter, headers=key) for _ in range(50))
    )
    seen = Counter(answer.status_code for answer in answers)
    assert set(seen) <= {202, 409}
    assert seen[202] >= 1
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    again = await http.post("/send", json=letter, headers=key)
    assert again.status_code == 202
    assert again.headers["idempotent-replayed"] == "true"
    assert ids == {again.json()["id"]}
    other = await http.post("/send", json=_letter(subject="another"), headers=key)
    assert other.status_code == 422
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"
    assert len(await _arrived(mx, "once only")) == 1
    await asyncio.sleep(0.5)
    assert len(await _arrived(mx, "once only")) == 1


async def test_a_sandbox_key_sends_to_nobody_and_shows_what_it_took(world):
    box, mx, http = world
    made = await box.cli(
        "key", "create", "try", "--tenant", TENANT, "--right", "messages.send", "--sandbox"
    )
    headers = {"Authorization": f"Bearer {made['token']}"}
    letter = _letter(subject="in the sandbox")

    async def taken():
        answer = await http.post("/send", json=letter, headers=headers)
        return answer if answer.status_code == 202 else None

    await until(taken, seconds=5)
    answer = await taken()
    number = answer.json()["id"]

    async def told():
        found = await box.cli("messages", "list", "--address", "jane@good.test")
        return [row for row in found["messages"] if row["id"] == number]

    await until(told, seconds=10)
    (row,) = await told()
    assert row["status"] == "cancelled"
    assert "sandbox" in row["reply"]
    assert not [m for m in mx.messages if b"in the sandbox" in m.data]


async def test_a_revoked_key_opens_nothing_within_a_second(world):
    box, _, http = world
    made = await box.cli("key", "create", "gone", "--tenant", TENANT, "--right", "messages.send")
    headers = {"Authorization": f"Bearer {made['token']}"}

    async def status():
        return (await http.post("/send", json=_letter(), headers=headers)).status_code

    async def is_taken():
        return await status() == 202

    async def is_refused():
        return await status() == 401

    await until(is_taken, seconds=5)
    await box.cli("key", "revoke", str(made["id"]))
    await until(is_refused, seconds=5)
    answer = await http.post("/send", json=_letter(), headers=headers)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_large_and_deep_bodies_are_turned_away(world):
    _, _, http = world
    large = await http.post("/send", content=b"[" + b" " * (41 << 20), timeout=60)
    assert large.status_code == 413
    deep = b'{"from":"a@shop.test","metadata":' + b'{"a":' * 5000 + b"1" + b"}" * 5001
    answer = await http.post("/send", content=deep, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


async def test_the_python_client_sends_through_a_running_box(world):
    box, mx, http = world
    token = http.headers["authorization"].removeprefix("Bearer ")
    with Client(box.web, key=token) as client:
        sent = await asyncio.to_thread(client.send, _letter(subject="by the client"))
        assert sent.recipients == 1
        with pytest.raises(ApiError) as told:
            await asyncio.to_thread(client.send, _letter(to=["nobody"]))
        assert told.value.errors[0].field == "to[0]"
    async with AsyncClient(box.web, key=token) as client:
        found = await client.send_batch(
            [{"to": ["jane@good.test"], "text": "1"}, {"to": ["nobody"], "text": "2"}],
            shared={"from": "orders@shop.test", "subject": "by the other client"},
        )
        assert (found.accepted, found.refused) == (1, 1)
    await _arrived(mx, "by the client")
    await _arrived(mx, "by the other client")


async def test_the_examples_for_curl_run_as_they_stand(world):
    require_command("curl", "curl")
    box, _, http = world
    text = (ROOT / "docs" / "api.md").read_text()
    examples = [part.split("```")[0] for part in text.split("```sh\n")[1:]]
    assert len(examples) >= 3
    for example in examples:
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            example,
            stdout=asyncio.subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "BOX": box.web,
                "KEY": http.headers["authorization"][7:],
            },
        )
        out, _ = await process.communicate()
        told = json.loads(out)
        assert told.get("id") or told["refused"] == 0, (example, told)


async def test_a_message_shows_on_the_live_stream_of_the_console(world):
    box, _, http = world
    token = (await box.cli("user", "first-admin"))["url"].rpartition("/")[2]
    person = {
        "token": token,
        "email": "root@good.test",
        "name": "Root",
        "password": "long enough 1",
    }
    async with httpx.AsyncClient(base_url=box.web, timeout=30) as console:
        opened = await console.post("/api/v1/welcome", json=person)
        headers = {"Cookie": f"pillarbox={opened.cookies['pillarbox']}"}
        async with console.stream("GET", "/live", headers=headers) as answer:
            lines = answer.aiter_lines()
            async with asyncio.timeout(20):
                assert "event: hello" in [await anext(lines) for _ in range(3)]
                await http.post("/send", json=_letter())
                while await anext(lines) != "event: messages":
                    pass


async def test_what_was_sent_is_written_out_by_a_job(world):
    box, _, http = world
    rights = ("messages.send", "messages.read", "jobs.read")
    options = [word for right in rights for word in ("--right", right)]
    made = await box.cli("key", "create", "reports", "--tenant", TENANT, *options)
    headers = {"Authorization": f"Bearer {made['token']}"}
    number = (await http.post("/send", json=_letter(tags=["written-out"]))).json()["id"]
    asked = {"what": "messages", "tag": "written-out"}

    async def fetched():
        """The log knows a message some moments after it was accepted."""
        ordered = await http.post("/exports", json=asked, headers=headers)
        if ordered.status_code != 202:
            return ""
        place = f"/exports/{ordered.json()['id']}/file"

        async def is_there():
            return (await http.get(place, headers=headers)).status_code == 200

        await until(is_there, seconds=15)
        answer = await http.get(place, headers=headers)
        assert answer.headers["content-disposition"].startswith("attachment")
        return answer.text if number in answer.text else ""

    await until(fetched, seconds=30)
    refused = await http.post("/exports", json={"what": "audit"}, headers=headers)
    assert refused.status_code == 403


async def test_a_batch_that_was_over_quota_goes_on_under_its_key(world):
    """What is refused for now is no answer for a day: asked again, it is done, and done once."""
    box, mx, http = world
    rows = [{"to": [f"q{n}@good.test"], "text": "x"} for n in range(3)]
    body = {"shared": {"from": "orders@shop.test", "subject": "in part"}, "messages": rows}
    key = {"Idempotency-Key": "over-quota"}
    await box.cli("tenant", "limits", TENANT, "--recipients-per-day", "1")

    async def is_used_up():
        return (await http.post("/send", json=_letter())).status_code == 429

    await until(is_used_up, seconds=10)
    first = (await http.post("/send/batch", json=body, headers=key)).json()
    assert {one["status"] for one in first["results"]} == {429}
    await box.cli("tenant", "limits", TENANT, "--recipients-per-day", "0")

    async def is_whole():
        return (await http.post("/send/batch", json=body, headers=key)).json()["refused"] == 0

    await until(is_whole, seconds=10)
    again = await http.post("/send/batch", json=body, headers=key)
    assert again.headers["idempotent-replayed"] == "true"
    await until(lambda: len(_to_q(mx)) >= 3, seconds=20)
    assert sorted(_to_q(mx)) == [f"q{n}@good.test" for n in range(3)]


def _to_q(mx):
    return [m.recipients[0] for m in mx.messages if m.recipients[0].startswith("q")]
