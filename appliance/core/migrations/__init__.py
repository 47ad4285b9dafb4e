"""The migrations of each kind of store; appliance/core/migrate.py runs them."""
