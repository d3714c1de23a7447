"""Against problems whose noise scale is known: linear regression on normal data."""

import lightning.pytorch as pl
import lit_autotune_noise_scale
import pytest
import torch
from lit_autotune_noise_scale import describe
from lit_autotune_noise_scale.estimate import NoiseScale, Norms, noise_scale, progress, samples_needed, unbiased
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune import ConfigError, TunerConfig, tune
from lit_autotune.registry import Registry
from lit_autotune.testing import plugin_checks

FEATURES, SIGMA = 4, 1.0
OFFSET = torch.tensor([0.5, -0.5, 0.5, -0.5])
"""From the solution to the weights: of length 1."""
# Of a sample's gradient (x.offset - noise) x with normal x: the mean is the offset, and E|g|^2 = (d + 2)|offset|^2 + d.
TRACE = (FEATURES + 1) * 1.0 + SIGMA**2 * FEATURES
KNOWN = TRACE / 1.0


def gradients(count, generator):
    """Of so many samples."""
    x = torch.randn(count, FEATURES, generator=generator)
    return (x @ OFFSET - SIGMA * torch.randn(count, generator=generator))[:, None] * x


def pairs(groups, small, many, seed=0):
    """Norms as the step measures them."""
    own = gradients(groups * many * small, torch.Generator().manual_seed(seed))
    micro = own.view(groups, many, small, FEATURES).mean(2)
    smalls, bigs = micro.square().sum(2).mean(1), micro.mean(1).square().sum(1)
    return [Norms(float(a), float(b)) for a, b in zip(smalls, bigs, strict=True)]


@pytest.mark.parametrize(("small", "many"), [(1, 2), (4, 4), (16, 8)])
def test_both_parts_are_unbiased(small, many):
    """Whatever the batch sizes, the average is the known squared gradient and the known trace."""
    parts = torch.tensor([unbiased(one, small, small * many) for one in pairs(20_000, small, many)])
    assert parts.mean(0).tolist() == pytest.approx([1.0, TRACE], rel=0.05)


def test_the_interval_covers_the_known_answer():
    """In about 95 of 100 repetitions."""
    found = [noise_scale(pairs(60, 4, 4, seed), 4, 16) for seed in range(100)]
    assert sum(one.low <= KNOWN <= (one.high or KNOWN) for one in found) >= 88


def test_a_gradient_that_is_lost_in_the_noise():
    """There is no answer rather than a wrong one."""
    found = noise_scale([Norms(1.0, 0.2), Norms(1.0, 0.24)], 4, 16)
    assert (found.value, found.high) == (None, None)
    assert "lost in the noise" in describe(found, 32)


def test_the_balance():
    """At the noise scale a step gets half as far as without noise, and takes twice the samples."""
    assert (progress(9, 9.0), samples_needed(9, 9.0)) == (0.5, 2.0)


@pytest.mark.parametrize(("present", "told"), [(64, "is beyond"), (4, "is below"), (10, "is about there")])
def test_what_is_said(present, told):
    """Where the present batch size stands."""
    assert told in describe(NoiseScale(9.0, 7.0, 12.0, 1.0, 9.0, 50), present)


class Line(pl.LightningModule):
    """Linear regression at a known distance from the solution."""

    def __init__(self, manual=False):
        super().__init__()
        self.lr = 1e-3
        self.automatic_optimization = not manual
        self.weights = torch.nn.Parameter(OFFSET.clone())
        self.unused = torch.nn.Parameter(torch.zeros(3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        return 0.5 * (x @ self.weights - y).square().mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Normal(pl.LightningDataModule):
    """Normal data whose solution is zero."""

    def __init__(self, batch_size=8, samples=4096):
        super().__init__()
        self.batch_size, self.samples = batch_size, samples

    def train_dataloader(self):
        data = TensorDataset(torch.randn(self.samples, FEATURES), SIGMA * torch.randn(self.samples))
        return DataLoader(data, batch_size=self.batch_size, shuffle=True)


def measured(module=None, data=None, accumulate=1, **options):
    """The report of a tuning with this step alone."""
    registry = Registry.load()
    registry.register(lit_autotune_noise_scale, name="noise_scale")
    config = TunerConfig(steps=["noise-scale"], options={"noise-scale": options}, verbose=False)
    switches = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "accelerator": "cpu"}
    trainer = pl.Trainer(max_epochs=1, accumulate_grad_batches=accumulate, **switches)
    return tune(trainer, module or Line(), data or Normal(), config, registry=registry, save_plot=False)


def test_on_a_module():
    """The known answer lies in the interval, which is narrow; table and figure are in the report."""
    report = measured(accumulate=2, steps=150, warmup=0)
    found = report.steps["noise-scale"]
    assert found["low"] < KNOWN < found["high"] < 2 * KNOWN
    assert (found["batch_size"], found["small"], found["big"]) == (16, 8, 32)
    assert report.tables[0].columns[0] == "batch size"
    assert report.figures[0].svg.startswith("<svg")
    assert report.applied == ()


def test_epochs_of_few_batches():
    """The micro-batches are smaller than the batch size; steps at the end of an epoch do not count."""
    found = measured(data=Normal(64, 256), steps=20, warmup=2).steps["noise-scale"]
    assert found["small"] == 16
    assert 8 <= found["groups"] < 20


@pytest.mark.parametrize(
    ("make", "options", "told"),
    [
        (lambda: {"module": Line(manual=True)}, {}, "manual optimization"),
        (lambda: {"data": Normal(8, 16)}, {"batch_size": 8}, "too few batches of 8"),
    ],
)
def test_what_cannot_be_measured(make, options, told):
    """Is refused, with what to do."""
    with pytest.raises(ConfigError, match=told):
        measured(**make(), **options)


@pytest.mark.parametrize("check", plugin_checks(), ids=lambda check: check.__name__)
def test_conformance(check):
    """The plugin keeps the contract of lit-autotune."""
    check(lit_autotune_noise_scale)
