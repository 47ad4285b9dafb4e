"""Parts of bench/idle_connections.py."""
