"""One file a revision, numbered, never edited after a release."""
