"""What a report says, as sections of HTML. Notebooks show some of them, the page all."""

import base64
import json
import math
from collections.abc import Sequence

from lit_autotune._shared.sizes import format_size
from lit_autotune.report.markup import Row, bullets, picture, table, tag, text
from lit_autotune.report.results import AppliedValue, BatchSizeResult, Comparison, LearningRateResult, TuningReport


def summary(report: TuningReport) -> str:
    """What was found, as cards, and the verdict of the comparison."""
    cards = []
    if size := report.batch_size:
        cards.append(_card("batch size", f"{size.chosen:,}", _before(size.old, size.chosen, ","), size.reason))
    if rate := report.learning_rate:
        name = "max_lr" if rate.kind == "max_lr" else "learning rate"
        notes = "" if rate.applied or rate.chosen == rate.old else "not written to the module"
        cards.append(_card(name, f"{rate.chosen:.2e}", _before(rate.old, rate.chosen, ".2e"), notes))
    if (compared := report.comparison) and (worth := _worth(compared)):
        cards.append(_card("loss in a preview of the training", *worth))
    verdict = report.comparison.verdict if report.comparison else ""
    found = "" if cards else tag("p", "Nothing was tuned.")
    return tag("div", *cards, class_="la-cards") + found + (tag("p", text(_sentence(verdict))) if verdict else "")


def _card(name: str, value: str, *notes: str) -> str:
    lines = [tag("span", text(note)) for note in notes if note]
    return tag("div", tag("span", text(name)), tag("b", text(value)), "<br>".join(lines), class_="la-card")


def _before(old: float | None, new: float, form: str) -> str:
    return "none before" if old is None else "as before" if old == new else f"{old:{form}} before"


def _worth(compared: Comparison) -> tuple[str, str] | None:
    """The loss with the values that are applied, and how it compares with that of the present ones."""
    by_name = {values.name: values for values in compared.values}
    present, applied = by_name.get("present"), by_name.get(compared.applied)
    if applied is None:
        return None
    if present is None or present is applied:
        return _loss(applied.loss), "with the present values" if present else ""
    times = ""
    if present.seconds_per_epoch and applied.seconds_per_epoch:
        times = f"; an epoch takes {applied.seconds_per_epoch:.3g} s instead of {present.seconds_per_epoch:.3g} s"
    return _loss(applied.loss), f"{_loss(present.loss)} with the values before{times}"


def _loss(loss: float) -> str:
    return f"{loss:.4g}" if math.isfinite(loss) else "diverged"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith('.') else '.'}"


def doubts(warnings: tuple[str, ...]) -> str:
    """What the user should know."""
    return tag("div", bullets(dict.fromkeys(warnings)), class_="la-doubts") if warnings else ""


def comparison(result: Comparison) -> str:
    """What the values are worth: the previews before and after."""
    if not result.values:
        return ""
    columns = ("values", "batch size", "learning rate", "steps", "steps/epoch", "s/epoch", "loss", "verdict")
    rows = [
        Row(
            text(values.name),
            _or_dash(values.batch_size, ",d"),
            _or_dash(values.learning_rate, ".2e"),
            f"{values.steps:,}",
            _or_dash(values.steps_per_epoch, ",d"),
            _or_dash(values.seconds_per_epoch, ".2f"),
            _loss(values.loss),
            text(", ".join(filter(None, (values.verdict, "applied" if values.name == result.applied else "")))),
            look="la-marked" if values.name == result.applied else "",
        )
        for values in result.values
    ]
    share = "" if result.share is None else f" of {result.share:.0%} of the training"
    how = f"Previews{share} from the same start, scored on {result.judge}. They took {result.seconds:.1f} s."
    return tag("p", text(how), class_="la-quiet") + table(columns, rows, right=range(1, 7), wide=(7,))


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def trials(result: BatchSizeResult) -> str:
    """Every batch size that was run."""
    rows = []
    for number, trial in enumerate(result.trials, 1):
        is_chosen = trial.batch_size == result.chosen
        note = ", ".join(filter(None, ("chosen" if is_chosen else "", trial.message)))
        rows.append(
            Row(
                str(number),
                f"{trial.batch_size:,}",
                text(trial.outcome.replace("_", " ")),
                "–" if trial.peak_bytes is None else format_size(trial.peak_bytes),
                _or_dash(trial.samples_per_second, ",.0f"),
                f"{trial.seconds:.2f}",
                text(note),
                look="la-marked" if is_chosen else "" if trial.fits else "la-failed",
            )
        )
    columns = ("trial", "batch size", "outcome", "peak memory", "samples/s", "seconds", "")
    return table(columns, rows, right=(0, 1, 3, 4, 5), wide=(6,))


def about_trials(result: BatchSizeResult) -> str:
    """How the search went, in words."""
    parts = [
        f"Strategy {result.strategy}; the largest size that fits is {result.largest:,}, limited by {result.limit}.",
        f"Memory budget: {result.budget}." if result.budget else "",
        f"Within 5 % of the best throughput already: {result.fastest:,}." if result.fastest else "",
    ]
    return tag("p", text(" ".join(filter(None, parts))), class_="la-quiet")


def suggestions(result: LearningRateResult) -> str:
    """Every rule's answer with its reasons, and the races."""
    rows = [
        Row(
            text(one.suggester),
            "–" if one.value is None else f"{one.value:.2e}",
            one.quality,
            bullets(one.reasons) if one.reasons else "",
            look="la-marked" if one.suggester == result.suggester else "",
        )
        for one in result.suggestions
    ]
    shown = table(("rule", "learning rate", "quality", "reasons"), rows, right=(1,), wide=(3,))
    if not result.races:
        return shown
    best = result.races[0].learning_rate
    heats = [
        Row(
            f"{heat.learning_rate:.2e}",
            str(len(heat.losses)),
            heat.outcome,
            look="la-marked" if heat.learning_rate == best else "",
        )
        for heat in sorted(result.races, key=lambda heat: heat.learning_rate)
    ]
    races = table(("learning rate raced", "steps", "at the end"), heats, right=(0, 1))
    return shown + tag("p", "Races from the same start, which verified the suggestion:") + races


def applied(values: Sequence[AppliedValue]) -> str:
    """What plugins' steps had written to the user's objects."""
    rows = [
        Row(text(one.step), tag("code", text(", ".join(one.places))), text(one.old), text(one.chosen)) for one in values
    ]
    return table(("step", "written to", "before", "now"), rows, wide=(1,)) if rows else ""


def of_steps(report: TuningReport) -> dict[str, str]:
    """What plugins' steps brought, by what it is called: their results, tables and figures."""
    found = {name: tag("pre", text(json.dumps(result, indent=2, default=str))) for name, result in report.steps.items()}
    for one in report.tables:
        numbers = [i for i in range(len(one.columns)) if all(isinstance(row[i], int | float) for row in one.rows)]
        rows = [Row(*("–" if cell is None else text(cell) for cell in row)) for row in one.rows]
        found[f"{one.step}: {one.title}"] = table(one.columns, rows, right=numbers)
    for figure in report.figures:
        # As a picture: there it can neither run anything nor disturb the page.
        data = base64.b64encode(figure.svg.encode()).decode()
        picture = tag("img", src=f"data:image/svg+xml;base64,{data}", alt=figure.title, style="max-width:100%")
        found[f"{figure.step}: {figure.title}"] = tag("figure", picture.removesuffix("</img>"))
    return found


def kept(lines: tuple[str, ...]) -> str:
    """The lines that pin the result."""
    return tag("pre", text("\n".join(lines))) if lines else ""


def batch_size_plot(result: BatchSizeResult) -> str:
    """The plot of the search."""
    label = f"Memory and throughput against the batch size; chosen is {result.chosen}"
    return picture(result.plot(), label) if result.trials else ""


def rate_plot(result: LearningRateResult, rules: bool = True) -> str:
    """The plot of the range test."""
    label = f"The loss against the learning rate; marked is {result.chosen:.2e}"
    return picture(result.plot(rules=rules), label)
