"""schemathesis over the whole description, as an admin and as a tenant: no crash, and every answer as described.

The seed is fixed, so that everybody sees the same requests. Each operation gets some that it should take and
some that it should not.
"""

from __future__ import annotations

import asyncio

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from tests.support.box import TENANT, RunningBox, running_box

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
EACH = 4  # requests of an operation, of each mode


@pytest.mark.parametrize("role", ["admin", "owner"])
async def test_no_request_crashes_and_every_answer_is_as_described(tmp_path, role):
    async with LabDns(ZONE) as dns, Receiver() as mx:
        async with running_box(tmp_path, dns, mx.port) as box:
            whose = ("--tenant", TENANT) if role == "owner" else ()
            made = await box.cli("key", "create", role, "--role", role, *whose)
            asked = await asyncio.to_thread(_fuzz, box, made["token"], made["id"])
            assert asked > 80
            async with httpx.AsyncClient(base_url=box.web) as http:
                headers = {"Authorization": f"Bearer {made['token']}"}
                answer = await http.get("/api/v1/keys", headers=headers)
                assert answer.status_code == 200, "the requests were refused, not tried"


def _fuzz(box: RunningBox, token: str, key_id: int) -> int:
    """Ask every operation; how many there are."""
    schema = schemathesis.openapi.from_url(f"{box.web}/api/openapi.json")
    number = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in MODES:
            _one(operation, mode, {"Authorization": f"Bearer {token}"}, key_id)
        number += 1
    return number


def _one(operation, mode: GenerationMode, headers: dict[str, str], key_id: int) -> None:
    @seed(1)
    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case) -> None:
        assume(case.path_parameters.get("key_id") != key_id)
        case.validate_response(case.call(headers=headers, timeout=30), checks=CHECKS)

    try:
        ask()
    except Exception as error:
        raise AssertionError(f"{operation.method.upper()} {operation.path} ({mode})") from error
