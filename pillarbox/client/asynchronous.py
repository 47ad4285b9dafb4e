"""The asynchronous client; the same as blocking.py, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from pillarbox.client import calls
from pillarbox.client.calls import Call
from pillarbox.client.errors import NotReachedError
from pillarbox.client.shapes import BatchResult, Letter, Sent

T = TypeVar("T")


class AsyncClient:
    """Speaks to one box. Belongs to one event loop; close it, or use it as a context manager."""

    def __init__(self, url: str, *, key: str, timeout: float = 60.0) -> None:
        """`url` of the box, such as https://mail.example.org; `key`: an API key."""
        self._http = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    async def send(self, letter: Letter, *, key: str | None = None) -> Sent:
        """Send one message; `key`: the Idempotency-Key, if your program has one of its own."""
        return await self._do(calls.send(letter, key))

    async def send_batch(
        self,
        letters: Sequence[Letter],
        *,
        shared: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> BatchResult:
        """Send up to 1,000 messages; fields in `shared` count where a letter lacks them."""
        return await self._do(calls.send_batch(letters, shared, key))

    async def pages(self, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """All rows of a list, page after page: `async for message in box.pages("/messages", tag="order")`."""
        cursor = ""
        while True:
            page = await self._do(calls.page(path, query, cursor))
            for row in page.items:
                yield row
            cursor = page.cursor
            if not cursor:
                return

    async def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Any operation of the API: `await box.ask("POST", "/domains", {"name": "shop.example"})`."""
        return await self._do(calls.ask(method, path, body, query))

    async def _do(self, call: Call[T]) -> T:
        for tries in range(calls.TRIES):
            is_last = tries + 1 == calls.TRIES or not call.may_repeat
            try:
                answer = await self._http.request(
                    call.method,
                    call.path,
                    json=call.body,
                    params=dict(call.query),
                    headers=dict(call.headers),
                )
            except httpx.TransportError as error:
                if is_last:
                    raise NotReachedError(f"{self._http.base_url}: {error}") from error
                await asyncio.sleep(calls.pause(tries))
                continue
            if answer.is_success:
                return call.read(answer.content)
            if is_last or answer.status_code not in calls.AGAIN:
                raise calls.refusal(answer.status_code, answer.content)
            await asyncio.sleep(calls.pause(tries, answer.headers.get("retry-after", "")))
        raise AssertionError("the last try ends above")
