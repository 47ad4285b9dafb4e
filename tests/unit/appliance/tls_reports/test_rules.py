"""TLS-RPT (RFC 8460): who wants reports, when they leave, what they say."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
import re
from datetime import datetime
from typing import Any

import pytest

from appliance.tls_reports import (
    Line,
    Reporter,
    begins_at,
    destinations,
    packed,
    report,
    report_mail,
    wanted_by,
)
from mta.transport.tls_results import AppliedPolicy, Failure, PolicyType, TlsResult

DAY = 1_799_971_200_000  # 2027-01-15
HOUR = 3_600_000
BOX = Reporter(organisation="Shop", contact="tls@box.example", hostname="box.example")
STS = AppliedPolicy(
    type=PolicyType.STS,
    domain="good.test",
    lines=("version: STSv1", "mode: testing", "mx: *.good.test", "max_age: 86400"),
    mx=("*.good.test",),
)
NONE = AppliedPolicy(type=PolicyType.NONE, domain="good.test")
TLSA = AppliedPolicy(type=PolicyType.TLSA, domain="mx.good.test", lines=("3 1 1 " + "ab" * 32,))


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["v=TLSRPTv1; rua=mailto:tls@good.test"], ("mailto:tls@good.test",)),
        (["v=TLSRPTv1;rua=https://r.good.test/x?y=1;"], ("https://r.good.test/x?y=1",)),
        (
            ["v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@good.test, https://r.good.test/"],
            ("mailto:a@good.test", "https://r.good.test/"),
        ),
        (["v=TLSRPTv1; ext=1; rua=mailto:a%2Bb@good.test?x=y"], ("mailto:a+b@good.test",)),
        ([], ()),
        (["v=TLSRPTv1"], ()),
        (["v=TLSRPTv1; rua="], ()),
        (["v=TLSRPTv10; rua=mailto:a@good.test"], ()),
        (["v=TLSRPTv1; rua=https,https:x,https://,https://["], ()),
        (["v=TLSRPTv1; rua=mailto:a@b.test", "v=TLSRPTv1; rua=mailto:c@b.test"], ()),
        (["v=TLSRPTv1; rua=http://r.good.test/,ftp://x,mailto:nobody,mailto:a@b%0d%0aBcc:c@d"], ()),
        (
            ["v=TLSRPTv1; rua=" + ",".join(f"mailto:{n}@good.test" for n in range(9))],
            tuple(f"mailto:{n}@good.test" for n in range(5)),
        ),
    ],
)
def test_where_reports_go(texts: list[str], found: tuple[str, ...]) -> None:
    assert destinations(texts) == found


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("good.test", "_smtp._tls.good.test"),
        ("xn--bcher-kva.test", "_smtp._tls.xn--bcher-kva.test"),
        ('a"b.test', None),
        ("a\r\nb.test", None),
        ("", None),
        ("a..test", None),
    ],
)
def test_what_is_no_plain_name_gets_no_report(domain: str, name: str | None) -> None:
    assert wanted_by(domain) == name


def test_each_box_reports_at_a_time_of_its_own_in_the_first_hours_of_the_next_day() -> None:
    times = {begins_at(DAY, f"box{n}.example") for n in range(200)}
    assert len(times) > 190
    assert min(times) >= DAY + 24 * HOUR + HOUR // 4
    assert max(times) < DAY + 28 * HOUR
    assert begins_at(DAY, "box.example") == begins_at(DAY, "box.example")


def lines() -> list[Line]:
    failure = TlsResult(
        policy=STS,
        failure=Failure.EXPIRED,
        reason="certificate has expired",
        source="192.0.2.9",
        host="mx.good.test",
        address="192.0.2.1",
    )
    unreachable = TlsResult(
        policy=AppliedPolicy(type=PolicyType.STS, domain="good.test"),
        failure=Failure.STS_FETCH,
        reason="the server answered 404",
    )
    return [
        Line(TlsResult(policy=STS), 5326),
        Line(failure, 303),
        Line(unreachable, 2),
        Line(TlsResult(policy=NONE), 7),
    ]


def test_the_report_is_what_section_4_4_describes() -> None:
    document = report(lines(), BOX, DAY, "good.test")
    check(document)
    assert document["date-range"] == {
        "start-datetime": "2027-01-15T00:00:00Z",
        "end-datetime": "2027-01-15T23:59:59Z",
    }
    assert document["report-id"] == "2027-01-15.good.test@box.example"
    by_text = {json.dumps(p["policy"]): p for p in document["policies"]}
    assert len(by_text) == 3
    applied = next(p for p in document["policies"] if "mx-host" in p["policy"])
    assert applied == {
        "policy": {
            "policy-type": "sts",
            "policy-domain": "good.test",
            "policy-string": list(STS.lines),
            "mx-host": ["*.good.test"],
        },
        "summary": {
            "total-successful-session-count": 5326,
            "total-failure-session-count": 303,
        },
        "failure-details": [
            {
                "result-type": "certificate-expired",
                "sending-mta-ip": "192.0.2.9",
                "receiving-mx-hostname": "mx.good.test",
                "receiving-ip": "192.0.2.1",
                "failed-session-count": 303,
                "failure-reason-code": "certificate has expired",
            }
        ],
    }


def test_a_report_on_dane_quotes_the_records() -> None:
    document = report([Line(TlsResult(policy=TLSA), 1)], BOX, DAY, "mx.good.test")
    check(document)
    (policy,) = document["policies"]
    assert policy["policy"]["policy-string"] == list(TLSA.lines)


def test_the_structure_check_can_fail() -> None:
    for path in ("date-range", "policies", "report-id"):
        document = report(lines(), BOX, DAY, "good.test")
        del document[path]
        with pytest.raises((KeyError, AssertionError)):
            check(document)
    document = report(lines(), BOX, DAY, "good.test")
    document["policies"][1]["failure-details"][0]["result-type"] = "bad-weather"
    with pytest.raises(AssertionError):
        check(document)


def test_the_mail_carries_the_report_compressed() -> None:
    body = packed(report(lines(), BOX, DAY, "good.test"))
    assert body == packed(report(lines(), BOX, DAY, "good.test"))  # the same at every try
    raw = report_mail("tls@good.test", body, BOX, day=DAY, domain="good.test", now=DAY + 26 * HOUR)
    assert raw.replace(b"\r\n", b"").find(b"\n") == -1
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    mail: Any = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail.defects == []
    assert mail["To"].addresses[0].addr_spec == "tls@good.test"
    assert mail["From"].addresses[0].addr_spec == "postmaster@box.example"
    assert mail["TLS-Report-Domain"] == "good.test"
    assert mail["TLS-Report-Submitter"] == "box.example"
    assert mail["Subject"] == (
        "Report Domain: good.test Submitter: box.example "
        "Report-ID: <2027-01-15.good.test@box.example>"
    )
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    text, attached = mail.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert attached.get_content_type() == "application/tlsrpt+gzip"
    begin = DAY // 1000
    name = f"box.example!good.test!{begin}!{begin + 86_399}.json.gz"
    assert attached.get_filename() == name
    check(json.loads(gzip.decompress(attached.get_content())))


RESULTS = {
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "tlsa-invalid",
    "dnssec-invalid",
    "dane-required",
    "sts-policy-fetch-error",
    "sts-policy-invalid",
    "sts-webpki-invalid",
}
DETAILS = {
    "result-type": str,
    "sending-mta-ip": str,
    "receiving-mx-hostname": str,
    "receiving-mx-helo": str,
    "receiving-ip": str,
    "failed-session-count": int,
    "additional-information": str,
    "failure-reason-code": str,
}


def check(document: dict[str, Any]) -> None:
    """The names and types of RFC 8460 section 4.4, and nothing else."""
    texts = {name: document[name] for name in ("organization-name", "contact-info", "report-id")}
    assert all(isinstance(value, str) and value for value in texts.values())
    assert set(document) == {*texts, "date-range", "policies"}
    span = [
        datetime.fromisoformat(document["date-range"][f"{e}-datetime"]) for e in ("start", "end")
    ]
    assert 0 < (span[1] - span[0]).total_seconds() <= 86_400
    assert document["policies"]
    for entry in document["policies"]:
        assert set(entry) <= {"policy", "summary", "failure-details"}
        policy, summary = entry["policy"], entry["summary"]
        assert policy["policy-type"] in {"tlsa", "sts", "no-policy-found"}
        assert re.fullmatch(r"[a-z0-9.-]+", policy["policy-domain"])
        for name in ("policy-string", "mx-host"):
            assert all(isinstance(value, str) for value in policy.get(name, []))
        assert set(policy) <= {"policy-type", "policy-domain", "policy-string", "mx-host"}
        kinds = ("total-successful-session-count", "total-failure-session-count")
        assert set(summary) == set(kinds)
        assert all(type(summary[kind]) is int for kind in kinds)
        details = entry.get("failure-details", [])
        assert sum(d["failed-session-count"] for d in details) == summary[kinds[1]]
        for detail in details:
            assert detail["result-type"] in RESULTS
            assert all(isinstance(value, DETAILS[name]) for name, value in detail.items())


def test_every_failure_that_is_counted_has_a_name_in_the_rfc() -> None:
    assert {str(failure) for failure in Failure} <= RESULTS
