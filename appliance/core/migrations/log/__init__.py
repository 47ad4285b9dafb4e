"""Migrations of the event log: of each day's file, or of the partitioned tables."""
