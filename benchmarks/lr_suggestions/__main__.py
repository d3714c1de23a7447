"""Measure what is missing, then redraw the page."""

if __name__ == "__main__":
    from benchmarks.lr_suggestions.report import write
    from benchmarks.lr_suggestions.results import measure_missing

    write(measure_missing())
