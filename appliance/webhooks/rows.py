"""Rows: how endpoints and deliveries stand in the tables; for this room alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from appliance.webhooks.model import Delivery, Endpoint, Outcome

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

_types: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_PLAIN: Final = Endpoint.__dataclass_fields__.keys() - {"types"}


def endpoint_of(row: RowMapping) -> Endpoint:
    """A row of `webhook`."""
    return Endpoint(types=_types(row["types"]), **{name: row[name] for name in _PLAIN})


def types_text(types: tuple[str, ...]) -> str:
    """Chosen types, as they are stored."""
    return msgspec.json.encode(types).decode()


def delivery_of(row: RowMapping) -> Delivery:
    """A row of `webhook_delivery`."""
    return Delivery(**{**row, "outcome": Outcome(row["outcome"])})


def bound_to(webhook_id: int, column: str) -> str:
    """The one place in which an encrypted secret opens."""
    return f"webhook:{column}:{webhook_id}"
