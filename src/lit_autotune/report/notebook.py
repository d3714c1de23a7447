"""What a notebook shows of results: the essential at once, the rest a click away."""

from lit_autotune._shared.theme import shown
from lit_autotune.report import sections
from lit_autotune.report.markup import STYLE, tag, text
from lit_autotune.report.results import BatchSizeResult, Comparison, LearningRateResult, TuningReport


def show(record: object) -> str:
    """HTML of a report, or of one of its parts."""
    if isinstance(record, TuningReport):
        return _report(record)
    if isinstance(record, BatchSizeResult):
        return _batch_size(record)
    if isinstance(record, LearningRateResult):
        return _rate(record)
    assert isinstance(record, Comparison)
    return _comparison(record)


def _report(report: TuningReport) -> str:
    """A whole report."""
    parts = [sections.summary(report), sections.doubts(report.warnings)]
    if (compared := report.comparison) and compared.values:
        parts.append(_closed("The comparison", sections.comparison(compared)))
    if rate := report.learning_rate:
        parts.append(_open("Learning rate", sections.rate_plot(rate, report.config.lr_plot_rules)))
        parts.append(_closed(f"All {len(rate.suggestions)} suggestions", sections.suggestions(rate)))
    if size := report.batch_size:
        parts.append(_open("Batch size", sections.batch_size_plot(size)))
        parts.append(_closed(f"All {len(size.trials)} trials", sections.about_trials(size), sections.trials(size)))
    if report.others:
        parts.append(_open("Also set", sections.applied(report.others)))
    parts += [_closed(title, inside) for title, inside in sections.of_steps(report).items()]
    if report.keep:
        parts.append(_closed("To keep these values without tuning again", sections.kept(report.keep)))
    return shown("".join(parts), STYLE)


def _batch_size(result: BatchSizeResult) -> str:
    """The result of the batch-size step."""
    head = tag("p", tag("strong", f"Batch size {result.chosen:,}"), text(f": {result.reason}" if result.reason else ""))
    picture = sections.batch_size_plot(result)
    return shown(head + picture + sections.about_trials(result) + sections.trials(result), STYLE)


def _rate(result: LearningRateResult) -> str:
    """The result of the learning-rate step."""
    name = "max_lr" if result.kind == "max_lr" else "Learning rate"
    use = "applied" if result.applied else "not applied"
    head = tag("p", tag("strong", text(f"{name} {result.chosen:.2e}")), f", {use}")
    return shown(head + sections.rate_plot(result) + sections.suggestions(result), STYLE)


def _comparison(result: Comparison) -> str:
    """The comparison."""
    return shown(tag("p", tag("strong", text(result.verdict))) + sections.comparison(result), STYLE)


def in_words(report: TuningReport) -> str:
    """A report in a few lines of text, for an interpreter's prompt."""
    lines = [f"TuningReport, after {report.seconds:.1f} s"]
    if size := report.batch_size:
        lines.append(f"  batch size {size.chosen} ({size.old} before), {len(size.trials)} trials")
    if rate := report.learning_rate:
        old = "none" if rate.old is None else f"{rate.old:.2e}"
        use = "applied" if rate.applied else "not applied"
        lines.append(f"  learning rate {rate.chosen:.2e} ({old} before), {use}, {len(rate.suggestions)} suggestions")
    if report.comparison:
        lines.append(f"  comparison: {report.comparison.verdict}")
    lines += [f"  warning: {warning}" for warning in report.warnings]
    return "\n".join(lines)


def _open(title: str, *inside: str) -> str:
    return tag("details", tag("summary", text(title)), *inside, open="open")


def _closed(title: str, *inside: str) -> str:
    return tag("details", tag("summary", text(title)), *inside)
