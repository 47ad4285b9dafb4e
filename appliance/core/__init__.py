"""The floor: one noun per file, and nothing of ours above it is imported here."""
