"""Durable before we say 250: store, committing thread, recovery."""
