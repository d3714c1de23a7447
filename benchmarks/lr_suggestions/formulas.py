"""Suggestion rules of other tools as functions of a raw curve, each with its own smoothing and its own stop.

They are written from the tools' published sources: fastai, PyTorch-Ignite, MONAI, ktrain 0.41, NeuralProphet, and
Lightning before its rule changed in 2.5.3. A function returns ``None`` or raises where the tool does.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _stop(smoothed: Array, factor: float) -> int:
    """How many points there are when a tool that stops at ``factor`` times the best loss has stopped."""
    best = np.minimum.accumulate(np.nan_to_num(smoothed, nan=np.inf))
    over = np.flatnonzero(smoothed[1:] > factor * best[:-1])
    return int(over[0]) + 2 if len(over) else len(smoothed)


def _averaged(losses: Array, shift: int = 0) -> Array:
    """Bias-corrected moving average; Lightning's correction is off by one step."""
    mean, out = 0.0, []
    for step, loss in enumerate(losses, 1):
        mean = 0.98 * mean + 0.02 * loss
        out.append(mean / (1 - 0.98 ** (step + shift)))
    return np.array(out)


def _simple(losses: Array) -> Array:
    """The moving average of torch-lr-finder, ignite and MONAI."""
    out = [losses[0]]
    for loss in losses[1:]:
        out.append(0.05 * loss + 0.95 * out[-1])
    return np.array(out)


def _fastai(rates: Array, losses: Array) -> tuple[Array, Array]:
    smoothed = _averaged(losses)
    smoothed = smoothed[: _stop(smoothed, 4)]
    part = slice(len(losses) // 10, len(smoothed) - 5)
    missing = np.flatnonzero(np.isnan(smoothed[part]))
    end = missing[0] if len(missing) else None
    return rates[part][:end], smoothed[part][:end]


def fastai_steep(rates: Array, losses: Array) -> float:
    """One-sided difference per log rate."""
    rates, smoothed = _fastai(rates, losses)
    return float(rates[np.argmin(np.diff(smoothed) / np.diff(np.log(rates)))])


def fastai_minimum(rates: Array, losses: Array) -> float:
    """A tenth of the rate at the minimum."""
    rates, smoothed = _fastai(rates, losses)
    return float(rates[np.argmin(smoothed)] / 10)


def fastai_valley(rates: Array, losses: Array) -> float:
    """The longest decreasing subsequence, about its middle."""
    rates, smoothed = _fastai(rates, losses)
    lengths = np.ones(len(smoothed), int)
    for i in range(1, len(smoothed)):
        longer = lengths[:i][smoothed[:i] > smoothed[i]]
        lengths[i] = 1 + longer.max() if len(longer) else 1
    end = int(np.argmax(lengths))
    start = end - int(lengths[end])
    third = (end - start) / 3
    return float(rates[start + int(third) + int(third / 2)])


def fastai_slide(rates: Array, losses: Array) -> float:
    """A window of 15 points, moved down while the slopes at its ends differ by more than 0.005."""
    rates, smoothed = _fastai(rates, losses)
    slopes = np.gradient(smoothed)
    right, left = -1, -16
    answer = rates[left]
    while left >= -len(smoothed) and abs(slopes[right] - slopes[left]) > 0.005:
        answer = rates[left]
        right, left = right - 1, left - 1
    return float(answer)


def ignite(rates: Array, losses: Array) -> float:
    """Steepest step up to the minimum; an error if that is among the first two points."""
    smoothed = _simple(losses)
    smoothed = smoothed[: _stop(smoothed, 5)]
    falling = smoothed[: int(np.argmin(smoothed)) + 1]
    if len(falling) < 3:
        raise RuntimeError("no falling part")
    return float(rates[np.argmin(falling[2:] - falling[:-2]) + 1])


def monai(rates: Array, losses: Array) -> float:
    """Steepest step, the last point left out."""
    smoothed = _simple(losses)
    smoothed = smoothed[: _stop(smoothed, 5) - 1]
    return float(rates[np.argmin(np.gradient(smoothed))])


def ktrain(rates: Array, losses: Array) -> float | None:
    """Steepest step between point 32 and the minimum, whose index is then taken without the 32."""
    smoothed = _averaged(losses)
    smoothed = smoothed[: _stop(smoothed, 4)]
    part = smoothed[32 : int(np.nanargmin(smoothed))]
    return float(rates[np.argmin(np.gradient(part))]) if len(part) > 1 else None


def neuralprophet(rates: Array, losses: Array) -> float:
    """Geometric mean of the steepest steps of Lightning's curve and of that curve smoothed again; never stopped."""
    smoothed = _averaged(losses, shift=1)
    window = np.hamming(10) / np.hamming(10).sum()
    again = np.convolve(np.pad(smoothed, (5, 4), "edge"), window, "valid")
    finite = np.isfinite(again)
    first = rates[finite][np.argmin(np.gradient(again[finite]))]
    part = smoothed[10:-3]
    second = rates[10:-3][np.nanargmin(np.gradient(np.where(np.isfinite(part), part, np.nan)))]
    return float(np.sqrt(first * second))


def lightning_before(rates: Array, losses: Array) -> float:
    """Lightning up to 2.5.2: steepest step."""
    smoothed = _averaged(losses, shift=1)
    part = smoothed[: _stop(smoothed, 4)][10:-1]
    finite = np.isfinite(part)
    return float(rates[10:][: len(part)][finite][np.argmin(np.gradient(part[finite]))])


FORMULAS = {
    "fastai `valley` (default)": fastai_valley,
    "fastai `minimum`": fastai_minimum,
    "fastai `slide`": fastai_slide,
    "fastai `steep`": fastai_steep,
    "ignite": ignite,
    "MONAI": monai,
    "ktrain": ktrain,
    "NeuralProphet": neuralprophet,
    "Lightning up to 2.5.2": lightning_before,
    "always 0.001": lambda rates, losses: 1e-3,
}
