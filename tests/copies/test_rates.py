"""The highest rate that a schedule reaches is that of a real fit."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from torch.optim.swa_utils import SWALR

from lit_autotune.copies.dry_run import dry_run
from lit_autotune.copies.sandbox import Sandbox
from support.models import Blobs, Net, quiet_trainer


class Scheduled(Net):
    """Two parameter groups under some schedulers; notes the rate of each step."""

    def __init__(self, make, base=0.5, manual=False):
        super().__init__()
        self.make, self.base, self.automatic_optimization = make, base, not manual
        self.rates = []

    def configure_optimizers(self):
        layers = [self.network[0], self.network[2]]
        optimizer = torch.optim.SGD(
            [
                {"params": layer.parameters(), "lr": self.base * share}
                for layer, share in zip(layers, (1, 2), strict=True)
            ]
        )
        optimizer.register_step_pre_hook(lambda opt, *_: self.rates.append([g.get("lr") for g in opt.param_groups]))
        return [optimizer], self.make(optimizer, self)

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("loss", loss)
        if not self.automatic_optimization:
            self.optimizers().step()
            self.lr_schedulers().step()
        return loss


def each_step(scheduler, **more):
    return [{"scheduler": scheduler, "interval": "step", **more}]


def seen(module, **arguments):
    trainer = quiet_trainer(**{"max_epochs": 3, **arguments})
    return dry_run(Sandbox(trainer, module, Blobs(samples=64)), {}, with_schedule=True)


SCHEDULES = {
    "none": lambda o, m: [],
    "warm-up": lambda o, m: each_step(LinearLR(o, 0.1, total_iters=5)),
    "epochs": lambda o, m: [LinearLR(o, 0.1, total_iters=2)],
    "lambda": lambda o, m: each_step(LambdaLR(o, lambda step: min(1, (step + 1) / 8))),
    "frequency": lambda o, m: each_step(LambdaLR(o, lambda step: step + 1), frequency=4),
    "sequential": lambda o, m: each_step(
        SequentialLR(o, [LinearLR(o, 0.1, total_iters=4), CosineAnnealingLR(o, 8)], [4])
    ),
    "chained": lambda o, m: each_step(ChainedScheduler([LinearLR(o, 0.1, total_iters=9), ExponentialLR(o, 0.9)])),
    "restarts": lambda o, m: each_step(CosineAnnealingWarmRestarts(o, 5)),
    "both intervals": lambda o, m: [*each_step(LinearLR(o, 0.1, total_iters=6)), StepLR(o, 1, 0.5)],
    "estimated": lambda o, m: each_step(LambdaLR(o, lambda s: (s + 1) / m.trainer.estimated_stepping_batches)),
    "plateau": lambda o, m: [{"scheduler": ReduceLROnPlateau(o), "monitor": "loss"}],
}


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("limit", [{}, {"max_steps": 3, "max_epochs": -1}, {"accumulate_grad_batches": 2}], ids=str)
def test_highest_rates_are_those_of_a_fit(make, limit):
    """For schedules of steps and of epochs, cut short or not."""
    module = Scheduled(make)
    highest = seen(module, **limit).rates
    assert module.rates == []
    quiet_trainer(**{"max_epochs": 3, **limit}).fit(module, datamodule=Blobs(samples=64))
    assert highest == pytest.approx([max(rates) for rates in zip(*module.rates, strict=True)])


def test_by_hand_each_step_may_be_one_of_the_scheduler():
    """Nobody knows when a module with manual optimization steps its schedulers."""
    module = Scheduled(lambda o, m: [LambdaLR(o, lambda step: min(1, (step + 1) / 8))], manual=True)
    assert seen(module).rates == pytest.approx((0.5, 1.0))


def test_a_rate_to_end_with_is_not_that_of_the_training():
    """SWALR goes to a rate of its own, for averaging."""
    assert seen(Scheduled(lambda o, m: each_step(SWALR(o, swa_lr=5.0, anneal_epochs=2)))).rates == pytest.approx(
        (0.5, 1)
    )


@pytest.mark.parametrize(("steps", "expected"), [(5, False), (11, False), (13, True), (100, True)])
def test_a_warm_up_that_the_training_does_not_finish(steps, expected):
    """It is known whether the rates rise to the last of the 12 steps."""
    module = Scheduled(lambda o, m: each_step(LambdaLR(o, lambda step: min(1, (step + 1) / steps))))
    assert seen(module).still_rising == expected


def test_a_long_warm_up_is_followed_to_its_peak():
    """After 30,000 of a million steps the rate is at its highest, and a schedule that ends is none to complain of."""

    def factor(step):
        if step > 150_000:
            raise IndexError("the schedule has ended")
        return min(1, (step + 1) / 30_000)

    made = seen(Scheduled(lambda o, m: each_step(LambdaLR(o, factor))), max_epochs=-1, max_steps=1_000_000)
    assert made.rates == pytest.approx((0.5, 1.0))


def test_a_group_without_a_rate():
    """It has none, and the other groups do not mind."""

    class Rateless(Scheduled):
        def configure_optimizers(self):
            optimizers, _ = super().configure_optimizers()
            del optimizers[0].param_groups[0]["lr"]
            return optimizers

    first, second = seen(Rateless(lambda o, m: [])).rates
    assert (math.isnan(first), second) == (True, 1.0)
