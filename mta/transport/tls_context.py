"""TLS with receivers: the context that takes any certificate (core.tls has the one that demands a valid one).

`peer_chain` reads what a host showed. Before Python 3.13 that needs a private name of `ssl`, which has
a test of its own (PRIVATE).
"""

from __future__ import annotations

import ssl
import sys
from typing import Final

PRIVATE: Final = ("SSLObject._sslobj.get_unverified_chain",)


def peer_chain(tls: ssl.SSLObject) -> list[bytes]:
    """The certificates as the other side sent them, in DER, the leaf first.

    Before Python 3.13 only the object behind ssl.SSLObject tells. pyOpenSSL, the other way to them,
    would have to do the whole of TLS itself: it cannot look into a connection of asyncio.
    """
    if sys.version_info >= (3, 13):
        return list(tls.get_unverified_chain())
    import _ssl  # noqa: PLC0415 - only here

    chain = tls._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined]  # noqa: SLF001 - see PRIVATE
    return [certificate.public_bytes(_ssl.ENCODING_DER) for certificate in chain]


def lenient_context() -> ssl.SSLContext:
    """Encrypts with whoever answers: against listeners on the line, not against impostors.

    Security level 1 admits 1024-bit keys, which many receivers still have: their mail would else go
    in the clear, which is worse.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DEFAULT@SECLEVEL=1")
    return context
