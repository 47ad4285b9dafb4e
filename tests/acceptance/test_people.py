"""People come in: the first admin by the printed link, others by a letter that the box itself sends."""

from __future__ import annotations

import email
import email.policy
import re

import httpx
import pytest

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from tests.support.box import TENANT, running_box
from tests.support.way import until

pytestmark = pytest.mark.alone

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
PASSWORD = "correct horse battery"
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


async def test_the_first_admin_invites_an_owner_who_forgets_the_password(tmp_path):
    async with LabDns(ZONE) as dns, Receiver() as mx:
        async with running_box(tmp_path, dns, mx.port) as box:
            url = (await box.cli("user", "first-admin"))["url"]
            port = box.web.rpartition(":")[2]
            assert url.startswith(f"http://localhost:{port}/welcome/")
            async with _browser(box) as admin, _browser(box) as ada:
                csrf = await _done(
                    admin,
                    "/welcome",
                    {
                        "token": _token(url),
                        "email": "root@good.test",
                        "name": "Root",
                        "password": PASSWORD,
                    },
                )
                headers = {"X-CSRF-Token": csrf["csrf"], **SAME_SITE}
                asked = await admin.post(
                    f"/invitations?tenant={TENANT}",
                    json={"email": "ada@good.test", "role": "owner"},
                    headers=headers,
                )
                assert asked.status_code == 201, asked.text
                token = _token(await _letter(mx, 1))
                accepted = {"token": token, "name": "Ada", "password": PASSWORD}
                await _done(ada, "/invitations/accept", accepted)
                await _done(ada, "/password/forgotten", {"email": "ada@good.test"}, expect=202)
                token = _token(await _letter(mx, 2))
                fresh = {"token": token, "password": "another good password"}
                await _done(ada, "/password/reset", fresh)
                signed = {"email": "ada@good.test", "password": "another good password"}
                assert (await _done(ada, "/sign-in", signed))["state"] == "signed-in"
                assert (await ada.get("/session")).json()["tenant"] == TENANT
            log = box.log.read_text()
    for secret in (PASSWORD, "another good password", token):
        assert secret not in log
    users = {one["email"]: one["role"] or one["tenants"] for one in await box.cli("user", "list")}
    assert users == {"root@good.test": "admin", "ada@good.test": {TENANT: "owner"}}


def _browser(box) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"{box.web}/api/v1", verify=False, trust_env=False, timeout=30
    )


async def _done(browser, path, body, expect=200):
    answer = await browser.post(path, json=body, headers=SAME_SITE)
    assert answer.status_code == expect, f"{path}: {answer.text}"
    return answer.json()


async def _letter(mx: Receiver, number: int) -> str:
    """The link in the letter that comes next; it is signed by the box."""
    await until(lambda: len(mx.messages) >= number, seconds=15)
    received = mx.messages[number - 1]
    assert (received.mail_from, received.recipients) == ("", ("ada@good.test",))
    read = email.message_from_bytes(received.data, policy=email.policy.default)
    assert "d=box.test" in read["DKIM-Signature"]
    found = re.search(r"http://localhost:\d+/\w+/\S+", read.get_content())
    assert found, read.get_content()
    return found[0]


def _token(url: str) -> str:
    return url.rpartition("/")[2]
