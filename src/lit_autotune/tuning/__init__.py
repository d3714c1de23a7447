"""Running the steps of a tuning, and writing what they found."""
