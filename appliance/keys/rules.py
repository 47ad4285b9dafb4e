"""Rules of keys, pure: names, rights, life, and what a token looks like.

pbk_12_8fVqZ...      the key's number, then 33 characters (192 random bits) that only its holder has
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.errors import ForbiddenError, StoreError, UsageError
from appliance.core.scope import BOX
from appliance.rights import GRANTS, Right, Role

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from appliance.keys.model import Wish

MAX_NAME: Final = 80
MAX_LIFE: Final = 10 * 365 * clock.DAY
SOON: Final = 30 * clock.DAY  # a key that ends by then is worth a word
UNUSED: Final = 90 * clock.DAY  # a key that nobody has used for so long, too
_TOKEN: Final = re.compile(r"pbk_([1-9][0-9]{0,17})_([2-9A-HJ-NP-Za-km-z]{33})")
_FOR_TENANTS: Final = GRANTS[Role.OWNER]
_NOT_FOR_THE_BOX: Final = frozenset({Right.MESSAGES_SEND})  # what is sent has a tenant


def token_of(key_id: int, secret: str) -> str:
    """The token of a key, as it is shown once."""
    return f"pbk_{key_id}_{secret}"


def split_token(token: str) -> tuple[int, str] | None:
    """Number and secret of a token; None when it has not the form of one."""
    found = _TOKEN.fullmatch(token)
    return None if found is None else (int(found[1]), found[2])


def checked_wish(wish: Wish, tenant_id: int, held: AbstractSet[Right], now: int) -> Wish:
    """The wish, if it may be granted by somebody who holds `held`."""
    checked_name(wish.name)
    _check_rights(wish.rights, tenant_id, held)
    if wish.expires_at and not now < wish.expires_at <= now + MAX_LIFE:
        raise UsageError("the end of a key lies ahead, within ten years", field="expires_at")
    return wish


def checked_name(name: str) -> str:
    """A name for people."""
    words = " ".join(name.split())
    if not words or len(words) > MAX_NAME or not words.isprintable():
        raise UsageError(
            f"a key has a name of 1 to {MAX_NAME} printable characters, such as 'billing'",
            field="name",
        )
    return words


def grantable(tenant_id: int) -> frozenset[Right]:
    """What a key of a tenant, or of the box (0), can have at all."""
    return frozenset(Right) - _NOT_FOR_THE_BOX if tenant_id == BOX else _FOR_TENANTS


def _check_rights(rights: AbstractSet[Right], tenant_id: int, held: AbstractSet[Right]) -> None:
    if not rights:
        raise UsageError("a key without a right opens nothing: give one at least", field="rights")
    never = rights - grantable(tenant_id)
    if never:
        whose = "of the box" if tenant_id == BOX else "of a tenant"
        raise UsageError(f"a key {whose} cannot have {_words(never)}", field="rights")
    beyond = rights - held
    if beyond:
        raise ForbiddenError(
            f"you cannot give what you do not have: {_words(beyond)}", field="rights"
        )


def rights_text(rights: Iterable[Right]) -> str:
    """Rights as they are stored."""
    return " ".join(sorted(rights))


def rights_of_text(text: str) -> frozenset[Right]:
    """What was stored. A right that a newer version knew is an error and not a guess."""
    try:
        return frozenset(map(Right, text.split()))
    except ValueError as error:
        raise StoreError(f"a stored key has a right that is not known here: {error}") from error


def _words(rights: Iterable[Right]) -> str:
    return ", ".join(sorted(rights))
