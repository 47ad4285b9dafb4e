"""What is demanded of a certificate does not depend on the Python."""

from __future__ import annotations

import ssl

from appliance.core.tls import verifying_context


def test_a_certificate_without_a_key_identifier_is_taken_by_pythons_that_would_refuse_it(
    monkeypatch,
):
    made = ssl.create_default_context

    def as_since_3_13(**options):
        context = made(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_since_3_13)
    context = verifying_context()
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
