"""From nothing to the first delivered message, in a browser, on a real box with a laboratory world.

The first admin follows the one-time link, makes a tenant, says who it is, adds a domain whose owner publishes its
records with a DKIM key that is cut off and mends it, makes a credential, sends with the settings that are shown,
and sees each page turn right by itself.
"""

from __future__ import annotations

import ssl
from email.message import EmailMessage

import aiosmtplib
import pytest

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from tests.support.box import running_box
from tests.support.chromium import profile

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]
SOON = 45_000  # ms: the records are looked at each 5 s while their page is open
PASSWORD = "correct horse battery"
ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}


async def test_a_fresh_admin_comes_to_the_first_delivered_message(chromium, tmp_path):
    async with LabDns(ZONE) as dns, Receiver() as mx, running_box(tmp_path, dns, mx.port) as box:
        url = (await box.cli("user", "first-admin"))["url"]
        async with profile(chromium) as watched:
            page = await watched.page()
            await page.goto(url)
            await _tell(page, name="Ann", email="ann@good.test", password=PASSWORD)
            await page.goto(f"{url.rpartition('/welcome/')[0]}/onboarding")
            await _tell(page, name="harbour")
            words = {"organisation": "Harbour Tea", "country": "DE", "postal_address": "Kai 1"}
            await _tell(page, **words)
            await _tell(page, name="harbour.test")
            await _domain(page, dns)
            await page.get_by_role("link", name="Go on").click()
            await _tell(page, name="web-shop")
            await page.get_by_text("Waiting for your first message").wait_for()
            await _send(page, box)
            await page.get_by_text("Your first message has arrived").wait_for(timeout=SOON)
            steps = await page.locator(".timeline .good b").all_inner_texts()
            assert steps == ["Connected", "Signed in", "Accepted", "Delivered"]
            assert "250" in await page.locator(".timeline .good .quote").inner_text()


async def _tell(page, **words):
    """Fill in the form of the page and send it."""
    form = page.locator("main form:not(:has(input[type=search]))").last
    for name, value in words.items():
        await form.locator(f"[name={name}]").fill(value)
    await form.get_by_role("button").last.click()
    await page.wait_for_load_state("load")


async def _domain(page, dns):
    """Its owner publishes all records, one of them cut off, and mends it; the page sees both by itself."""
    records = []
    for row in await page.locator(".record").all():
        kind = await row.locator(".kind").inner_text()
        name, value = await row.locator(".copy code").all_inner_texts()
        records.append([name, kind, value])
    assert len(records) == 6
    for name, kind, value in records:
        is_rsa = "k=rsa" in value
        dns.zone.setdefault(name, {})[kind] = [value[:200] if is_rsa else value]
    wrong = page.locator(".record .note", has_text="cut off")
    await wrong.wait_for(timeout=SOON)
    assert await page.locator("details.record-right").count() == 5
    for name, kind, value in records:
        dns.zone[name][kind] = [value]
    await page.get_by_text("All records are right").wait_for(timeout=SOON)


async def _send(page, box):
    """As an application does that was given the settings of the page; first in a name that is not its own."""
    shown = {
        name: await page.locator(f"#{name}").inner_text()
        for name in ("server", "port", "user", "password")
    }
    assert (shown["server"], int(shown["port"])) == ("box.test", box.submission[1])
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with aiosmtplib.SMTP(
        hostname=box.submission[0],
        port=int(shown["port"]),
        username=shown["user"],
        password=shown["password"],
        start_tls=True,
        tls_context=context,
    ) as client:
        with pytest.raises(aiosmtplib.SMTPResponseException):
            await client.send_message(_letter("shop@elsewhere.test"))
        await page.locator(".timeline .bad .quote").wait_for(timeout=SOON)
        assert "elsewhere.test" in await page.locator(".timeline .bad .quote").inner_text()
        await client.send_message(_letter("shop@harbour.test"))


def _letter(sender):
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = sender, "jane@good.test", "First"
    letter.set_content("Hello\n")
    return letter
