"""The tables and the plot of ``docs/lr_suggestions.md``."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import interval
from benchmarks.lr_suggestions import peers, suite, truth
from benchmarks.lr_suggestions.formulas import FORMULAS
from benchmarks.lr_suggestions.results import Key
from benchmarks.lr_suggestions.scores import BAD, Truth, Verdict, spread
from lit_autotune.config import TunerConfig
from lit_autotune.curves.formulas import before_divergence, lr_ladder
from lit_autotune.range_test.suggestions import suggest_all
from lit_autotune.registry.registry import Registry
from lit_autotune.types import LRCurve

DOCS = Path(__file__).parents[2] / "docs"
START, END = "<!-- tables -->", "<!-- end of tables -->"
PARTS = {"held-out": suite.HELD_OUT, "development": suite.DEVELOPMENT}
DEFAULT = TunerConfig().lr_suggester

Verdicts = dict[str, list[Verdict]]
"""Rule to the verdicts on all its suggestions."""


def judge_all(results: dict[Key, Any], part: str) -> Verdicts:
    """Every rule's suggestion on every range test of a part, judged."""
    suggesters = Registry.load().suggesters
    verdicts: Verdicts = {}
    for task in PARTS[part]:
        ground = Truth(task.name, results)
        for window, (low, high) in truth.RANGES.items():
            rates = lr_ladder(low, high, truth.SWEEP_STEPS)
            for seed in truth.SWEEP_SEEDS:
                losses = results["sweep", task.name, window, seed]
                curve = LRCurve(learning_rates=rates, losses=losses)
                for answer in suggest_all(curve, suggesters, {}, print):
                    verdict = ground.judge(window, seed, answer.value, answer.quality == "doubtful")
                    verdicts.setdefault(f"**`{answer.suggester}`**", []).append(verdict)
                for name, formula in FORMULAS.items():
                    value = _safely(formula, np.array(rates), np.array(losses))
                    verdicts.setdefault(name, []).append(ground.judge(window, seed, value))
                for name in peers.run_on(task):
                    value = results["peer", task.name, window, seed, name]["value"]
                    verdicts.setdefault(f"{name}, run", []).append(ground.judge(window, seed, value))
    return verdicts


def _safely(formula: Callable[..., float | None], rates: Any, losses: Any) -> float | None:
    """A rule's answer; its failure is none."""
    try:
        with np.errstate(all="ignore"):
            value = formula(rates, losses)
    except (RuntimeError, ValueError, IndexError):
        return None
    return value if value is not None and np.isfinite(value) else None


def _rule_table(verdicts: Verdicts) -> list[str]:
    lines = [
        "| rule | mean regret | within 10 % of the best | diverges | no answer | spread |",
        "|---|---|---|---|---|---|",
    ]
    for name, given in sorted(verdicts.items(), key=lambda item: interval(item[1], lambda v: v.regret)):
        failing = np.mean([v.value is None for v in given])
        lines.append(f"| {name} | {_worth(given)} | {failing:.1%} | {spread(given):.2f} |")
    return lines


def suggestions_to_race(results: dict[Key, Any]) -> list[Key]:
    """The default rule's suggestions, as keys of the races around them."""
    rule = Registry.load().suggester(DEFAULT)
    keys: list[Key] = []
    for (kind, *rest), losses in results.items():
        if kind == "sweep":
            task, window, seed = rest
            rates = lr_ladder(*truth.RANGES[window], truth.SWEEP_STEPS)
            (answer,) = suggest_all(LRCurve(learning_rates=rates, losses=losses), [rule], {}, print)
            if answer.value is not None:
                keys.append(("race", task, window, seed, answer.value))
    return keys


def _race_table(results: dict[Key, Any], verdicts: dict[str, Verdicts]) -> list[str]:
    """What verification gains where the flag is up, and everywhere."""
    lines = [
        "| part | verification | mean regret | within 10 % of the best | diverges | extra steps |",
        "|---|---|---|---|---|---|",
    ]
    for part, rules in verdicts.items():
        grounds = {task.name: Truth(task.name, results) for task in PARTS[part]}
        given = rules[f"**`{DEFAULT}`**"]
        lines.append(f"| {part} | none | {_worth(given)} | 0 |")
        for name, wanted in (("where doubtful", lambda v: v.is_doubtful), ("always", lambda v: True)):
            judged, steps = [], 0
            for verdict in given:
                if wanted(verdict) and verdict.value is not None:
                    raced = results["race", verdict.task, verdict.window, verdict.seed, verdict.value]
                    verdict = grounds[verdict.task].judge(verdict.window, verdict.seed, raced["value"])
                    steps += raced["steps"]
                judged.append(verdict)
            lines.append(f"| {part} | {name} | {_worth(judged)} | {steps / len(given):.0f} |")
    return lines


def _worth(given: list[Verdict]) -> str:
    """Three cells: regret and share of good runs with their intervals, and the share that diverges."""
    regret, close = interval(given, lambda v: v.regret), interval(given, lambda v: v.is_close)
    return (
        f"{regret[0]:.3f} ({regret[1]:.3f} to {regret[2]:.3f}) | {close[0]:.0%} ({close[1]:.0%} to {close[2]:.0%}) "
        f"| {np.mean([v.diverges for v in given]):.1%}"
    )


def _range_table(verdicts: Verdicts) -> list[str]:
    """The default rule on each range."""
    given = verdicts[f"**`{DEFAULT}`**"]
    return [
        "| range of the test | mean regret | within 10 % of the best | diverges |",
        "|---|---|---|---|",
        *(f"| {window} | {_worth([v for v in given if v.window == window])} |" for window in truth.RANGES),
    ]


def _flag_table(verdicts: dict[str, Verdicts]) -> list[str]:
    lines = [
        f"| part | suggestions | doubtful | bad: regret > {BAD} | bad ones flagged | bad if doubtful | bad if good |",
        "|---|---|---|---|---|---|---|",
    ]
    for part, rules in verdicts.items():
        given = rules[f"**`{DEFAULT}`**"]
        up, down = ([v for v in given if v.is_doubtful == state] for state in (True, False))
        bad_up, bad_down = (sum(v.regret > BAD for v in part) for part in (up, down))
        bad = bad_up + bad_down
        lines.append(
            f"| {part} | {len(given)} | {len(up) / len(given):.0%} | {bad} | {bad_up} of {bad} "
            f"| {bad_up / max(len(up), 1):.0%} | {bad_down / max(len(down), 1):.1%} |"
        )
    return lines


def _task_table(verdicts: Verdicts) -> list[str]:
    """The default rule, task by task."""
    lines = ["| task | mean regret | within 10 % of the best | doubtful |", "|---|---|---|---|"]
    given = verdicts[f"**`{DEFAULT}`**"]
    for task in dict.fromkeys(verdict.task for verdict in given):
        own = [verdict for verdict in given if verdict.task == task]
        regret, close, doubtful = (
            np.mean([measure(v) for v in own])
            for measure in (lambda v: v.regret, lambda v: v.is_close, lambda v: v.is_doubtful)
        )
        lines.append(f"| {task} | {regret:.3f} | {close:.0%} | {doubtful:.0%} |")
    return lines


def _steps(results: dict[Key, Any], part: str) -> str:
    """What a range test costs, in training steps."""
    names = [task.name for task in PARTS[part]]
    own = [
        len(before_divergence(value))
        for (kind, name, *_), value in results.items()
        if kind == "sweep" and name in names
    ]
    text = f"Steps of a range test of {truth.SWEEP_STEPS}, stopped where it diverges: lit-autotune {np.mean(own):.0f}"
    for peer in dict.fromkeys(peer for task in PARTS[part] for peer in peers.run_on(task)):
        steps = [
            value["steps"]
            for (kind, name, *rest), value in results.items()
            if kind == "peer" and name in names and rest[-1] == peer and "steps" in value
        ]
        text += f", {peer} {np.mean(steps):.0f}"
    return f"{text}. No rule takes extra ones."


def write(results: dict[Key, Any]) -> None:
    """Renew the page's tables and its plot."""
    verdicts = {part: judge_all(results, part) for part in PARTS}
    parts: list[Sequence[str]] = []
    for part, rules in verdicts.items():
        tests = len(truth.RANGES) * len(truth.SWEEP_SEEDS)
        parts.append([f"### {part.capitalize()} tasks: {len(PARTS[part])}, with {tests} range tests each"])
        parts += [_rule_table(rules), [_steps(results, part)], [f"`{DEFAULT}` by range:"], _range_table(rules)]
    parts += [["### The flag"], _flag_table(verdicts), ["### Verification by races"], _race_table(results, verdicts)]
    parts.append(["### The default rule on each held-out task"])
    parts.append(_task_table(verdicts["held-out"]))
    page = DOCS / "lr_suggestions.md"
    block = "\n\n".join("\n".join(part) for part in parts)
    page.write_text(re.sub(f"{START}.*?{END}", lambda _: f"{START}\n\n{block}\n\n{END}", page.read_text(), flags=re.S))
    draw(verdicts["held-out"], DOCS / "lr_suggestions.png")


def draw(verdicts: Verdicts, path: Path) -> None:
    """Mean regret and share of good runs of every rule, with their intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.2), layout="constrained")
    order = sorted(verdicts, key=lambda name: -interval(verdicts[name], lambda v: v.regret)[0])
    panels: dict[str, Callable[[Verdict], float]] = {
        "mean regret (0 best, 1 untrained)": lambda v: v.regret,
        "share within 10 % of the best": lambda v: v.is_close,
    }
    for axes, (title, measure) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
        for row, name in enumerate(order):
            mean, low, high = interval(verdicts[name], measure)
            color = "#c0392b" if DEFAULT in name else "#1f5fa8" if "**" in name else "#7f8c8d"
            axes.plot([low, high], [row, row], color=color, linewidth=2, alpha=0.6)
            axes.plot(mean, row, "o", color=color)
        axes.set_xlim(0, 1)
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(axis="x", alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_yticks(range(len(order)), [re.sub("[*`]", "", name) for name in order], fontsize=9)
    figure.suptitle(
        "Learning-rate rules on held-out tasks, with 95 % intervals over tasks", x=0.01, ha="left", fontsize=11
    )
    figure.savefig(path, dpi=130)
