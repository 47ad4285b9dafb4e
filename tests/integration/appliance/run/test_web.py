"""OPS-8 and MTA-27 on a real socket: what the web says of processes that live, fail and are dead."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from appliance.core.database import open_engine
from appliance.core.rpc import RpcServer
from appliance.people import first_admin_link
from appliance.run import web
from tests.support.people import PASSWORD
from tests.support.process import (
    FakeMta,
    context_of,
    loopback,
    new_home,
    running,
    settings_of,
)
from tests.support.smtp_box import until
from tests.support.third_party import require_command

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from appliance.core.home import Home
    from appliance.run.process import Context


async def prepared(tmp_path: Path, **sections: dict[str, object]) -> tuple[Home, Context, str]:
    settings = settings_of(**sections)
    home = await new_home(tmp_path, settings)
    sock = loopback()
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    return home, context_of("web", home, settings, {"web": sock}), url


async def get(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url, headers=headers, timeout=60)


async def test_health_is_503_and_says_who_is_silent(tmp_path: Path) -> None:
    home, context, url = await prepared(tmp_path)
    async with (
        FakeMta().serving(home),
        FakeMta("inbound").serving(home),
        running(web.main, context),
    ):
        started = time.monotonic()
        answer = await get(f"{url}/health")
        assert time.monotonic() - started < 2.5
        assert answer.status_code == 503
        processes = answer.json()["processes"]
        assert set(processes) == {"mta-0", "inbound", "worker", "web"}
        assert processes["mta-0"]["ok"] is True
        assert processes["worker"]["ok"] is False
        assert "nobody answers" in processes["worker"]["words"]
        assert processes["web"]["checks"]["database"]["ok"] is True


async def test_health_is_200_when_all_are_well_and_503_when_one_says_that_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "FRESH_SECONDS", 0.0)
    home, context, url = await prepared(tmp_path)
    mta = FakeMta()
    async with (
        mta.serving(home),
        FakeMta("inbound").serving(home),
        FakeMta("worker").serving(home),
        running(web.main, context),
    ):
        assert (await get(f"{url}/health")).status_code == 200
        mta.is_well = False
        answer = await get(f"{url}/health")
        assert answer.status_code == 503
        assert answer.json()["processes"]["mta-0"]["checks"]["disk"]["words"] == "no space left"


async def test_a_process_that_hangs_does_not_hold_the_answer_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "ASK_SECONDS", 0.2)
    home, context, url = await prepared(tmp_path)
    forever = asyncio.Event()

    async def hang(_: object) -> None:
        await forever.wait()

    server = RpcServer(home.socket("worker"), {"health": hang, "metrics": hang})
    await server.start()
    async with running(web.main, context):
        started = time.monotonic()
        answer = await get(f"{url}/health")
        assert "did not answer health within" in answer.json()["processes"]["worker"]["words"]
        text = (await get(f"{url}/metrics")).text
        assert 'pillarbox_up{process="worker"} 0' in text
        assert time.monotonic() - started < 2
        forever.set()
    await server.close()


async def test_what_a_proxy_passes_on_shows_no_words(tmp_path: Path) -> None:
    _, context, url = await prepared(tmp_path, metrics={"token": "s3cret"})
    async with running(web.main, context):
        answer = await get(f"{url}/health", **{"X-Forwarded-For": "127.0.0.1"})
        assert answer.json()["processes"]["worker"] == {"ok": False}
        assert (await get(f"{url}/metrics", Forwarded="for=127.0.0.1")).status_code == 401
        with_token = {"X-Forwarded-For": "192.0.2.1", "Authorization": "Bearer s3cret"}
        assert (await get(f"{url}/metrics", **with_token)).status_code == 200
        assert "words" in (await get(f"{url}/health", **with_token)).text


async def test_metrics_of_all_processes_are_one_exposition(tmp_path: Path) -> None:
    home, context, url = await prepared(tmp_path)
    async with (
        FakeMta().serving(home),
        FakeMta("inbound").serving(home),
        running(web.main, context),
    ):
        answer = await get(f"{url}/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        samples = {
            (sample.name, sample.labels.get("process")): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
        assert samples["pillarbox_up", "mta-0"] == 1
        assert samples["pillarbox_up", "worker"] == 0
        assert samples["pillarbox_up", "web"] == 1
        assert samples["pillarbox_delivered_total", "mta-0"] == 1
        assert samples["pillarbox_delivered_total", "inbound"] == 1
        await _checked_by_promtool(answer.content)


async def _checked_by_promtool(exposition: bytes) -> None:
    promtool = require_command("promtool", "prometheus")
    process = await asyncio.create_subprocess_exec(
        promtool, "check", "metrics", stdin=-1, stdout=-1, stderr=-1
    )
    out, err = await process.communicate(exposition)
    assert process.returncode == 0, out + err


async def test_a_request_that_runs_is_finished_when_the_process_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, context, url = await prepared(tmp_path)
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> dict[str, object]:
        asked.set()
        await go_on.wait()
        return {"process": "worker", "ok": True, "checks": {}}

    monkeypatch.setattr(web, "ASK_SECONDS", 5.0)
    server = RpcServer(home.socket("worker"), {"health": slow})
    await server.start()
    async with running(web.main, context) as task:
        request = asyncio.create_task(get(f"{url}/health"))
        await asked.wait()
        context.stop.set()
        await asyncio.sleep(0.3)
        assert not task.done()
        go_on.set()
        assert (await request).json()["processes"]["worker"]["ok"] is True
        await until(task.done)
    await server.close()


async def test_open_live_streams_starve_no_request_and_hold_up_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_MAX_REQUESTS", 5)
    home, context, url = await prepared(tmp_path, processes={"drain_timeout": 60.0})
    engine = open_engine(home.control_location(context.settings))
    link = await first_admin_link(engine, "https://box.test")
    await engine.dispose()
    async with running(web.main, context) as task, httpx.AsyncClient(timeout=20) as client:
        told = {"token": (link or "").rpartition("/")[2], "email": "root@box.test", "name": "Root"}
        welcome = await client.post(f"{url}/api/v1/welcome", json=told | {"password": PASSWORD})
        headers = {"Cookie": f"pillarbox={welcome.cookies['pillarbox']}"}

        async def listen(ready: asyncio.Event) -> str:
            said = ""
            async with client.stream("GET", f"{url}/live", headers=headers) as answer:
                async for piece in answer.aiter_text():
                    said += piece
                    ready.set()
            return said

        opened = [asyncio.Event() for _ in range(8)]
        listening = [asyncio.create_task(listen(ready)) for ready in opened]
        await asyncio.gather(*(ready.wait() for ready in opened))
        assert (await get(f"{url}/health")).status_code == 503  # nobody else is there
        context.stop.set()
        for said in await asyncio.gather(*listening):
            assert said.startswith("retry: ")
            assert said.endswith("event: bye\ndata: {}\n\n")
        await until(task.done)


async def test_a_known_proxy_says_where_a_request_comes_from_and_nobody_else_does() -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        body = scope["client"][0].encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def seen(proxies: tuple[str, ...]) -> str:
        sock, stop = loopback(), asyncio.Event()
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/"
        serving = asyncio.create_task(web.serve(app, sock, stop, drain_timeout=1, proxies=proxies))
        headers = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
        answer = await get(url, **headers)
        stop.set()
        await serving
        return answer.text

    assert await seen(("127.0.0.0/8", "::1")) == "198.51.100.7"
    assert await seen(("192.0.2.1",)) == "127.0.0.1"
    assert await seen(()) == "127.0.0.1"
