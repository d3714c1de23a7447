"""Shortened trainings on copies, scored on held-out batches."""
