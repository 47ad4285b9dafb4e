"""DKIM: keys, signatures, DNS records."""
