"""Migrations of control.db."""
