"""POST /api/v1/send and /send/batch: letters in, ids out.

A letter is answered when it is safe on disk. With an Idempotency-Key a request is done once, however often
it comes within a day: the answer of the first is given again, and what a crash left half done is found by
the keys that the letters carry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from litestar import Request, Response, post
from litestar.params import JSONBody
from msgspec import Meta

from admin_ui.api.guard import RATE, RIGHT, SENDS, Asker, WhoAsks
from admin_ui.api.openapi import BODY, EXAMPLE
from admin_ui.api.shapes import Example
from admin_ui.errors import field_of, problem
from admin_ui.rooms import Behind, Rooms
from appliance.core import ids
from appliance.core.errors import UsageError
from appliance.core.scope import BOX, Scope
from appliance.rights import Right
from appliance.sending import MAX_BATCH, Handed, Letter, Refusal, Taken

_LATER: Final = (429, 503)
IDEMPOTENCY: Final = "idempotency-key"
Work: TypeAlias = Callable[[Handed, str], Awaitable[tuple[int, bytes, bool]]]
"""Given on whose behalf, and the key of what is stored: status, answer, whether it may be asked again."""

_LETTER: Final = {
    "from": {"email": "orders@shop.example", "name": "The Shop"},
    "to": ["ada@example.net"],
    "subject": "Your order 1234",
    "text": "It is on its way.",
    "tags": ["order"],
    "metadata": {"order": "1234"},
}


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is safe on disk."""

    id: Annotated[str, Meta(description="Names the message in events, webhooks and the log.")]
    recipients: int


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Letters as POST /send takes them, read one by one: one that is wrong fails alone."""

    messages: Annotated[
        list[msgspec.Raw],
        Meta(
            min_length=1,
            max_length=MAX_BATCH,
            description="Each a letter, without what it shares with the others.",
        ),
    ]
    shared: Annotated[
        dict[str, Any], Meta(description="Fields of a letter that count where a letter lacks them.")
    ] = msgspec.field(default_factory=dict)


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one letter of a batch: an id, or why it was refused."""

    id: Annotated[str, Meta(description="Of the message, if it was accepted.")] = ""
    recipients: int = 0
    status: Annotated[int, Meta(description="Why it was refused: 400, 422, 429, 503.")] = 0
    detail: str = ""
    field: Annotated[str, Meta(description="Which field is wrong.")] = ""


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each letter, in their order."""

    accepted: int
    refused: int
    results: list[Result]


@post(
    "/send",
    status_code=202,
    opt={
        RIGHT: Right.MESSAGES_SEND,
        RATE: SENDS,
        EXAMPLE: Example({"id": "1k3fq9x2mz0a", "recipients": 1}, _LETTER),
    },
    tags=["send"],
    summary="Send a message",
)
async def send(
    request: Request[Any, Any, Any],
    data: JSONBody[Letter],
) -> Response[Accepted]:
    """Accept one message for its recipients; the answer comes when it is safe on disk."""
    # Not as dependencies: resolving them takes a quarter of the request.
    rooms: Rooms = request.app.state.rooms
    asker: Asker = request.state.asker

    async def work(handed: Handed, key: str) -> tuple[int, bytes, bool]:
        (result,) = await rooms.sending.send(handed, [data], key=key)
        return answer_of(result)

    return await once(request, rooms, await handed_by(rooms, asker), work)


@post(
    "/send/batch",
    status_code=200,
    opt={
        RIGHT: Right.MESSAGES_SEND,
        RATE: SENDS,
        BODY: Batch,
        EXAMPLE: Example(
            {
                "accepted": 1,
                "refused": 1,
                "results": [
                    {"id": "1k3fq9x2mz0a", "recipients": 1},
                    {"status": 400, "detail": "nobody: no @", "field": "messages[1].to[0]"},
                ],
            },
            {
                "shared": {"from": "orders@shop.example", "subject": "News"},
                "messages": [
                    {"to": ["ada@example.net"], "text": "Dear Ada"},
                    {"to": ["nobody"], "text": "Dear nobody"},
                ],
            },
        ),
    },
    tags=["send"],
    summary="Send up to 1,000 messages",
)
async def send_batch(
    request: Request[Any, Any, Any],
    rooms: Behind,
    asker: WhoAsks,
) -> Response[BatchResult]:
    """Accept many messages at once. One that is wrong is refused alone, at its place in `results`."""
    rows = await _rows(request)

    async def work(handed: Handed, key: str) -> tuple[int, bytes, bool]:
        letters = [_read(row, rows.shared) for row in rows.messages]
        results = await rooms.sending.send(handed, letters, key=key)
        is_passing = any(isinstance(one, Refusal) and _passes(one) for one in results)
        return 200, msgspec.json.encode(_batch_result(results)), is_passing

    return await once(request, rooms, await handed_by(rooms, asker), work)


async def once(
    request: Request[Any, Any, Any], rooms: Rooms, handed: Handed, work: Work
) -> Response[Any]:
    """Do the work, or with an Idempotency-Key that was seen before give the answer of then."""
    key = request.headers.get(IDEMPOTENCY, "")
    if not key:
        status, answer, _ = await work(handed, "")
        return _response(status, answer)
    handed = replace(handed, is_keyed=True)
    told = await _told(request)
    claim = await rooms.requests.claim(Scope.tenant(handed.tenant_id), key, told)
    if claim.status:
        return _response(claim.status, claim.answer, is_again=True)
    try:
        # With what was asked in the key of each message, another request never finds this one's.
        digest = hashlib.sha256(told).hexdigest()[:16]
        status, answer, is_passing = await work(handed, f"{key}.{digest}")
    except BaseException:
        await rooms.requests.give_up(claim)
        raise
    if (
        is_passing
    ):  # of now and not of the request: asked again, what was stored is found by its key
        await rooms.requests.give_up(claim)
    else:
        await rooms.requests.finish(claim, status, answer)
    return _response(status, answer)


async def _told(request: Request[Any, Any, Any]) -> bytes:
    return request.url.path.encode() + b"\0" + await request.body()


async def handed_by(rooms: Rooms, asker: Asker, tenant_id: int = BOX) -> Handed:
    """On whose behalf: the key's credential, or for a person who is signed in the console's.

    `tenant_id`: of what is sent, where somebody of the box sends it.
    """
    owner = asker.actor.scope.tenant_id or tenant_id
    if owner == BOX:
        raise UsageError("what is sent has a tenant: enter the view of one first", field="tenant")
    if asker.key is not None:
        behind = asker.key.credential_id
    else:
        behind = (await rooms.credentials.of_console(asker.actor.scope, owner)).id
    return Handed(tenant_id=owner, credential_id=behind, address=asker.address)


def answer_of(result: Taken | Refusal) -> tuple[int, bytes, bool]:
    """Status and body for one message, and whether the same may be taken later."""
    if isinstance(result, Taken):
        return 202, msgspec.json.encode(_accepted(result)), False
    told = _problem(result)
    return _status(result), msgspec.json.encode(told.content), _passes(result)


async def _rows(request: Request[Any, Any, Any]) -> Batch:
    try:
        return msgspec.json.decode(await request.body(), type=Batch)
    except msgspec.MsgspecError as error:
        field, words = field_of(str(error))
        raise UsageError(words, field=field) from error


def _read(row: msgspec.Raw, shared: dict[str, Any]) -> Letter | Refusal:
    try:
        if not shared:
            return msgspec.json.decode(row, type=Letter)
        own = msgspec.json.decode(row, type=dict[str, Any])
        return msgspec.convert(shared | own, Letter)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        field, words = field_of(str(error))
        return Refusal(words=words, field=field)


def _batch_result(results: list[Taken | Refusal]) -> BatchResult:
    refused = sum(isinstance(result, Refusal) for result in results)
    told = [
        Result(id=ids.to_text(one.id), recipients=one.recipients)
        if isinstance(one, Taken)
        else Result(
            status=_status(one),
            detail=one.words,
            field=f"messages[{n}].{one.field}" if one.field else f"messages[{n}]",
        )
        for n, one in enumerate(results)
    ]
    return BatchResult(accepted=len(results) - refused, refused=refused, results=told)


def _accepted(taken: Taken) -> Accepted:
    return Accepted(id=ids.to_text(taken.id), recipients=taken.recipients)


def _problem(refusal: Refusal) -> Response[dict[str, Any]]:
    fields = [(refusal.field, refusal.words)] if refusal.field else []
    return problem(_status(refusal), refusal.words, fields)


def _status(refusal: Refusal) -> int:
    """What an SMTP reply is to HTTP: over quota 429, later 503, never 422; the letter itself 400."""
    if not refusal.code:
        return 400
    if refusal.code == 450:
        return 429
    return 503 if refusal.code < 500 else 422


def _passes(refusal: Refusal) -> bool:
    return _status(refusal) in _LATER


def _response(status: int, answer: bytes, *, is_again: bool = False) -> Response[Any]:
    media = "application/json" if status < 400 else "application/problem+json"
    headers = {"Idempotent-Replayed": "true"} if is_again else {}
    if status in _LATER:
        headers["Retry-After"] = "30"
    return Response(answer, status_code=status, media_type=media, headers=headers)


HANDLERS: Final[list[Any]] = [send, send_batch]
