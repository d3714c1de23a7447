"""The simple noise scale from squared norms of gradients. Pure numbers: neither torch nor Lightning.

McCandlish, Kaplan, Amodei et al., "An Empirical Model of Large-Batch Training", 2018 (arXiv:1812.06162), appendix A.1.
"""

import random
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

RESAMPLES = 1000
TAIL = 0.025
"""Of the resamples that is cut off at each end: an interval of 95 %."""


class Norms(NamedTuple):
    """Squared norms of the gradient at one point, from the same samples.

    Attributes:
        small: Of a small batch; the mean over those that the big one is made of.
        big: Of the big batch.
    """

    small: float
    big: float


class NoiseScale(NamedTuple):
    """The batch size at which noise and gradient weigh the same, in samples.

    Attributes:
        value: ``tr(covariance) / |gradient|^2``; ``None`` if the gradient is lost in the noise.
        low: Lower end of the 95 % interval; ``None`` likewise.
        high: Upper end; ``None`` if there is none.
        gradient: Estimate of the squared norm of the true gradient. It may come out negative.
        noise: Estimate of the trace of the covariance of one sample's gradient.
        groups: Pairs of norms that it was made of.
    """

    value: float | None
    low: float | None
    high: float | None
    gradient: float
    noise: float
    groups: int


def unbiased(norms: Norms, small: int, big: int) -> tuple[float, float]:
    """Squared norm of the true gradient, and trace of the covariance, without bias.

    The squared norm of a batch's gradient is on average that of the true one plus the trace over the batch size: two
    sizes make two equations.

    Args:
        norms: What was measured.
        small: Samples of a small batch.
        big: Samples of the big one.
    """
    gradient = (big * norms.big - small * norms.small) / (big - small)
    noise = (norms.small - norms.big) / (1 / small - 1 / big)
    return gradient, noise


def noise_scale(measured: Sequence[Norms], small: int, big: int) -> NoiseScale:
    """The noise scale, with a bootstrap interval over independent pairs of norms.

    Both parts are averaged before they are divided: a single quotient would be far off.

    Args:
        measured: Pairs of norms, at least two.
        small: Samples of a small batch.
        big: Samples of a big one.

    Raises:
        ValueError: If there are fewer, or the sizes are not in order.
    """
    if len(measured) < 2 or not 0 < small < big:
        raise ValueError("two pairs of norms at least, and a small batch that is smaller than the big one")
    parts = [unbiased(norms, small, big) for norms in measured]
    gradient, noise = fmean(part[0] for part in parts), fmean(part[1] for part in parts)
    drawn = random.Random(0)
    scales = sorted(_scale(drawn.choices(parts, k=len(parts))) for _ in range(RESAMPLES))
    low, high = scales[int(TAIL * RESAMPLES)], scales[-1 - int(TAIL * RESAMPLES)]
    value = _scale(parts)
    return NoiseScale(_finite(value), _finite(low), _finite(high), gradient, noise, len(parts))


def progress(batch_size: float, scale: float) -> float:
    """How far a step gets, as a share of what a step with the true gradient would."""
    return batch_size / (batch_size + scale)


def samples_needed(batch_size: float, scale: float) -> float:
    """Samples that the same progress takes, as a multiple of what the smallest batches would need."""
    return 1 + batch_size / scale if scale else float("inf")


def _scale(parts: Sequence[tuple[float, float]]) -> float:
    gradient, noise = fmean(part[0] for part in parts), fmean(part[1] for part in parts)
    return max(noise, 0.0) / gradient if gradient > 0 else float("inf")


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None
