"""Rules of people, pure: addresses, names, passwords, how long a guesser waits, how long things live."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.rights import BOX_ROLES, TENANT_ROLES, Role

INVITATION_LIFE: Final = 7 * clock.DAY
PASSWORD_LINK_LIFE: Final = clock.HOUR
FIRST_ADMIN_LIFE: Final = 7 * clock.DAY
CEREMONY_LIFE: Final = 5 * clock.MINUTE  # a second factor, a passkey
DEPARTURE_LIFE: Final = 15 * clock.MINUTE  # a sign-in elsewhere, with all that may be asked there
SEEN_EVERY: Final = clock.MINUTE
"""When a session was last seen is written down at most so often."""

LEAST_PASSWORD: Final = (
    12  # NIST SP 800-63B-4: 15 alone, 8 beside a second factor; length before signs
)
MOST_PASSWORD: Final = 1024  # it is hashed whole, so its length is bounded
GUESS_MEMORY: Final = clock.HOUR
"""Wrong guesses are forgotten after so long without another."""

_LONGEST_WAIT: Final = 15 * clock.MINUTE
_MAX_EMAIL: Final = 254  # RFC 5321 4.5.3.1.3, less the angle brackets
_MAX_NAME: Final = 100
_MAX_AGENT: Final = 120
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL: Final = re.compile(rf"[a-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,64}}@(?:{_LABEL}\.)+{_LABEL}")


def checked_email(email: str) -> str:
    """The address as it is stored and compared. Raises UsageError."""
    wanted = folded_email(email)
    if len(wanted) > _MAX_EMAIL or not _EMAIL.fullmatch(wanted):
        raise UsageError(
            "this is no e-mail address: write it as in ada@example.org, a domain in other letters"
            " in its xn-- form",
            field="email",
        )
    return wanted


def folded_email(email: str) -> str:
    """The form in which two spellings of an address are one."""
    return email.strip().lower()


def checked_name(name: str) -> str:
    """A person's name on one line. Raises UsageError."""
    wanted = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(wanted) <= _MAX_NAME or not wanted.isprintable():
        raise UsageError(
            f"a name has 1 to {_MAX_NAME} characters, none of them invisible", field="name"
        )
    return wanted


def checked_password(password: str, email: str = "", *, field: str = "password") -> str:
    """A password that may be chosen. Raises UsageError."""
    if len(password) < LEAST_PASSWORD:
        raise UsageError(
            f"a password has {LEAST_PASSWORD} characters at least: a few words are easy to keep",
            field=field,
        )
    if len(password) > MOST_PASSWORD:
        raise UsageError(f"a password has {MOST_PASSWORD} characters at most", field=field)
    if len(set(password)) < 5 or (
        email and password.casefold() in (email, email.split("@", maxsplit=1)[0])
    ):
        raise UsageError("this password is the first that anybody would guess", field=field)
    return password


def normal_password(password: str) -> str:
    """The form that is hashed: keyboards of different machines write one accent differently."""
    return unicodedata.normalize("NFKC", password)


def checked_role(role: str, tenant_id: int) -> Role:
    """A role that may be had there: in a tenant, or of the box (0). Raises UsageError."""
    allowed = TENANT_ROLES if tenant_id else BOX_ROLES
    if role not in allowed:
        raise UsageError(
            f"{role!r} is not a role of {'a tenant' if tenant_id else 'the box'}:"
            f" {', '.join(allowed)} are",
            field="role",
        )
    return Role(role)


def wait_after(tries: int, free: int) -> int:
    """Milliseconds to wait after so many wrong tries in a row, of which `free` cost nothing."""
    beyond = tries - free
    return 0 if beyond < 0 else min(_LONGEST_WAIT, clock.SECOND << min(beyond, 20))


def shortened(agent: str) -> str:
    """A browser's name of itself, for a list."""
    return "".join(char for char in agent[:_MAX_AGENT] if char.isprintable())
