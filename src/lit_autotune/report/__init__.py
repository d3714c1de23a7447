"""What the user gets and sees: the results, what is printed."""
