"""Measure what is missing and redraw the page."""

from benchmarks.lr_suggestions.results import measure_missing

if __name__ == "__main__":
    measure_missing()
