"""schemathesis over the whole description, as an admin and as a tenant: no crash, and every answer as described.

The seed is fixed, so that everybody sees the same requests. Each operation gets some that it should take and
some that it should not; making them costs more than asking, so each is sent with both keys.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import requests
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
from tests.support.box import TENANT, running_box

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
EACH = 1  # requests of an operation, of each mode


async def test_no_request_crashes_and_every_answer_is_as_described(tmp_path):
    async with LabDns(ZONE) as dns, Receiver() as mx:
        async with running_box(tmp_path, dns, mx.port) as box:
            made = [
                await box.cli("key", "create", "all", "--role", "admin"),
                await box.cli("key", "create", "own", "--role", "owner", "--tenant", TENANT),
            ]
            tokens = {one["id"]: one["token"] for one in made}
            fuzzer = Fuzzer(box.web, tokens)
            await asyncio.to_thread(fuzzer.run)
    assert len(fuzzer.answered) > 80
    assert 401 not in set().union(*fuzzer.answered.values()), "a key was refused, not a request"
    taken = [one for one in fuzzer.answered.values() if any(status < 300 for status in one)]
    assert len(taken) > 30, "most requests were refused before they meant anything"


@dataclass
class Fuzzer:
    """Asks every operation with every key."""

    web: str
    tokens: dict[int, str]
    answered: dict[str, set[int]] = field(default_factory=dict)  # statuses by operation

    def run(self) -> None:
        schema = schemathesis.openapi.from_url(f"{self.web}/api/openapi.json")
        with requests.Session() as session:
            session.trust_env = False
            for result in schema.get_all_operations():
                for mode in MODES:
                    self._ask(result.ok(), mode, session)

    def _ask(self, operation: Any, mode: GenerationMode, session: requests.Session) -> None:
        name = f"{operation.method.upper()} {operation.path}"
        statuses = self.answered.setdefault(name, set())

        @seed(1)
        @settings(
            max_examples=EACH,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            assume(case.path_parameters.get("key_id") not in self.tokens)  # the ones it asks with
            for token in self.tokens.values():
                headers = {"Authorization": f"Bearer {token}"}
                answer = case.call(headers=headers, session=session, timeout=30)
                statuses.add(answer.status_code)
                case.validate_response(answer, checks=CHECKS)

        try:
            ask()
        except (Exception, BaseExceptionGroup) as error:
            raise AssertionError(f"{name} ({mode.value})") from error
