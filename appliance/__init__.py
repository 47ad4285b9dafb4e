"""The appliance: its floor (core), its roof (run) and the rooms between them."""
