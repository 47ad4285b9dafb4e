"""Nouns: what the routes of the box's things have in common: ids, names, whose they are, pages.

Whoever asks for the whole box names a tenant with `?tenant=name`; a tenant's own key needs not, and hears
404 for the name of another. Things that the box has few of are paged in memory, in the order of a text.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from admin_ui.api.guard import Asker
    from admin_ui.rooms import Rooms
    from appliance.tenancy import TenantRecord

T = TypeVar("T")
MAX_ID: Final = (1 << 53) - 1  # the highest that JSON's readers keep exact
PLAIN: Final = r"^[^\x00-\x1f\x7f]*$"

Id = Annotated[int, PathParameter(ge=1, le=MAX_ID)]
Name = Annotated[str, PathParameter(min_length=1, max_length=253, pattern=PLAIN)]
Whose = Annotated[
    str,
    QueryParameter(
        max_length=63,
        pattern=PLAIN,
        description="Name of the tenant that is meant; for who asks for the whole box.",
    ),
]
Words = Annotated[str, Meta(min_length=1, max_length=500, pattern=PLAIN)]
Short = Annotated[str, Meta(max_length=255, pattern=PLAIN)]
Ident = Annotated[int, Meta(ge=1, le=MAX_ID)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]

_NO_CURSOR: Final = "no such cursor: give back the one of the last page"
_MARK: Final = "k"  # before a text's cursor, so that a number is never one


async def view_of(rooms: Rooms, asker: Asker, tenant: str) -> Scope:
    """Whose rows are meant: the asker's, or of these one tenant's. Raises NotFoundError."""
    if not tenant:
        return asker.actor.scope
    found = await rooms.tenants.get(asker.actor.scope, tenant)
    return asker.actor.scope.within(found.id)


async def owner_of(rooms: Rooms, asker: Asker, tenant: str) -> TenantRecord:
    """The tenant that something new is for. Raises NotFoundError, UsageError when none is named."""
    scope = asker.actor.scope
    if tenant:
        return await rooms.tenants.get(scope, tenant)
    if scope.tenant_id is None:
        raise UsageError("say whose it is to be: add ?tenant=NAME", field="tenant")
    return await rooms.tenants.by_id(scope, scope.tenant_id)


@contextmanager
def in_field(name: str) -> Iterator[None]:
    """What is wrong within is wrong of this field; 404 is for what the path names, not for what a field does."""
    try:
        yield
    except NotFoundError as error:
        raise UsageError(str(error), field=name) from error
    except UsageError as error:
        error.field = error.field or name
        raise


async def known_provider(rooms: Rooms, name: str) -> str:
    """A receiver of the shaping file: one that is misspelt would match nothing, in silence."""
    wanted = name.strip().lower()
    if wanted:
        known = await rooms.files.providers()
        if wanted not in known:
            there = ", ".join(sorted(known))
            raise UsageError(
                f"no provider is named {wanted!r}: there are {there}", field="provider"
            )
    return wanted


def cut(found: Sequence[T], limit: int, key: Callable[[T], object]) -> tuple[Sequence[T], str]:
    """A page of what was asked for with one row more, and the cursor behind it."""
    if len(found) <= limit:
        return found, ""
    return found[:limit], str(key(found[limit - 1]))


def page(
    every: Iterable[T], key: Callable[[T], str], cursor: str, limit: int
) -> tuple[Sequence[T], str]:
    """A page of few things, in the order of their keys, and the cursor behind it."""
    after = _word_of(cursor)
    behind = sorted((one for one in every if not after or key(one) > after), key=key)
    found, last = cut(behind, limit, key)
    return found, _cursor(last) if last else ""


def _cursor(word: str) -> str:
    return _MARK + urlsafe_b64encode(word.encode()).decode().rstrip("=")


def _word_of(cursor: str) -> str:
    if not cursor:
        return ""
    try:
        if not cursor.startswith(_MARK):
            raise ValueError(cursor)
        padded = cursor[1:] + "=" * (-len(cursor[1:]) % 4)
        word = urlsafe_b64decode(padded.encode("ascii")).decode()
    except (ValueError, binascii.Error) as error:
        raise UsageError(_NO_CURSOR, field="cursor") from error
    if not word or _cursor(word) != cursor:
        raise UsageError(_NO_CURSOR, field="cursor")
    return word
