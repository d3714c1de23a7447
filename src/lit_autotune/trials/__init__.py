"""One batch-size trial, and the process that it runs in."""
