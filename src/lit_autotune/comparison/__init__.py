"""The values found against the present ones."""
