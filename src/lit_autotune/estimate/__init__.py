"""Batch sizes for memory that is not here, by fake tensors."""
