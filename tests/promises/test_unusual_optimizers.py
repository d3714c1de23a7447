"""Optimizers of all kinds that fit accepts are tuned, and rates of all kinds found; nothing is written in vain."""

import functools

import pytest
import torch
from lightning.pytorch.cli import LightningCLI, OptimizerCallable
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from lit_autotune import ConfigError
from support import tuning
from support.models import AS_FOUND, Blobs, Net, quiet_trainer

FIELDS = {**AS_FOUND, "lr_min": 1e-5, "lr_num_training": 30, "lr_auto_extend": False, "lr_verify": False}


def tuned(*objects, **fields):
    return tuning.tuned(*objects, **{"use_learning_rate_tuning": True, **FIELDS, **fields})


def making(make, **attributes):
    """A module whose ``configure_optimizers`` is a function."""

    class Made(Net):
        def __init__(self):
            super().__init__()
            for name, value in attributes.items():
                setattr(self, name, value)

        def configure_optimizers(self):
            return make(self)

    return Made()


def rates(module, **arguments):
    """The rate of each optimizer step of a real fit."""
    seen = []
    original = module.optimizer_step

    def optimizer_step(epoch, batch_idx, optimizer, optimizer_closure):
        original(epoch, batch_idx, optimizer, optimizer_closure)
        seen.append(float(optimizer.param_groups[0]["lr"]))

    module.optimizer_step = optimizer_step
    quiet_trainer(**{"max_epochs": 1, **arguments}).fit(module, datamodule=Blobs())
    return seen


class Lookahead(torch.optim.Optimizer):
    """Wraps another optimizer, without ``super().__init__()``, as many copies of it do."""

    def __init__(self, inner):
        self.inner, self.param_groups, self.state, self.defaults = (
            inner,
            inner.param_groups,
            inner.state,
            inner.defaults,
        )

    def step(self, closure=None):
        return self.inner.step(closure)

    def zero_grad(self, set_to_none=True):
        self.inner.zero_grad(set_to_none)


class Wrapper:
    """Is no ``torch.optim.Optimizer`` at all, as LARC."""

    def __init__(self, inner):
        self.inner = inner

    param_groups = property(lambda self: self.inner.param_groups)
    state = property(lambda self: self.inner.state)
    defaults = property(lambda self: self.inner.defaults)

    def step(self, closure=None):
        return self.inner.step(closure)

    def zero_grad(self, set_to_none=True):
        self.inner.zero_grad(set_to_none)

    def state_dict(self):
        return self.inner.state_dict()

    def load_state_dict(self, state):
        self.inner.load_state_dict(state)


class Apart(torch.optim.Optimizer):
    """Has parameter groups of its own, which the optimizer inside does not see."""

    def __init__(self, inner):
        super().__init__(inner.param_groups[0]["params"], {"lr": inner.param_groups[0]["lr"]})
        self.inner = inner

    def step(self, closure=None):
        return self.inner.step(closure)


class Sharp(torch.optim.Optimizer):
    """Evaluates the closure twice in a step, as SAM."""

    def __init__(self, inner):
        super().__init__(inner.param_groups, inner.defaults)
        self.inner = inner

    def step(self, closure):
        closure()
        return self.inner.step(closure)


class Copied(Wrapper):
    """Hands out copies of its parameter groups."""

    param_groups = property(lambda self: [dict(group) for group in self.inner.param_groups])


class Hidden(Copied):
    """Nor can the optimizer inside be seen."""

    inner = property(lambda self: self.hidden())

    def __init__(self, inner):
        self.hidden = lambda: inner


class Rateless(torch.optim.Optimizer):
    """Finds its rate by itself, as Adafactor."""

    def __init__(self, inner):
        super().__init__(inner.param_groups[0]["params"], {"lr": None})
        self.inner = inner
        for group in self.param_groups:
            group["lr"] = None

    def step(self, closure=None):
        return self.inner.step(closure)


@pytest.mark.parametrize("wrap", [Lookahead, Wrapper, Copied, Apart, Sharp])
def test_wrapped_optimizers(wrap):
    """Whatever fit accepts is followed; the rates of the range test are those that parameters really move by."""
    weights = []

    class Wrapped(Net):
        def training_step(self, batch, batch_idx):
            weights.append(self.network[2].bias.detach().clone())
            return 0 * super().training_step(batch, batch_idx) + self.network[2].bias.sum()

        def configure_optimizers(self):
            return wrap(torch.optim.SGD(self.parameters(), lr=self.lr))

    module = Wrapped()
    result = tuned(module, lr_suggester="minimum").learning_rate
    each = 2 if wrap is Sharp else 1
    firsts = weights[-len(result.curve.losses) * each :: each]
    for before, after, rate in zip(firsts, firsts[1:], result.curve.learning_rates, strict=False):
        assert torch.allclose(before - after, torch.full((3,), rate), rtol=1e-3, atol=1e-6)
    assert module.lr == result.chosen


@pytest.mark.parametrize("wrap", [Lookahead, Wrapper, Hidden, Rateless])
def test_the_batch_size_with_any_optimizer(wrap):
    """It needs no rate."""
    module = making(lambda self: wrap(torch.optim.SGD(self.parameters(), lr=self.lr)))
    report = tuned(module, use_learning_rate_tuning=False, use_batch_size_tuning=True, batch_size_max=8)
    assert report.batch_size.chosen == 8


@pytest.mark.parametrize(
    ("wrap", "message"), [(Hidden, "Hidden cannot be set through its param_groups"), (Rateless, "have no lr")]
)
def test_rates_that_cannot_be_set_are_refused(wrap, message):
    """In one sentence, which says what to do."""
    module = making(lambda self: wrap(torch.optim.SGD(self.parameters(), lr=self.lr)))
    with pytest.raises(ConfigError, match=f"{message}.*use_learning_rate_tuning = false"):
        tuned(module)
    assert module.lr == 1e-3


CLI = {
    "trainer": {"accelerator": "cpu", "logger": False, "max_epochs": 1, "enable_checkpointing": False},
    "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 1e-3}},
}


class WithCallable(Net):
    """Takes its optimizer as LightningCLI's documentation has it."""

    def __init__(self, optimizer: OptimizerCallable = torch.optim.Adam):
        super().__init__()
        self.save_hyperparameters()
        del self.lr
        self.optimizer = optimizer

    def configure_optimizers(self):
        return self.optimizer(self.parameters())


def cli_module(module, monkeypatch, **arguments):
    monkeypatch.setattr("sys.argv", ["train.py"])
    quiet = {"run": False, "save_config_callback": None, "seed_everything_default": False}
    return LightningCLI(module, Blobs, **quiet, **arguments).model


class Plain(Net):
    """LightningCLI gives it an optimizer."""

    def __init__(self):
        super().__init__()
        del self.lr


@pytest.mark.parametrize("scheduler", [None, "torch.optim.lr_scheduler.ExponentialLR"])
def test_optimizer_of_lightning_cli(scheduler, monkeypatch):
    """What LightningCLI makes of ``optimizer:`` gets the rate, and its scheduler; trials have one of their own."""
    extra = {"lr_scheduler": {"class_path": scheduler, "init_args": {"gamma": 0.5}}} if scheduler else {}
    module = cli_module(Plain, monkeypatch, args={**CLI, **extra})
    optimizer = module.configure_optimizers()
    optimizer = optimizer[0][0] if scheduler else optimizer
    before = [parameter.detach().clone() for parameter in module.parameters()]
    tuned(module, update_model_lr=False)
    assert (optimizer.param_groups[0]["lr"], optimizer.state, "step" in vars(optimizer)) == (1e-3, {}, bool(scheduler))
    assert all(map(torch.equal, before, module.parameters()))
    assert {id(p) for p in optimizer.param_groups[0]["params"]} == {id(p) for p in module.parameters()}
    report = tuned(module).learning_rate
    assert report.places == ("module.configure_optimizers.keywords.optimizer.lr",)
    assert optimizer.param_groups[0]["lr"] == report.chosen != 1e-3
    expected = [report.chosen, report.chosen, report.chosen / 2] if scheduler else [report.chosen] * 3
    assert rates(module, max_epochs=2)[::15][:3] == pytest.approx(expected)


def test_optimizer_callable_of_lightning_cli(monkeypatch):
    """The rate is in the partial that jsonargparse makes, and in the hyperparameters that are saved."""
    arguments = {"trainer": CLI["trainer"], "model": {"optimizer": CLI["optimizer"]}}
    module = cli_module(WithCallable, monkeypatch, auto_configure_optimizers=False, args=arguments)
    chosen = tuned(module).learning_rate.chosen
    assert module.hparams.optimizer["init_args"]["lr"] == chosen
    assert rates(module)[0] == chosen


def test_a_function_cannot_be_tuned():
    """The rate is inside of it; that is said, and what to do."""
    with pytest.raises(ConfigError, match=r"module.optimizer is a function.*functools.partial\(..., lr=...\)"):
        tuned(WithCallable(lambda parameters: torch.optim.Adam(parameters, lr=1e-3)))


def test_rate_of_a_shared_partial():
    """The partial of other modules stays."""
    shared = functools.partial(torch.optim.SGD, lr=1e-3)
    module, other = WithCallable(shared), WithCallable(shared)
    result = tuned(module).learning_rate
    assert rates(module)[0] == result.chosen != 1e-3
    assert rates(other)[0] == 1e-3 == shared.keywords["lr"]


@pytest.mark.parametrize("value", ["1e-3", torch.tensor(1e-3)], ids=["text", "tensor"])
def test_rates_that_are_no_plain_numbers(value):
    """Text is replaced by a number, a tensor by a tensor; both train."""
    kind = float if isinstance(value, str) else torch.Tensor
    module = making(
        lambda self: torch.optim.Adam(self.parameters(), lr=float(self.lr) if kind is float else self.lr), lr=value
    )
    chosen = tuned(module).learning_rate.chosen
    assert isinstance(module.lr, kind)
    assert rates(module)[0] == pytest.approx(chosen) == float(module.lr)


def warm_up(start, peak, steps=8):
    """A schedule from one rate to another and down again."""

    def make(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=getattr(self, start))
        rise = getattr(self, peak) / getattr(self, start)

        def factor(step):
            return 1 + (rise - 1) * step / steps if step < steps else max(1, rise * 0.9 ** (step - steps))

        return [optimizer], [{"scheduler": LambdaLR(optimizer, factor), "interval": "step"}]

    return make


@pytest.mark.parametrize(
    ("start", "fields"),
    [
        ("init_lr", {}),
        ("lr", {}),
        ("init_lr", {"lr_schedule": "one_cycle"}),
        ("init_lr", {"lr_attribute": "max_lr"}),
        ("lr", {"lr_attribute": "module.max_lr", "lr_schedule": "one_cycle"}),
    ],
    ids=str,
)
def test_the_peak_of_a_warm_up(start, fields):
    """What decides the highest rate is found and set; where the warm-up begins stays."""
    module = making(warm_up(start, "max_lr"), **{start: 1e-4, "max_lr": 1e-3})
    if start != "lr":
        del module.lr
    report = tuned(module, **fields)
    result = report.learning_rate
    assert (result.places, result.kind) == (("module.max_lr",), "max_lr" if "lr_schedule" in fields else "constant")
    assert getattr(module, start) == 1e-4
    assert max(rates(module)) == pytest.approx(result.chosen) == pytest.approx(module.max_lr)
    assert not [warning for warning in report.warnings if "overrides" in warning or "warm-up" in warning]


def test_the_beginning_of_a_warm_up_is_refused():
    """It would start the warm-up at its peak; the error names what decides the peak."""
    module = making(warm_up("init_lr", "max_lr"), init_lr=1e-4, max_lr=1e-3)
    with pytest.raises(ConfigError, match=r"module.init_lr does not change .*module.max_lr does"):
        tuned(module, lr_attribute="init_lr")


def test_a_rate_that_lives_in_the_schedule_only():
    """The optimizer's own rate is 1, as for the Transformer."""

    def make(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        return [optimizer], [
            {"scheduler": LambdaLR(optimizer, lambda step: self.lr * min(1, (step + 1) / 8)), "interval": "step"}
        ]

    module = making(make)
    chosen = tuned(module).learning_rate.chosen
    assert max(rates(module)) == module.lr == chosen


def test_a_rate_beyond_what_the_module_allows_is_told():
    """A module that holds its rate down does not train with the one that was found."""
    module = making(lambda self: torch.optim.SGD(self.parameters(), lr=min(self.lr, 5e-3)))
    with pytest.warns(UserWarning, match="gives the optimizer a learning rate of 5.00e-03"):
        assert tuned(module, lr_suggester="minimum").learning_rate.chosen > 5e-3


def test_a_peak_is_found_with_the_batch_size():
    """At the size that is found the training has fewer steps than at the first; its warm-up still counts."""
    module = making(warm_up("lr", "max_lr"), lr=1e-4, max_lr=1e-3)
    report = tuned(module, use_batch_size_tuning=True, batch_size_max=16)
    assert report.learning_rate.places == ("module.max_lr",)
    assert not [warning for warning in report.warnings if "overrides" in warning]


def test_a_warm_up_longer_than_the_training_is_told():
    """What was tried is less than the peak of a longer training."""
    module = making(warm_up("lr", "max_lr", steps=100), lr=1e-6, max_lr=1e-3)
    with pytest.warns(UserWarning, match="training ends before the warm-up"):
        tuned(module)


@pytest.mark.parametrize("begin", [1, 50])
def test_a_rate_that_optimizer_step_sets(begin):
    """A warm-up by hand, in the module's own hook, is seen in a few real steps."""

    class ByHand(Net):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=1e-9)

        def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
            for group in optimizer.param_groups:
                group["lr"] = self.lr * min(1, (self.trainer.global_step + 1) / begin)
            optimizer.step(closure=optimizer_closure)

    module = ByHand()
    result = tuned(module).learning_rate
    assert result.applied
    assert module.lr == result.chosen != 1e-3


def test_a_schedule_that_only_the_module_can_step():
    """A scheduler of a foreign class is left to ``lr_scheduler_step``, in previews, too."""

    class Foreign:
        def __init__(self, optimizer):
            self.optimizer = optimizer
            for group in optimizer.param_groups:
                group["initial_lr"], group["lr"] = group["lr"], 1e-6

        def step(self, epoch):
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * min(1, epoch / 2)

        def state_dict(self):
            return {}

    Foreign.load_state_dict = lambda self, state: None

    class Warm(Net):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
            return [optimizer], [Foreign(optimizer)]

        def lr_scheduler_step(self, scheduler, metric):
            scheduler.step(epoch=self.current_epoch + 1)

    module = Warm()
    chosen = tuned(module, lr_verify=True).learning_rate.chosen
    assert max(rates(module, max_epochs=4)) == pytest.approx(chosen) == module.lr


def test_one_cycle_over_the_estimated_steps():
    """Previews that keep samples aside have fewer batches than the training; its schedule is theirs."""

    def make(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1e-3)
        steps = int(self.trainer.estimated_stepping_batches)
        return [optimizer], [{"scheduler": OneCycleLR(optimizer, self.lr, total_steps=steps), "interval": "step"}]

    assert tuned(making(make), compare=True).comparison.values
