"""Parts of bench/events.py: traffic for the log, questions to it, and what is shown of the answers."""
