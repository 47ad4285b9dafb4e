"""Reference: the settings as a file: `config show`, and config/pillarbox.toml.

    to_toml(settings)     the settings in force; secrets as ********
    reference_toml()      every option at its default, with its sentence and what is allowed
    told(settings)        the same together, for a page

What is written can be loaded again and means the same (but for the hidden secrets). Pure.
"""

from __future__ import annotations

import functools
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from appliance.core.settings_options import (
    HIDDEN,
    Option,
    allowed,
    as_toml,
    options,
    secret_fields,
    sections,
)

if TYPE_CHECKING:
    from appliance.core.settings import Settings

_WIDTH: Final = 100
_PASSWORD_IN_URL: Final = re.compile(r"(?<=://)([^/@:]*):([^/@]*)(?=@)")
_PREFACE: Final = """\
# Pillarbox: every option at its default. An own file needs only what differs.
#
# Each option can be given in the environment too, which wins over the file: PILLARBOX_, then the
# table and the name in capitals, with two underscores for each dot:
#     delivery.remote_port = 2525        PILLARBOX_DELIVERY__REMOTE_PORT=2525
#     dns.nameservers = ["127.0.0.1"]    PILLARBOX_DNS__NAMESERVERS='["127.0.0.1"]'
# `pillarbox config check` tells what is wrong in a file, `pillarbox config show` what is in force.
#
# This file is generated from appliance/core/settings.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldOption:
    """An option as it stands. Values as TOML writes them; of a secret no more than that there is one."""

    name: str
    description: str
    allowed: str
    value: str
    default: str
    is_changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldTable:
    """A table of the file with the options that stand right in it."""

    name: str
    sentence: str
    options: tuple[ToldOption, ...]


def told(settings: Settings) -> tuple[ToldTable, ...]:
    """The settings in force, with what each is for and whether it is another than by default."""
    return tuple(
        ToldTable(
            name=name,
            sentence=sections()[name],
            options=tuple(_told(option, value_of(settings, option.name)) for option in own),
        )
        for name, own in _tables()
        if own
    )


def _told(option: Option, value: Any) -> ToldOption:
    return ToldOption(
        name=option.name,
        description=option.description,
        allowed=allowed(option.kind),
        value=as_toml(shown(option, value)),
        default=as_toml(option.default),
        is_changed=value != option.default,
    )


def to_toml(settings: Settings) -> str:
    """The settings in force, as a file."""
    tables = []
    for section, own in _tables():
        if own:
            lines = [_assignment(option, value_of(settings, option.name)) for option in own]
            tables.append("\n".join([f"[{section}]", *lines]))
    return "\n\n".join(tables) + "\n"


def reference_toml() -> str:
    """The text of config/pillarbox.toml."""
    paragraphs = [_PREFACE]
    for section, own in _tables():
        paragraphs.append(f"# {sections()[section]}\n[{section}]")
        paragraphs += ["\n".join([*_comment(it), _assignment(it, it.default)]) for it in own]
    return "\n\n".join(paragraphs) + "\n"


def _tables() -> list[tuple[str, list[Option]]]:
    """Each table's name with the options that stand right in it."""
    every = options().values()
    return [(name, [option for option in every if option.section == name]) for name in sections()]


def value_of(settings: Settings, name: str) -> Any:
    """The value of the option with this dotted name."""
    return functools.reduce(getattr, name.split("."), settings)


def _comment(option: Option) -> list[str]:
    lines = textwrap.wrap(option.description, _WIDTH - 2, break_on_hyphens=False)
    bounds = allowed(option.kind)
    if bounds != "a text":
        lines.append(f"Allowed: {bounds}.")
    return [f"# {line}" for line in lines]


def _assignment(option: Option, value: Any) -> str:
    return f"{option.name.rpartition('.')[2]} = {as_toml(shown(option, value))}"


def shown(option: Option, value: Any) -> Any:
    """The value as anybody may see it."""
    if isinstance(value, tuple):
        return tuple(_without_secrets(item) for item in value)
    if not value or not option.secret:
        return value
    if option.secret == "url":  # noqa: S105 - the kind of the secret, not a secret
        return _PASSWORD_IN_URL.sub(rf"\1:{HIDDEN}", str(value))
    return HIDDEN


def _without_secrets(item: Any) -> Any:
    if not isinstance(item, msgspec.Struct):
        return item
    hidden = {name: HIDDEN for name in secret_fields(type(item)) if getattr(item, name)}
    return msgspec.structs.replace(item, **hidden)
