"""Migrations of a spool."""
