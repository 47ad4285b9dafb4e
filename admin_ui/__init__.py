"""The web: the only code that knows Litestar."""
