"""What can go wrong.

PillarboxClientError
├── ApiError           the box answered, and refused; says why and names the fields
└── NotReachedError    no answer came, also not after trying again
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """A field of the request, and what is wrong with it."""

    field: str
    detail: str


class PillarboxClientError(Exception):
    """Base of all that this client raises."""


class ApiError(PillarboxClientError):
    """The box refused (RFC 9457)."""

    def __init__(self, status: int, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        fields = "; ".join(f"{error.field}: {error.detail}" for error in errors)
        super().__init__(f"{status}: {fields or detail}")
        self.status, self.detail, self.errors = status, detail, errors


class NotReachedError(PillarboxClientError):
    """No answer: what was asked may be done or not; a send with the same key is not done twice."""
