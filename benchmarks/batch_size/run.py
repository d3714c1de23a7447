"""Compare batch-size searches under real memory limits: ``python benchmarks/batch_size/run.py``.

Each search runs in a fresh process under the same limit. Goes on where it was interrupted, and ends by redrawing table
and plot of ``docs/batch_size_search.md``.
"""

import json
import multiprocessing
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from page import frame, write_between

FILE = Path(__file__).parent / "results.jsonl"
PLOT = Path(__file__).parents[2] / "docs" / "batch_size_search.png"
CASES = [(kind, 220, onednn) for onednn in (False, True) for kind in ("CNN", "transformer", "MLP", "U-Net")]
"""Model, MiB that it may take more, and whether oneDNN computes."""

MOST = 8192
TIMEOUT = 150
CLOSE = 1.02
"""The true largest size is bisected to within 2 %: from one process to the next it moves as much."""

BASELINES = {"binsearch": "Lightning binsearch", "power": "Lightning power"}

Key = tuple[Any, ...]


def read() -> dict[Key, Any]:
    """All measurements so far: by search and case, and the true largest sizes by case."""
    if not FILE.exists():
        return {}
    lines = (json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines())
    return {tuple(key): value for key, value in lines}


def measure() -> dict[Key, Any]:
    """Measure what is not in the file yet, and return all."""
    from real import SEARCHES, run_search

    done = read()
    with FILE.open("a", encoding="utf-8") as file:

        def note(key: Key, measured: Callable[[], Any]) -> None:
            if key not in done:
                done[key] = measured()
                file.write(json.dumps([key, done[key]]) + "\n")
                file.flush()
                print(*key, done[key], file=sys.stderr)

        for case in CASES:
            for name in SEARCHES:
                note((name, *case), lambda case=case, name=name: in_child(run_search, case, name))
            note(("largest", *case), lambda case=case: true_largest(case))
    return done


def true_largest(case: tuple[str, int, bool]) -> dict[str, int]:
    """The largest size that runs, and the largest that stays within the budget, each size in a fresh process."""
    from real import run_size

    known: dict[int, dict[str, bool]] = {}

    def holds(size: int, what: str) -> bool:
        if size not in known:
            known[size] = in_child(run_size, case, size) or {}
        return known[size].get(what, False)

    largest = {}
    for what in ("fits", "within"):
        low, high = 0, 16
        while high < MOST and holds(high, what):
            low, high = high, 2 * high
        while high - low > 1 and high > CLOSE * low:
            middle = (low + high) // 2
            low, high = (middle, high) if holds(middle, what) else (low, middle)
        largest[what] = low
    return largest


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a fresh process; ``None`` if that died, or hung."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["real"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(TIMEOUT) else None
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()


def _answer(sender: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    sender.send(function(*arguments))


def table(results: dict[Key, Any]) -> list[str]:
    """One row for each search."""
    lines = [
        "| search | trials, median | out of memory, mean | optimizer steps, median | time / Lightning binsearch "
        "| time / Lightning power | found / largest that runs | found / largest within the budget, least "
        "| does not fit afterwards | no answer |",
        "|---|" + "---:|" * 9,
    ]
    for name in _searches(results):
        runs = [(case, results[name, *case]) for case in CASES]
        answered = [(case, run) for case, run in runs if run and run["size"]]
        largest = [(run["size"], results["largest", *case]) for case, run in answered]
        within = [size / true["within"] for size, true in largest]
        cells = [
            f"{statistics.median(run['trials'] for _, run in answered):.0f}",
            f"{statistics.mean(run['failures'] for _, run in answered):.2f}",
            f"{statistics.median(run['steps'] for _, run in answered):.0f}",
            *(_median(times(results, name, baseline)) for baseline in BASELINES.values()),
            f"{statistics.median(size / true['fits'] for size, true in largest):.2f}",
            f"{statistics.median(within):.2f}, {min(within):.2f}",
            f"{sum(bool(run['fit']) for _, run in answered)}",
            f"{len(CASES) - len(answered)}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def times(results: dict[Key, Any], name: str, baseline: str) -> list[float]:
    """Wall times as ratios, where both have an answer."""
    pairs = ((results[name, *case], results[baseline, *case]) for case in CASES)
    return [
        run["seconds"] / other["seconds"] for run, other in pairs if run and other and run["size"] and other["size"]
    ]


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}" if values else ""


def _searches(results: dict[Key, Any]) -> list[str]:
    return [name for name in dict.fromkeys(key[0] for key in results) if name != "largest"]


def draw(results: dict[Key, Any]) -> None:
    """Found sizes and wall times, a point for each case."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = _searches(results)[::-1]
    for row, name in enumerate(names):
        color = "#1f5fa8" if name.startswith("lit-autotune") else "#7f8c8d"
        for place, case in enumerate(CASES):
            run, height = results[name, *case], row + (place - len(CASES) / 2) / 30
            if not run or not run["size"]:
                left.plot(0, height, "x", color="#c0392b", markersize=5)
                continue
            share = run["size"] / results["largest", *case]["fits"]
            left.plot(share, height, "o", color="#c0392b" if run["fit"] else color, markersize=5, alpha=0.7)
        ratios = times(results, name, BASELINES["binsearch"])
        right.plot(ratios, [row] * len(ratios), "o", color=color, markersize=5, alpha=0.7)
    left.axvline(1, color="#7f8c8d", linewidth=1, linestyle=":")
    left.set_yticks(range(len(names)), names, fontsize=9)
    left.plot([], [], "o", color="#c0392b", label="does not fit afterwards")
    left.plot([], [], "x", color="#c0392b", label="no answer")
    left.legend(fontsize=8, frameon=False, loc="upper right")
    right.set_xscale("log")
    titles = {left: "size found / largest that runs", right: "wall time / Lightning's binsearch"}
    for axes, title in titles.items():
        frame(axes, title)
    figure.savefig(PLOT, dpi=130)


if __name__ == "__main__":
    results = measure()
    lines = table(results)
    print("\n".join(lines))
    write_between("limits", lines)
    draw(results)
