"""The certificate that init makes: sound, private, and never overwritten."""

from __future__ import annotations

import ssl
import stat
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from appliance.core import clock
from appliance.core.errors import ConfigError
from appliance.core.home import Home
from appliance.run import certificates
from tests.support.process import HOSTNAME, settings_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "box")
    home.create()
    return home


def test_it_names_the_box_and_lasts_for_years(home: Home) -> None:
    certificate, private_key = certificates.ensure(home, settings_of())
    assert (certificate.name, private_key.name) == ("certificate.pem", "private_key.pem")
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [HOSTNAME]
    now = clock.aware(clock.now_ms())
    assert found.not_valid_before_utc < now
    assert found.not_valid_after_utc > now + timedelta(days=3000)


def test_only_the_box_may_read_its_key(home: Home) -> None:
    _, private_key = certificates.ensure(home, settings_of())
    assert stat.S_IMODE(private_key.stat().st_mode) == 0o600


def test_a_pair_that_stands_is_kept(home: Home) -> None:
    first = [path.read_bytes() for path in certificates.ensure(home, settings_of())]
    assert [path.read_bytes() for path in certificates.ensure(home, settings_of())] == first


def test_half_a_pair_is_made_anew_as_a_whole(home: Home) -> None:
    certificate, private_key = certificates.ensure(home, settings_of())
    old_key = private_key.read_bytes()
    certificate.unlink()
    certificates.ensure(home, settings_of())
    assert private_key.read_bytes() != old_key
    assert isinstance(certificates.server_context(home, settings_of()), ssl.SSLContext)


def test_an_own_certificate_is_used_and_left_alone(home: Home, tmp_path: Path) -> None:
    own, key = tmp_path / "own.pem", tmp_path / "own.key"
    chain, private = certificates.make_self_signed("mail.example.org", clock.now_ms())
    own.write_bytes(chain)
    key.write_bytes(private)
    settings = settings_of(tls={"certificate": str(own), "private_key": str(key)})
    assert certificates.ensure(home, settings) == (own, key)
    assert not (home.tls_dir / "certificate.pem").exists()
    certificates.server_context(home, settings)


def test_a_missing_certificate_says_what_to_do(home: Home) -> None:
    with pytest.raises(ConfigError, match="pillarbox init"):
        certificates.server_context(home, settings_of())
    settings = settings_of(tls={"certificate": "/nowhere/c.pem", "private_key": "/nowhere/k.pem"})
    with pytest.raises(ConfigError, match=r"check tls\.certificate"):
        certificates.server_context(home, settings)
