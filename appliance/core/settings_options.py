"""Options: the settings as a flat table, with what is allowed for each in words.

Read from the types in settings.py, so that loader, reference file and `config show` cannot disagree
with them. Pure.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import inspect

from appliance.core.settings import Settings

HIDDEN: Final = "********"
_Bounded = inspect.IntType | inspect.FloatType


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: `annotation` is what msgspec checks, `kind` the same as a value to look at."""

    name: str
    annotation: Any
    kind: inspect.Type
    description: str
    secret: str
    default: Any

    @property
    def section(self) -> str:
        """The dotted name of its table."""
        return self.name.rpartition(".")[0]


@functools.cache
def options() -> dict[str, Option]:
    """Every option by its dotted name, in the order of the reference file."""
    return {option.name: option for option in _walk(Settings(), "")}


@functools.cache
def sections() -> dict[str, str]:
    """Every table by its dotted name, with its sentence."""
    return dict(_walk_sections(Settings(), ""))


def _walk(section: msgspec.Struct, prefix: str) -> list[Option]:
    found: list[Option] = []
    kinds = {field.name: field.type for field in _struct_type(type(section)).fields}
    for field in msgspec.structs.fields(section):
        name, default = prefix + field.name, getattr(section, field.name)
        if isinstance(default, msgspec.Struct):
            found += _walk(default, f"{name}.")
        else:
            found.append(_option(name, field.type, kinds[field.name], default))
    return found


def _walk_sections(section: msgspec.Struct, prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        if isinstance(value, msgspec.Struct):
            name = prefix + field.name
            found += [(name, _first_line(type(value))), *_walk_sections(value, f"{name}.")]
    return found


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]


def _struct_type(cls: type) -> inspect.StructType:
    kind = inspect.type_info(cls)
    assert isinstance(kind, inspect.StructType)
    return kind


def _option(name: str, annotation: Any, kind: inspect.Type, default: Any) -> Option:
    description, secret = "", ""
    if isinstance(kind, inspect.Metadata):
        description = str((kind.extra_json_schema or {}).get("description", ""))
        secret = str((kind.extra or {}).get("secret", ""))
    return Option(
        name=name,
        annotation=annotation,
        kind=_bare(kind),
        description=description,
        secret=secret,
        default=default,
    )


@functools.cache
def secret_fields(cls: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields of an inline table that are never shown."""
    kinds = {field.name: field.type for field in _struct_type(cls).fields}
    return tuple(
        name
        for name, kind in kinds.items()
        if isinstance(kind, inspect.Metadata) and (kind.extra or {}).get("secret")
    )


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def allowed(kind: inspect.Type) -> str:
    """What a value of this type may be: "a whole number from 0 to 65535"."""
    kind = _bare(kind)
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            return _number(kind)
        case inspect.StrType():
            return _string(kind)
        case inspect.VarTupleType():
            at_least = f" with at least {kind.min_length}" if kind.min_length else ""
            return f"a list{at_least}, each {allowed(kind.item_type)}"
        case inspect.StructType():
            return f"a table {{ {', '.join(field.name for field in kind.fields)} }}"
        case _:
            raise TypeError(f"settings.py has an option of a type without words: {kind!r}")


def _number(kind: _Bounded) -> str:
    name = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
    low, high = kind.ge, kind.le
    if low is not None and high is not None:
        return f"{name} from {as_toml(low)} to {as_toml(high)}"
    return name if low is None else f"{name}, at least {as_toml(low)}"


def _string(kind: inspect.StrType) -> str:
    if kind.pattern is not None:
        # The only patterns are lists of words, ^(a|b|c)$.
        return " or ".join(f'"{word}"' for word in kind.pattern.strip("^$()").split("|"))
    if kind.max_length is not None:
        return f"a text of at most {kind.max_length} characters"
    return "a text"


def as_toml(value: Any) -> str:
    """A value as TOML writes it."""
    match value:
        case bool() | int() | float():
            return _as_number(value)
        case list() | tuple():
            return f"[{', '.join(as_toml(item) for item in value)}]"
        case dict():
            pairs = ", ".join(f"{_key(key)} = {as_toml(item)}" for key, item in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case msgspec.Struct():
            return as_toml(msgspec.structs.asdict(value))
        case _:
            return _quoted(str(value))


def _as_number(value: float) -> str:
    text = str(value)
    return text.lower() if isinstance(value, bool) else text.removesuffix(".0")


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else _quoted(key)


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
