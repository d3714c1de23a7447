"""Record what fastai's own functions make of some curves: `python record_fastai.py`, where fastai is installed.

Only the four rules and the smoothing are taken from it, out of its source: importing them would import all of fastai.
The few lines of `lr_find` around them, which need a Learner, stand here. Double precision: in single precision, which
fastai trains in, losses that differ in the seventh digit are the same.
"""

import ast
import json
import math
import random
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch
from torch import tensor

FROM = {"fastai/callback/schedule.py": {"valley", "slide", "minimum", "steep"}, "fastai/learner.py": {"AvgSmoothLoss"}}


def of_fastai():
    """The definitions, by name, and fastai's version."""
    installed = distribution("fastai")
    names = {"torch": torch, "np": np, "tensor": tensor, "Metric": object, "to_np": lambda x: x.numpy()}
    names["to_detach"] = lambda x: x.detach()
    for file, wanted in FROM.items():
        parsed = ast.parse(Path(installed.locate_file(file)).read_text())
        found = [node for node in parsed.body if getattr(node, "name", None) in wanted]
        exec(compile(ast.Module(found, []), file, "exec"), names)
    return names, installed.version


class Learner:
    """As much of one as the smoothing looks at."""

    def __init__(self, loss):
        self.loss = tensor(loss)


def answers(fastai, rates, losses):
    """What `lr_find` returns for each rule."""
    smooth, lowest, seen = fastai["AvgSmoothLoss"](), math.inf, []
    for loss in losses:
        smooth.accumulate(Learner(loss))
        seen.append(smooth.value)
        lowest = min(lowest, float(seen[-1]))
        if float(seen[-1]) > 4 * lowest:
            break
    kept = tensor(rates[: len(seen)][len(losses) // 10 : -5]), tensor(seen[len(losses) // 10 : -5])
    missing = torch.nonzero(torch.isnan(kept[1]))
    if len(missing):
        kept = tuple(part[: min(missing)] for part in kept)
    rules = ("valley", "slide", "minimum", "steep")
    return {f"fastai-{rule}": float(fastai[rule](*kept, len(losses))[0]) for rule in rules}


def curves():
    """Rates and raw losses of range tests, by name."""
    noise = random.Random(0)
    for name, count, low, high, scale, jump in (
        ("ordinary", 100, 1e-7, 10.0, 1.0, 0.02),
        ("noisy", 100, 1e-8, 1.0, 1.0, 0.2),
        ("long", 300, 1e-8, 1.0, 1.0, 0.05),
        ("of a squared error of thousands", 100, 1e-8, 1.0, 10_000.0, 0.02),
        ("of a tiny loss", 100, 1e-8, 1.0, 1e-3, 0.02),
        ("without an end", 100, 1e-8, 1e-3, 1.0, 0.02),
    ):
        rates = [low * (high / low) ** (i / (count - 1)) for i in range(count)]
        logs = [math.log10(rate) for rate in rates]
        fall = [2.3 - 2 / (1 + math.exp(-3 * x - 9)) + math.exp(min(4 * x + 4, 50)) for x in logs]
        yield name, rates, [scale * (loss + noise.gauss(0, jump)) for loss in fall]
    yield "that ends with NaN", rates, [*fall[:80], *[math.nan] * 20]


if __name__ == "__main__":
    sys.path += sys.argv[1:]  # where fastai is, if it is not installed here
    torch.set_default_dtype(torch.float64)
    fastai, version = of_fastai()
    found = [
        {"name": name, "rates": rates, "losses": losses, "answers": answers(fastai, rates, losses)}
        for name, rates, losses in curves()
    ]
    text = json.dumps({"fastai": version, "curves": found})
    Path(__file__).with_name("fastai_answers.json").write_text(text + "\n")
