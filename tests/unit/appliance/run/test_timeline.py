"""Timeline: what an attempt was like, in a line."""

from __future__ import annotations

import pytest

from appliance.run.timeline import tell

ATTEMPT = {"to": "jane@good.test", "host": "mx.good.test", "reply": "250 2.0.0 ok"}


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        ("TLSv1.3 TLS_AES_256_GCM_SHA384 (dane-ee verified)", "TLSv1.3 (dane-ee verified)"),
        ("TLSv1.3 TLS_AES_256_GCM_SHA384 (mta-sts verified)", "TLSv1.3 (mta-sts verified)"),
        ("TLSv1.2 ECDHE-RSA-AES128-SHA (unverified)", "TLSv1.2 (unverified)"),
        ("TLSv1.2 ECDHE-RSA-AES128-SHA", "TLSv1.2"),
    ],
)
def test_the_version_of_tls_and_who_vouched_for_the_certificate_are_told(
    tls: str, told: str
) -> None:
    (line,) = tell(0, "delivered", 0, ATTEMPT | {"tls": tls})
    assert line.words == f"jane@good.test by mx.good.test {told}: 250 2.0.0 ok"


def test_without_tls_nothing_is_told_of_it() -> None:
    (line,) = tell(0, "delivered", 0, ATTEMPT | {"tls": ""})
    assert line.words == "jane@good.test by mx.good.test: 250 2.0.0 ok"
