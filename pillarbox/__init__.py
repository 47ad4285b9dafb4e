"""What programs that use a Pillarbox import: `pillarbox.client`. It needs nothing of the box itself."""
