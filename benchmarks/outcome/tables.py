"""Tables: real ones that come with scikit-learn, and generated ones."""

from functools import cache

import numpy as np
import torch
from sklearn import datasets
from torch.utils.data import TensorDataset

from .data import Split, divide, floats, standardized


@cache
def customers() -> Split:
    """10,000 rows of 30 columns in five classes, a twentieth of them mislabelled."""
    features, labels = datasets.make_classification(
        n_samples=10_000,
        n_features=30,
        n_informative=12,
        n_redundant=6,
        n_classes=5,
        n_clusters_per_class=3,
        flip_y=0.05,
        random_state=0,
    )
    return divide([standardized(features), torch.as_tensor(labels)], validation=2000)


@cache
def diabetes() -> Split:
    """442 patients; a net soon knows them by heart."""
    features, target = datasets.load_diabetes(return_X_y=True)
    return divide([standardized(features), standardized(target)], validation=200)


@cache
def tumours() -> Split:
    """569 tumours; one training label in four is wrong, those for validation are right."""
    features, labels = datasets.load_breast_cancer(return_X_y=True)
    train, held = divide([standardized(features), torch.as_tensor(labels)], validation=200)
    inputs, right = train.tensors
    wrong = torch.rand(len(right), generator=torch.Generator().manual_seed(1)) < 1 / 4
    return TensorDataset(inputs, torch.where(wrong, 1 - right, right)), held


@cache
def friedman() -> Split:
    """Friedman's first function of five columns, among five that do not matter."""
    features, target = datasets.make_friedman1(n_samples=4000, n_features=10, noise=1.0, random_state=0)
    return divide([floats(features), standardized(target)], validation=800)


@cache
def ratings() -> Split:
    """14,000 ratings from 1 to 5 of 200 films by 300 people, with tastes in four directions."""
    rng = np.random.default_rng(0)
    people, films = rng.normal(size=(300, 4)), rng.normal(size=(200, 4))
    kind, good = rng.normal(scale=0.4, size=300), rng.normal(scale=0.5, size=200)
    person, film = rng.integers(300, size=14_000), rng.integers(200, size=14_000)
    liking = 3.4 + kind[person] + good[film] + 0.4 * (people[person] * films[film]).sum(1)
    stars = np.clip(np.round(liking + rng.normal(scale=0.4, size=14_000)), 1, 5)
    return divide([torch.as_tensor(person), torch.as_tensor(film), floats(stars)], validation=2000)


CLICK_FIELDS = (200, 150, 24, 12, 5)
"""How many readers, articles, hours, sections and devices there are."""


@cache
def clicks() -> Split:
    """14,000 impressions: whether this reader clicked on that article, then and there."""
    rng = np.random.default_rng(0)
    columns = np.stack([rng.integers(size, size=14_000) for size in CLICK_FIELDS], 1)
    weights = [rng.normal(scale=0.4, size=size) for size in CLICK_FIELDS]
    factors = [rng.normal(scale=0.6, size=(size, 3)) for size in CLICK_FIELDS]
    picked = np.stack([factor[column] for factor, column in zip(factors, columns.T, strict=True)], 1)
    pairs = 0.5 * (picked.sum(1) ** 2 - (picked**2).sum(1)).sum(1)
    logits = pairs + sum(weight[column] for weight, column in zip(weights, columns.T, strict=True)) - 1.0
    clicked = rng.random(14_000) < 1 / (1 + np.exp(-logits))
    return divide([torch.as_tensor(columns), floats(clicked)], validation=2000)
