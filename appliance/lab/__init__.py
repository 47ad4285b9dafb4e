"""The laboratory: a small world of DNS and receivers to send to, on loopback."""
