"""Measure what is missing, then redraw the page."""

import sys

from benchmarks.outcome import measure, report, suite


def main() -> None:
    """Untouched trainings, tunings, trainings with what they found, and those of the same wall time."""
    is_development = "--development" in sys.argv[1:]
    tasks = suite.DEVELOPMENT if is_development else suite.HELD_OUT
    variants = ("default", "rate alone") if is_development else tuple(measure.VARIANTS)
    measure.measure(measure.untouched(tasks))
    done = measure.measure(measure.tunings(tasks, variants))
    done = measure.measure(measure.trainings(tasks, done))
    done = measure.measure(measure.same_time(tasks, done))
    if is_development:
        print("\n".join(report.outcome_table(done, tasks)))
    else:
        report.write(done, tasks)


if __name__ == "__main__":
    main()
