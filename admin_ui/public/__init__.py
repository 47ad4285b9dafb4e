"""Pages that need no login."""
