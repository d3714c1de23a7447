"""The search for a batch size. It runs nothing itself, and knows no torch."""
