"""The LR range test with real Trainers."""

import math

import lightning.pytorch as pl
import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR

from lit_autotune import ConfigError, LRSuggestionError, TunerConfig, tune
from lit_autotune.curves.formulas import lr_ladder
from support import tuning
from support.models import AS_FOUND, Blobs, Net, quiet_trainer

FIELDS = {
    "use_learning_rate_tuning": True,
    "lr_min": 1e-5,
    "lr_num_training": 40,
    "lr_auto_extend": False,
    "lr_verify": False,
    "compare": False,
}


def tuned(*objects, **fields):
    """A range test of a single sweep, if not said otherwise."""
    return tuning.tuned(*objects, **{**FIELDS, **fields}).learning_rate


class Recording(Net):
    """Notes the rates its optimizer steps with, and how many training steps there were, across all copies."""

    rates: list
    calls: list

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        optimizer.register_step_post_hook(
            lambda opt, args, kwargs: self.rates.append([group["lr"] for group in opt.param_groups])
        )
        return optimizer

    def training_step(self, batch, batch_idx):
        self.calls.append(batch_idx)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        raise AssertionError("the range test must not validate")


@pytest.fixture(autouse=True)
def _forget():
    Recording.rates, Recording.calls = [], []


class SlowNet(Net):
    """Never diverges, so that a sweep runs to its end."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx).tanh()


@pytest.mark.parametrize(
    "limits",
    [
        {"max_epochs": 1},
        {"max_epochs": 0},
        {"max_epochs": -1},
        {"max_steps": 3},
        {"max_epochs": 1, "limit_train_batches": 2},
        {"limit_train_batches": 0.5},
        {"overfit_batches": 1},
        {"min_epochs": 5},
        {"max_time": {"minutes": 10}},
        {"accumulate_grad_batches": 4},
    ],
    ids=str,
)
def test_exactly_as_many_steps_as_asked_for(limits):
    """Data are cycled and the Trainer's own limits do not cut the sweep; rates go from lr_min to lr_max."""

    class Slow(Recording, SlowNet):
        pass

    curve = tuned(Slow(), trainer=quiet_trainer(**limits)).curve
    assert curve.learning_rates == tuple(lr_ladder(1e-5, 1.0, 40))
    assert Recording.rates == [[rate] for rate in curve.learning_rates]
    assert len(Recording.calls) == 40 * limits.get("accumulate_grad_batches", 1) or "accumulate_grad_batches" in limits


def test_accumulated_losses_are_averaged():
    """With accumulate_grad_batches a point is the mean of its micro-batches' losses."""

    class Counted(Net):
        def on_train_start(self):
            self.count = -1

        def training_step(self, batch, batch_idx):
            self.count += 1
            return super().training_step(batch, batch_idx) * 0 + self.count % 4

    with pytest.raises(LRSuggestionError):
        tuned(Counted(), trainer=quiet_trainer(accumulate_grad_batches=4))

    class Falling(Counted):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx) - 0.01 * self.count

    losses = tuned(Falling(), Blobs(samples=1024), trainer=quiet_trainer(accumulate_grad_batches=4)).curve.losses
    assert losses == pytest.approx([1.5 - 0.01 * (4 * k + 1.5) for k in range(40)], abs=1e-5)


def test_ratios_between_parameter_groups_are_kept():
    """Each group's rate is scaled by its share of the learning rate."""

    class Groups(Recording):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(
                [
                    {"params": self.network[0].parameters(), "lr": 0.1 * self.lr},
                    {"params": self.network[2].parameters()},
                ],
                lr=self.lr,
            )
            optimizer.register_step_post_hook(
                lambda opt, args, kwargs: self.rates.append([group["lr"] for group in opt.param_groups])
            )
            return optimizer

    curve = tuned(Groups(lr=0.05)).curve
    for (low, high), rate in zip(Recording.rates, curve.learning_rates, strict=True):
        assert low == pytest.approx(0.1 * rate)
        assert high == pytest.approx(rate)


@pytest.mark.parametrize(
    "scheduler",
    [
        lambda opt, lr: {"scheduler": LambdaLR(opt, lambda step: min(1, step / 10)), "interval": "step"},
        lambda opt, lr: {"scheduler": OneCycleLR(opt, max_lr=lr, total_steps=5), "interval": "step"},
        lambda opt, lr: {"scheduler": ReduceLROnPlateau(opt), "monitor": "val_loss"},
        lambda opt, lr: StepLR(opt, 1, gamma=0.1),
    ],
    ids=["warm-up from zero", "OneCycle shorter than the sweep", "plateau on a missing metric", "StepLR"],
)
def test_schedulers_are_off_during_the_sweep(scheduler):
    """No scheduler or warm-up changes the sweep's rates, or ends it."""

    class Scheduled(Recording):
        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            return {"optimizer": optimizer, "lr_scheduler": scheduler(optimizer, self.lr)}

    module = Scheduled()
    result = tuned(module)
    assert [rates[0] for rates in Recording.rates] == pytest.approx(list(result.curve.learning_rates))
    assert module.lr == result.chosen


def test_warm_up_in_optimizer_step_is_off():
    """A warm-up written into optimizer_step does not change the sweep's rates either."""

    class WarmUp(Recording):
        def optimizer_step(self, epoch, batch_idx, optimizer, closure):
            for group in optimizer.param_groups:
                group["lr"] = 1e-9
            optimizer.step(closure=closure)

    curve = tuned(WarmUp()).curve
    assert [rates[0] for rates in Recording.rates] == pytest.approx(list(curve.learning_rates))


def test_stops_when_the_loss_diverges():
    """An exploding loss ends the sweep early; the curve says so and keeps raw losses."""

    class Sgd(Net):
        def training_step(self, batch, batch_idx):
            return (self.network(batch[0]) - 10).pow(2).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    curve = tuned(Sgd(), lr_max=100, lr_num_training=100).curve
    assert curve.diverged
    assert len(curve.losses) < 100
    assert max(loss for loss in curve.losses if math.isfinite(loss)) > 4 * curve.losses[0]


def test_negative_losses_do_not_stop_the_sweep():
    """A loss below zero, such as a log-likelihood, is swept to the end."""

    class Negative(SlowNet):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx) - 50

    assert len(tuned(Negative()).curve.losses) == 40


def test_a_nan_is_one_missing_point():
    """A single NaN neither ends the sweep nor spoils its neighbours."""

    class OneNaN(Net):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            return loss * float("nan") if self.trainer.global_step == 7 else loss

        def on_before_optimizer_step(self, optimizer):
            if self.trainer.global_step == 7:
                optimizer.zero_grad()

    curve = tuned(OneNaN()).curve
    assert math.isnan(curve.losses[7])
    assert sum(math.isnan(loss) for loss in curve.losses) == 1


def test_all_nan_is_an_error_that_says_why():
    """Without finite losses there is no suggestion, and the module keeps its rate."""

    class AllNaN(Net):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx) * float("nan")

    module = AllNaN()
    with pytest.raises(LRSuggestionError, match="only 0 of"):
        tuned(module)
    assert module.lr == 1e-3


def test_gradient_clipping_and_precision_are_the_trainers():
    """Clipping and bf16 are in force during the sweep."""
    norms, kinds = [], []

    class Watching(Net):
        def training_step(self, batch, batch_idx):
            kinds.append(self.network(batch[0]).dtype)
            return 1000 * super().training_step(batch, batch_idx)

        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            optimizer.register_step_post_hook(lambda *args: norms.append(self.network[0].weight.grad.norm().item()))
            return optimizer

    tuned(Watching(), trainer=quiet_trainer(gradient_clip_val=0.5, precision="bf16-mixed"))
    assert max(norms) <= 0.5 + 1e-3
    assert set(kinds) == {torch.bfloat16}


def test_closure_evaluated_several_times_counts_once():
    """LBFGS evaluates its closure many times in a step; a step still is one point."""

    class Lbfgs(Net):
        def configure_optimizers(self):
            return torch.optim.LBFGS(self.parameters(), lr=self.lr, max_iter=4)

    calls = []

    class Counting(Lbfgs):
        def training_step(self, batch, batch_idx):
            calls.append(batch_idx)
            return super().training_step(batch, batch_idx)

    curve = tuned(Counting(), lr_min=1e-3).curve
    assert len(curve.losses) == 40 or curve.diverged
    assert len(calls) > 3 * len(curve.losses)


def test_only_report():
    """With update_model_lr off the suggestion is reported and nothing is written."""
    module = Net()
    result = tuned(module, update_model_lr=False)
    assert not result.applied
    assert module.lr == 1e-3


def test_hard_coded_rate_is_an_error():
    """A rate that configure_optimizers does not read is an error; to only report one it may be so."""

    class HardCoded(Net):
        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=3e-4)

    with pytest.raises(ConfigError, match=r"changing module\.lr does not change the optimizer's learning rate"):
        tuned(HardCoded())
    assert tuned(HardCoded(), update_model_lr=False).chosen > 0


def test_scheduler_that_overrides_the_rate_is_warned_about():
    """A fixed OneCycle peak makes the attribute pointless for fit; the user is told."""

    class Fixed(Net):
        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            return [optimizer], [OneCycleLR(optimizer, max_lr=0.01, total_steps=100)]

    with pytest.warns(UserWarning, match="OneCycleLR overrides the optimizer's learning rate"):
        tuned(Fixed())


def test_rate_that_survives_is_not_warned_about(recwarn):
    """Where fit will use the rate there is no warning."""
    tuned(Net())
    assert not [warning for warning in recwarn if "overrides" in str(warning.message)]


def test_rate_is_none_until_tuned():
    """A learning rate of None is a placeholder that is filled in."""
    module = Net(lr=None)
    assert tuned(module).old is None
    assert module.lr > 0


def test_training_step_that_returns_a_dictionary():
    """The loss is read from a dictionary with the key loss, too."""

    class Dictionary(Net):
        def training_step(self, batch, batch_idx):
            return {"loss": super().training_step(batch, batch_idx), "extra": 1}

    torch.manual_seed(0)
    plain = Net()
    module = Dictionary()
    module.load_state_dict(plain.state_dict())
    assert tuned(module).curve == tuned(plain).curve


def test_nothing_fits_the_chosen_rule():
    """If the chosen rule has no answer, the error names what the others say, and the plot is there to look at."""

    class Rising(Net):
        def on_train_start(self):
            self.count = 0

        def training_step(self, batch, batch_idx):
            self.count += 1
            return super().training_step(batch, batch_idx) * 0 + self.count

    with pytest.raises(LRSuggestionError, match="consensus has no suggestion: the loss never falls"):
        tuned(Rising())


def test_callbacks_that_change_the_step_are_kept():
    """Weight averaging and backbone finetuning take part in trials; early stopping and checkpoints do not."""

    class Finetuning(pl.callbacks.BaseFinetuning):
        def freeze_before_training(self, pl_module):
            self.freeze(pl_module.network[0])

        def finetune_function(self, pl_module, epoch, optimizer):
            if epoch == 1:
                self.unfreeze_and_add_param_group(pl_module.network[0], optimizer, lr=0.0)

    class Watching(pl.Callback):
        def on_train_batch_end(self, *arguments):
            raise AssertionError("ran in a trial")

    frozen = []

    class Frozen(Net):
        def training_step(self, batch, batch_idx):
            frozen.append(not self.network[0].weight.requires_grad)
            return super().training_step(batch, batch_idx)

        def configure_optimizers(self):
            return torch.optim.Adam(filter(lambda p: p.requires_grad, self.parameters()), lr=self.lr)

    tuned(Frozen(), trainer=quiet_trainer(callbacks=[Finetuning(), Watching()]))
    assert frozen[0]
    assert not frozen[-1]


def test_batch_size_found_first_is_used_for_the_sweep():
    """The range test runs with the batch size that was just found, because the best rate depends on it."""
    sizes = []

    class Sizes(Net):
        def training_step(self, batch, batch_idx):
            sizes.append(len(batch[1]))
            return super().training_step(batch, batch_idx)

    config = TunerConfig(
        use_batch_size_tuning=True,
        use_learning_rate_tuning=True,
        batch_size_max=64,
        lr_min=1e-5,
        lr_verify=False,
        verbose=False,
        **AS_FOUND,
    )
    report = tune(quiet_trainer(), Sizes(), Blobs(), config)
    assert report.batch_size.chosen == 64
    assert set(sizes[-len(report.learning_rate.curve.losses) :]) == {64}


@pytest.mark.parametrize("fault", ["missing", "disagreeing"])
def test_unusable_rate_is_refused_before_anything_runs(fault):
    """A rate that is kept nowhere, or in places that disagree, is an error before any hook of the user's runs."""

    class Untouched(Blobs):
        def setup(self, stage):
            raise AssertionError("ran")

    module = Net()
    if fault == "missing":
        del module.lr
    else:
        module.hparams.learning_rate = 0.5
    config = TunerConfig(use_batch_size_tuning=True, use_learning_rate_tuning=True, verbose=False)
    message = "no lr or learning_rate found" if fault == "missing" else r"module\.lr = 0\.001, module\.hparams\.learn"
    with pytest.raises(ConfigError, match=message):
        tune(quiet_trainer(), module, Untouched(), config)
