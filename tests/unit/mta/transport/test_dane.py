"""DANE (RFC 7672): which records can be used, and which chains answer to them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from appliance.core import clock
from mta.transport.dane import Distrusted, Tlsa, usable, verify
from mta.transport.tls_results import Failure
from tests.support.authority import DER, Signed, root

HOST = "mx.good.test"
NOW = clock.aware(clock.now_ms())
ROOT = root()
MIDDLE = ROOT.issue("middle", is_authority=True, sends_root=True)
LEAF = MIDDLE.issue(HOST)
OTHER = root("another root").issue(HOST, sends_root=True)

SHA256, SHA512 = b"a" * 32, b"b" * 64


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([Tlsa(3, 1, 1, SHA256)], [Tlsa(3, 1, 1, SHA256)]),
        ([Tlsa(0, 0, 1, SHA256), Tlsa(1, 1, 1, SHA256)], []),  # PKIX usages: not for SMTP
        ([Tlsa(3, 2, 1, SHA256), Tlsa(3, 1, 3, SHA256), Tlsa(4, 1, 1, SHA256)], []),
        ([Tlsa(3, 1, 1, SHA256[1:]), Tlsa(3, 1, 2, SHA256), Tlsa(3, 0, 0, b"")], []),
        # Digest agility (RFC 7671 section 9): of one usage and selector the strongest speaks alone.
        ([Tlsa(3, 1, 1, SHA256), Tlsa(3, 1, 2, SHA512)], [Tlsa(3, 1, 2, SHA512)]),
        (
            [Tlsa(2, 0, 2, SHA512), Tlsa(3, 1, 1, SHA256), Tlsa(3, 1, 0, b"key")],
            [Tlsa(3, 1, 0, b"key"), Tlsa(3, 1, 1, SHA256), Tlsa(2, 0, 2, SHA512)],
        ),
    ],
)
def test_records_that_can_be_used(given: list[Tlsa], kept: list[Tlsa]) -> None:
    assert list(usable(given)) == kept
    assert usable(reversed(given)) == usable(given)


def test_the_number_of_records_is_bounded() -> None:
    assert len(usable(Tlsa(3, 1, 1, bytes([n]) * 32) for n in range(100))) == 16


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_a_leaf_answers_to_a_record_of_itself(selector: int, matching: int) -> None:
    record = LEAF.tlsa(3, selector, matching)
    assert verify(LEAF.chain, [record], HOST, NOW) == "dane-ee"
    with pytest.raises(Distrusted):
        verify(OTHER.chain, [record], HOST, NOW)


def test_names_and_dates_of_a_leaf_mean_nothing_to_a_record_of_itself() -> None:
    old = ROOT.issue("somebody.else", days=(-30, -10))
    assert verify(old.chain, [old.tlsa(3)], HOST, NOW) == "dane-ee"


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("anchor", [ROOT, MIDDLE], ids=["root", "intermediate"])
def test_a_chain_answers_to_a_record_of_an_authority_above(
    selector: int, matching: int, anchor: Signed
) -> None:
    record = anchor.tlsa(2, selector, matching)
    assert verify(LEAF.chain, [record], HOST, NOW) == "dane-ta"
    with pytest.raises(Distrusted):
        verify(OTHER.chain, [record], HOST, NOW)


def test_an_authority_that_stands_whole_in_the_record_need_not_be_sent() -> None:
    bare = ROOT.issue(HOST)
    assert len(bare.chain) == 1
    assert verify(bare.chain, [ROOT.tlsa(2, 0, 0)], HOST, NOW) == "dane-ta"
    with pytest.raises(Distrusted, match="matches none of its TLSA records"):
        verify(bare.chain, [ROOT.tlsa(2, 0, 1)], HOST, NOW)


@pytest.mark.parametrize(
    ("leaf", "failure", "words"),
    [
        (MIDDLE.issue("mx.other.test"), Failure.HOST_MISMATCH, "subjectAltName"),
        (MIDDLE.issue(HOST, days=(-30, -1)), Failure.EXPIRED, "not valid"),
        (MIDDLE.issue(HOST, days=(1, 30)), Failure.NOT_TRUSTED, "not valid"),
    ],
    ids=["name", "expired", "not yet"],
)
def test_below_an_authority_names_and_dates_count(
    leaf: Signed, failure: Failure, words: str
) -> None:
    with pytest.raises(Distrusted, match=words) as caught:
        verify(leaf.chain, [ROOT.tlsa(2)], HOST, NOW)
    assert caught.value.failure is failure


def test_a_certificate_that_is_no_authority_signs_nothing() -> None:
    customer = ROOT.issue("customer.test", sends_root=True)
    forged = customer.issue(HOST)
    with pytest.raises(Distrusted, match="does not lead"):
        verify(forged.chain, [ROOT.tlsa(2)], HOST, NOW)


def test_a_leaf_is_no_authority_above_itself() -> None:
    own = root(HOST)
    with pytest.raises(Distrusted, match="matches none"):
        verify(own.chain, [own.tlsa(2)], HOST, NOW)
    with pytest.raises(Distrusted, match="matches none"):
        verify(LEAF.chain, [LEAF.tlsa(2, 0, 0)], HOST, NOW)


def test_an_authority_that_is_only_sent_along_proves_nothing() -> None:
    stranger = root("a stranger").issue(HOST)
    chain = [*stranger.chain, ROOT.certificate.public_bytes(DER)]
    with pytest.raises(Distrusted, match="does not lead"):
        verify(chain, [ROOT.tlsa(2)], HOST, NOW)


def test_an_expired_authority_vouches_for_nobody() -> None:
    with pytest.raises(Distrusted):
        verify(LEAF.chain, [ROOT.tlsa(2)], HOST, NOW + timedelta(days=365))


@pytest.mark.parametrize("chain", [[], [b"no certificate"], [LEAF.chain[0], b"\x30\x00"]])
def test_what_cannot_be_read_is_not_trusted(chain: list[bytes]) -> None:
    with pytest.raises(Distrusted, match="cannot be read"):
        verify(chain, [ROOT.tlsa(2)], HOST, NOW)


def test_a_record_that_holds_no_certificate_is_not_trusted() -> None:
    with pytest.raises(Distrusted, match="cannot be read"):
        verify(LEAF.chain, [Tlsa(2, 0, 0, b"no certificate")], HOST, NOW)


def test_a_record_reads_as_zone_files_write_it() -> None:
    assert str(Tlsa(3, 1, 1, b"\x01\xab")) == "3 1 1 01ab"
