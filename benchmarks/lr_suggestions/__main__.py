"""Measure what is missing, then redraw the page."""

if __name__ == "__main__":
    from benchmarks.lr_suggestions.report import suggestions_to_race, write
    from benchmarks.lr_suggestions.results import ground_and_sweeps, measure

    write(measure(suggestions_to_race(measure(ground_and_sweeps()))))
