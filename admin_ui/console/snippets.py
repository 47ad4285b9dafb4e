"""Snippets: settings of programs that send mail, ready to paste, for a credential.

Pure. What differs from box to box and from login to login is marked, so that a page can show it: a text is a
series of parts, each plain, a value, or a comment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admin_ui.desks import Doors

NO_PASSWORD: Final = "YOUR-PASSWORD"  # noqa: S105 - stands for the one that is known to nobody any more
_MARKED: Final = re.compile("\x02([^\x03]*)\x03")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """The settings of one program."""

    id: str
    title: str
    file: str
    text: str

    @property
    def parts(self) -> Iterator[tuple[str, str]]:
        """("plain" | "value" | "comment", text), in order."""
        for line in self.text.splitlines(keepends=True):
            if line.startswith(("#", "//")):
                yield "comment", line
                continue
            for n, piece in enumerate(_MARKED.split(line)):
                if piece:
                    yield "value" if n % 2 else "plain", piece


def _v(value: object) -> str:
    return f"\x02{value}\x03"


def snippets(doors: Doors, user: str, password: str = "", sender: str = "") -> tuple[Snippet, ...]:
    """For every program that is known. Without a password its place is held."""
    host, port, word = _v(doors.host), _v(doors.starttls), _v(password or NO_PASSWORD)
    on = _v("True")
    name, origin = _v(user), _v(sender or "you@your-domain.example")
    texts = {
        "postfix": ("Postfix", "main.cf, sasl_passwd", _postfix(doors, user, password)),
        "django": (
            "Django",
            "settings.py",
            f'EMAIL_HOST = "{host}"\nEMAIL_PORT = {port}\nEMAIL_USE_TLS = {on}\n'
            f'EMAIL_HOST_USER = "{name}"\nEMAIL_HOST_PASSWORD = "{word}"\n'
            f'DEFAULT_FROM_EMAIL = "{origin}"\n',
        ),
        "laravel": (
            "Laravel",
            ".env",
            f"MAIL_MAILER={_v('smtp')}\nMAIL_HOST={host}\nMAIL_PORT={port}\n"
            f"MAIL_USERNAME={name}\nMAIL_PASSWORD={word}\nMAIL_ENCRYPTION={_v('tls')}\n"
            f"MAIL_FROM_ADDRESS={origin}\n",
        ),
        "rails": (
            "Rails",
            "config/environments/production.rb",
            "config.action_mailer.delivery_method = :smtp\n"
            f'config.action_mailer.smtp_settings = {{\n  address: "{host}",\n  port: {port},\n'
            f'  user_name: "{name}",\n  password: "{word}",\n  authentication: :plain,\n'
            f"  enable_starttls: {_v('true')}\n}}\n",
        ),
        "nodemailer": (
            "Nodemailer",
            "mail.js",
            f'const transport = nodemailer.createTransport({{\n  host: "{host}",\n  port: {port},\n'
            f"  secure: {_v('false')},\n  requireTLS: {_v('true')},\n"
            f'  auth: {{ user: "{name}", pass: "{word}" }},\n}});\n',
        ),
        "swaks": (
            "swaks",
            "shell",
            f"swaks --server {host} --port {port} --tls \\\n  --auth PLAIN --auth-user {name} \\\n"
            f"  --auth-password '{word}' \\\n  --from {origin} --to {origin}\n",
        ),
        "curl": (
            "HTTP API",
            "shell",
            "# With an API key in place of this login: make one under API keys, then KEY=...\n"
            f'curl https://{host}/api/v1/send \\\n  -H "Authorization: Bearer $KEY" \\\n'
            '  -H "Content-Type: application/json" \\\n'
            f'  -d \'{{"from": "{origin}", "to": ["{origin}"], "subject": "Hello", "text": "Hello"}}\'\n',
        ),
    }
    return tuple(
        Snippet(id=key, title=title, file=file, text=text)
        for key, (title, file, text) in texts.items()
    )


def _postfix(doors: Doors, user: str, password: str) -> str:
    relay = f"[{doors.host}]:{doors.starttls}"
    return (
        f"# /etc/postfix/main.cf\nrelayhost = {_v(relay)}\n"
        f"smtp_tls_security_level = {_v('encrypt')}\nsmtp_sasl_auth_enable = {_v('yes')}\n"
        f"smtp_sasl_security_options = {_v('noanonymous')}\n"
        f"smtp_sasl_password_maps = {_v('hash:/etc/postfix/sasl_passwd')}\n\n"
        "# /etc/postfix/sasl_passwd   (chmod 600, then: postmap sasl_passwd)\n"
        f"{relay}  {_v(f'{user}:{password or NO_PASSWORD}')}\n"
    )
