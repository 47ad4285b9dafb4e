"""A client speaks SMTP to us: listener, session, login."""
