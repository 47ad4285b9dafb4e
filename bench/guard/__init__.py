"""The guard: what a message costs in things that can be counted, so that a regression shows without a clock."""
