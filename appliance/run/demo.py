"""Demo: what `pillarbox lab` shows: how to send, and one message on its way, as it happens."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import aiosmtplib

from appliance.core import clock, ids
from appliance.core.errors import NotRunningError
from appliance.run.cli.box import Box
from appliance.run.cli.story import anywhere
from appliance.run.timeline import tell
from mta.status import EventKind

if TYPE_CHECKING:
    from appliance.core.home import Home
    from appliance.core.settings import Settings
    from appliance.credentials import IssuedLogin
    from appliance.lab.world import Caught

SENDER = "orders@shop.test"
RECIPIENT = "jane@good.test"
POLL = 0.05


class Demo:
    """Talks to the person at the terminal."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        login: IssuedLogin,
        started: float,
        *,
        welcome: str = "",
        quiet: bool = False,
    ) -> None:
        """`welcome` is the first admin's one-time link; "" once there is an admin."""
        self._home, self._settings, self._login = home, settings, login
        self._started, self._welcome, self._quiet = started, welcome, quiet
        self._sent_at = 0
        self._message_id = ""

    def caught(self, caught: Caught) -> None:
        """A receiver took a message."""
        signatures = ", ".join(caught.dkim) or "not signed"
        who = ", ".join(caught.recipients)
        tls = "with TLS" if caught.is_tls else "in the clear"
        self._line(
            clock.now_ms(),
            "seen",
            f"by {caught.host} {tls} for {who}; dkimpy: {signatures}; kept as {caught.file.name}",
        )

    async def run(self) -> None:
        """Introduce the box, send one message and tell its story."""
        took = clock.monotonic() - self._started
        self._say(self._introduction(took))
        message_id = await self._send()
        await self._follow(message_id)
        self._say("\nNow it is your turn. Ctrl-C stops everything.\n")

    async def _follow(self, message_id: int) -> None:
        """Tell every event once, when it is known."""
        box = Box(self._home, None, {})
        told: set[tuple[str, int, int]] = set()
        while True:
            try:
                story = await asyncio.to_thread(anywhere, box, message_id)
            except (
                NotRunningError
            ):  # one of several mta processes took the message, another still starts
                await asyncio.sleep(POLL)
                continue
            for event in story.events:
                key = event.kind, event.n, event.at
                if key not in told:
                    told.add(key)
                    for one in tell(event.n, event.kind, event.at, event.data):
                        self._line(one.at, one.what, one.words)
            if any(event.kind == EventKind.DELIVERED for event in story.events):
                return
            await asyncio.sleep(POLL)

    async def _send(self) -> int:
        place = self._settings.listeners.submission
        self._sent_at = clock.now_ms()
        _, answer = await aiosmtplib.send(
            (
                f"From: Shop <{SENDER}>\r\nTo: {RECIPIENT}\r\nSubject: Your order 1001\r\n\r\n"
                "Thank you for your order.\r\n"
            ).encode(),
            hostname=place.address,
            port=place.port,
            username=self._login.username,
            password=self._login.password,
            sender=SENDER,
            recipients=[RECIPIENT],
            start_tls=True,
            validate_certs=False,
            local_hostname="app.shop.test",
        )
        text = answer.rsplit(" ", 1)[-1]
        self._line(clock.now_ms(), "said", f"250 {answer}")
        return ids.from_text(text)

    def _introduction(self, took: float) -> str:
        listeners, login = self._settings.listeners, self._login
        place = listeners.submission
        server = f"{place.address}:{place.port}"
        return f"""
Pillarbox laboratory, ready after {took:.1f} s. Everything is on this machine.

  SMTP        {server} (STARTTLS)  or  {listeners.submissions.address}:{listeners.submissions.port} (TLS)
  user        {login.username}
  password    {login.password}
  health      http://localhost:{listeners.web.port}/health      metrics  /metrics
  admin       {self._welcome or "made already"}{"  (works once)" if self._welcome else ""}
  home        {self._home.path}      caught mail  {self._home.path}/caught

  swaks --server {server} --tls --auth-user {login.username} --auth-password {login.password} \\
        --from {SENDER} --to {RECIPIENT}

  python3 -c "import smtplib; s = smtplib.SMTP('{place.address}', {place.port}); s.starttls(); \\
    s.login('{login.username}', '{login.password}'); \\
    print(s.sendmail('{SENDER}', ['{RECIPIENT}'], 'From: {SENDER}\\r\\nSubject: hello\\r\\n\\r\\nhi'))"

  to            what happens
  jane@good.test     taken at once, over TLS
  jane@slow.test     451 at first, delivered at the second try
  jane@bounce.test   taken, a bounce comes back three seconds later
  jane@refuse.test   550 5.1.1, and a failure notice to the sender
  jane@null.test     takes no mail (null MX)      jane@broken.test   DNS answers SERVFAIL

  pillarbox --home {self._home.path} queue list      messages list      events --follow
"""

    def _line(self, at: int, what: str, words: str) -> None:
        since = f"+{(at - self._sent_at) / 1000:.3f} s" if self._sent_at else ""
        self._say(f"  {since:>10}  {what:<10} {words}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
