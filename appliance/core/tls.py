"""The TLS context of everyone who demands a valid certificate of the other side.

With every Python the same demands: 3.13 began to refuse certificates that depart from RFC 5280 in form
(VERIFY_X509_STRICT; no Authority Key Identifier is the most frequent), which Postfix, OpenSSL's own
programs and the Pythons before it take. Such a receiver or policy host would get nothing any more after an upgrade
of the system, and nobody there had changed a thing.
"""

from __future__ import annotations

import ssl


def verifying_context(authorities: str | None = None) -> ssl.SSLContext:
    """Demands a certificate for the host's name, from an authority that the machine trusts.

    `authorities` (PEM) stand in the place of the machine's.
    """
    context = ssl.create_default_context(cadata=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
