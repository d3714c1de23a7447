"""Memory: budgets, measured peaks, errors that say it ran out, giving it back."""
