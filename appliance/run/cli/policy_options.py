"""The options that say what a login may do; `credential create` and `credential update` share them.

What is not said stays as it is: at its default for a new login, at what stands for an old one. An empty
text clears a list or a pool, `auto` takes a choice back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.credentials import Policy

_AUTO: Final = "auto"
_CHOICES: Final = ("traffic_class", "return_path_mode")

_OPTIONS: Final = (
    click.option(
        "--from",
        "from_policy",
        type=click.Choice(["verified", "any"]),
        help="From domains it may use: verified ones (usual), or any for forwarders.",
    ),
    click.option(
        "--allowed-from", multiple=True, metavar="DOMAIN", help="Only these From domains."
    ),
    click.option(
        "--envelope-sender-verified/--any-envelope-sender",
        default=None,
        help="MAIL FROM must be verified too.",
    ),
    click.option(
        "--class",
        "traffic_class",
        type=click.Choice(["transactional", "bulk", _AUTO]),
        help="Class of what does not say; auto finds it by its headers.",
    ),
    click.option("--tag", "tags", multiple=True, help="Added to every message."),
    click.option("--network", "networks", multiple=True, metavar="CIDR", help="Only from here."),
    click.option(
        "--return-path",
        "return_path_mode",
        type=click.Choice(["recipient", "message", _AUTO]),
        help="One return path a recipient, or a message; auto is the domain's.",
    ),
    click.option("--dsn/--no-dsn", default=None, help="Failure notices to senders (usual)."),
    click.option(
        "--compliance",
        type=click.Choice(["off", "warn", "refuse"]),
        help="What becomes of bulk mail that receivers will refuse; usually off.",
    ),
    click.option("--recipients-per-hour", type=int, help="Limit; 0 is none (usual)."),
    click.option("--recipients-per-day", type=int, help="Limit; 0 is none (usual)."),
    click.option(
        "--refuse-suppressed/--drop-suppressed",
        default=None,
        help="550 for suppressed recipients, instead of accepting and dropping (usual).",
    ),
    click.option(
        "--accept-8bit-headers/--no-8bit-headers",
        default=None,
        help="Take raw 8-bit headers as they are.",
    ),
    click.option(
        "--normalise-line-ends/--refuse-bare-line-ends",
        default=None,
        help="Repair bare CR and LF, do not refuse.",
    ),
    click.option(
        "--hide-client/--show-client",
        default=None,
        help="Leave the client's address out of Received.",
    ),
    click.option(
        "--surge-hold/--no-surge-hold",
        default=None,
        help="Hold what is five times the usual rate (usual).",
    ),
    click.option("--pool", help="Egress pool of its mail, unless a header names another."),
)


def policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def policy_of(given: dict[str, Any], standing: Policy | None = None) -> Policy:
    """The policy that stands (the default one without), with what the options say."""
    import msgspec

    from appliance.credentials import Policy

    said = {name: _plain(name, value) for name, value in given.items() if value not in (None, ())}
    # Choices and lists arrive as plain texts and tuples; the types of Policy say what they become.
    return msgspec.convert(msgspec.to_builtins(standing or Policy()) | said, Policy)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(filter(None, value))
    return None if name in _CHOICES and value == _AUTO else value
