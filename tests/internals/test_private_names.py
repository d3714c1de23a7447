"""What Lightning and torch do not promise but we use: one test for each name, which fails with that name.

They run with the oldest and the newest versions that are promised.
"""

import importlib

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import strategies as lightning_strategies
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_autotune.copies.process_state import unchanged_process
from lit_autotune.internals import loggers, loops, objects, packages, strategies, tensors, trainers
from lit_autotune.internals.methods import METHODS
from support.models import Blobs, Net, blobs, quiet_trainer


class StoppedError(Exception):
    """Ends a fit."""


class Validated(Blobs):
    """Training and validation data."""

    def val_dataloader(self):
        return self.train_dataloader()


@pytest.fixture
def in_fit():
    """Calls a function with Trainer and module in the midst of a real fit; returns what it returned."""

    def call(function, **arguments):
        answers = []

        class Asking(Net):
            def validation_step(self, batch, batch_idx):
                pass

            def on_train_start(self):
                answers.append(function(self.trainer, self))
                raise StoppedError

        with pytest.raises(StoppedError):
            quiet_trainer(**arguments).fit(Asking(), datamodule=Validated())
        return answers[0]

    return call


def test_extract_batch_size():
    """``utilities.data.extract_batch_size`` counts the samples of a batch."""
    assert loops.count_samples(quiet_trainer(), blobs(7)) == 7


def test_extract_batch_size_of_nothing():
    """Without a tensor it raises an exception of Lightning's own, whichever."""
    assert loops.count_samples(quiet_trainer(), ["a"]) is None


def test_limits_of_loops():
    """``fit_loop.max_epochs`` and ``epoch_loop.max_steps`` can be set."""
    trainer = quiet_trainer(max_epochs=0, max_steps=0)
    loops.allow_start(trainer)
    assert (trainer.max_epochs, trainer.max_steps) == (1, -1)


def test_limits_can_be_lifted(in_fit):
    """``max_epochs``, ``max_steps``, ``min_epochs``, ``min_steps``, also in a fit that has begun."""

    def lift(trainer, module):
        loops.run_until_stopped(trainer)
        return trainer.max_epochs, trainer.max_steps, trainer.min_epochs, trainer.min_steps

    assert in_fit(lift, min_epochs=1, min_steps=2) == (-1, -1, None, None)


@pytest.mark.parametrize("method", METHODS)
def test_loop_of_each_method(method):
    """``fit_loop``, ``validate_loop``, ``test_loop``, ``predict_loop`` and the limits of their batches."""
    trainer = quiet_trainer()
    assert hasattr(trainer, METHODS[method].loop)
    assert hasattr(trainer, METHODS[method].limit)
    assert callable(getattr(pl.LightningModule, METHODS[method].step))
    assert callable(getattr(pl.LightningModule, f"on_{METHODS[method].hooks}_epoch_start"))
    for stage in METHODS[method].stages:
        assert callable(getattr(pl.LightningDataModule, f"{stage}_dataloader"))


def test_max_batches(in_fit):
    """``fit_loop.max_batches``: batches of an epoch."""
    assert in_fit(lambda trainer, module: loops.total_batches(trainer, "fit")) == 16


def test_combined_loader(in_fit):
    """``_combined_loader`` holds the loaders, flattened."""
    assert len(in_fit(lambda trainer, module: loops.loaders_in_use(trainer.fit_loop).flattened)) == 1


def test_data_source(in_fit):
    """``_data_source.dataloader()`` gives what the user's hooks return, if ``is_defined()``."""
    assert in_fit(lambda trainer, module: loops.has_validation_loaders(trainer))
    assert len(in_fit(lambda trainer, module: loops.train_loaders(trainer))) == 16
    assert len(in_fit(lambda trainer, module: loops.validation_loaders(trainer))) == 16


def test_data_fetcher(in_fit):
    """``_data_fetcher`` gives batches, their number and the loader's."""

    def take(trainer, module):
        fetcher = loops.fetcher(trainer)
        (_, labels), number, _ = next(fetcher)
        return len(labels), number, fetcher.length

    assert in_fit(take) == (16, 0, 16)


def test_iterator_of_a_loader():
    """``_iterator`` is what persistent workers belong to."""
    loader = DataLoader(TensorDataset(*blobs()), num_workers=1, persistent_workers=True)
    assert loops.running_iterator(loader) is None
    assert iter(loader) is loops.running_iterator(loader)


def test_on_before_batch_transfer(in_fit):
    """``convert_input``, ``_on_before_batch_transfer`` and ``batch_to_device`` bring a batch to a step."""

    def prepare(trainer, module):
        return loops.ready(trainer, module, blobs(3))[0].dtype

    assert in_fit(prepare, precision="64-true") == torch.float64


def test_loops_can_be_made_anew():
    """Constructors of the loops, ``_trainer_fn``, ``_stage``, ``inference_mode``."""
    trainer, copied = quiet_trainer(max_epochs=3, inference_mode=False), quiet_trainer()
    trainers.renew_loops(trainer, copied)
    assert copied.fit_loop.max_epochs == 3
    for name in ("validate_loop", "test_loop", "predict_loop"):
        assert getattr(copied, name) is not getattr(trainer, name)
        assert getattr(copied, name).trainer is copied
        assert getattr(copied, name).inference_mode is False


def test_stale_parts():
    """``_optimizers``, ``_lightning_optimizers`` and ``lr_scheduler_configs`` of the strategy."""
    trainer = quiet_trainer()
    memo = trainers.stale_parts(trainer, {})
    for name in ("_optimizers", "_lightning_optimizers", "lr_scheduler_configs"):
        assert id(getattr(trainer.strategy, name)) in memo


def test_received_sigterm():
    """``received_sigterm`` and ``SIGTERMException``."""
    trainer = quiet_trainer()
    trainers.raise_if_terminated(trainer)
    trainer._signal_connector.received_sigterm = True
    exceptions = importlib.import_module("lightning.pytorch.utilities.exceptions")
    with pytest.raises(exceptions.SIGTERMException):
        trainers.raise_if_terminated(trainer)


def test_pass_through_profiler():
    """``profilers.PassThroughProfiler``."""
    assert trainers.silent_profiler(quiet_trainer()).summary() == ""


def test_dummy_logger(tmp_path):
    """``loggers.logger.DummyLogger`` takes what a logger takes, and writes nothing."""
    logger = CSVLogger(tmp_path / "logs")
    silent = loggers.silent_logger("lightning.pytorch", logger, tmp_path / "scratch")
    silent.log_metrics({"loss": 1.0}, 0)
    silent.save()
    assert isinstance(silent, CSVLogger)
    assert silent.name == logger.name
    assert not (tmp_path / "logs").exists()


def test_accelerator_connector_on_the_cpu():
    """``_accelerator_connector.strategy`` can be exchanged; ``SingleDeviceStrategy``, ``CPUAccelerator``."""
    trainer = quiet_trainer()
    trainer.strategy._root_device = torch.device("cuda")
    strategies.on_cpu(trainer)
    assert trainer.strategy.root_device.type == "cpu"


def test_parallel_strategy():
    """The constructor of ``ParallelStrategy``, by which a copy looks distributed but is alone."""
    trainer = quiet_trainer(strategy=DDPStrategy(process_group_backend="gloo"), devices=2)
    strategies.detach(trainer, wait=False)
    assert (trainer.world_size, trainer.strategy.launcher) == (2, None)
    assert trainer.strategy.reduce(torch.ones(1)) == 1
    assert "num_replicas" in trainer.strategy.distributed_sampler_kwargs


def test_sharded_strategies():
    """Their class names, ``ParallelStrategy`` among the bases, ``_data_parallel_size``."""
    sharded = quiet_trainer(strategy=ModelParallelStrategy(data_parallel_size=1, tensor_parallel_size=2), devices=2)
    by_default = quiet_trainer(strategy=ModelParallelStrategy(), devices=2)
    ddp = quiet_trainer(strategy="ddp", devices=2)
    assert [strategies.is_sharded(one) for one in (sharded, ddp, quiet_trainer())] == [True, False, False]
    assert [strategies.is_parallel(one) for one in (sharded, ddp, quiet_trainer())] == [True, True, False]
    assert {name for name in strategies.SHARDED if hasattr(lightning_strategies, name)} == set(strategies.SHARDED)
    ddp.strategy.set_world_ranks()
    assert [strategies.replicas(one) for one in (sharded, by_default, ddp)] == [1, 1, 2]


@pytest.mark.parametrize("strategy", [ModelParallelStrategy(), "ddp"], ids=["ModelParallelStrategy", "ddp"])
def test_processes_that_meet(strategy):
    """``_setup_distributed``, without a module, and ``_get_process_group_backend``; a group of one."""
    trainer = quiet_trainer(strategy=strategy, devices=1)
    for meet in (strategies.meet, lambda one: strategies.meet_at(one, torch.distributed.HashStore(), 0, 1)):
        with unchanged_process(quiet=True):
            meet(trainer)
        assert torch.distributed.get_backend() == "gloo"
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("name", "elsewhere", "method"),
    [("ddp", False, None), ("ddp_spawn", True, "spawn"), ("ddp_fork", True, "fork")],
)
def test_launchers(name, elsewhere, method):
    """The class name ``_MultiProcessingLauncher`` and its ``_start_method``."""
    trainer = quiet_trainer(strategy=name, devices=2)
    assert strategies.runs_elsewhere(trainer) is elsewhere
    assert strategies.start_method(trainer) == method


def test_hparams_initial():
    """``_hparams_initial``: what Lightning sends to loggers."""

    class WithHparams(Net):
        def __init__(self, rate=0.1):
            super().__init__()
            self.save_hyperparameters()

    assert objects.logged_hyperparameters(WithHparams())["rate"] == 0.1


def test_orig_mod():
    """``_orig_mod``: what ``torch.compile`` wraps."""
    module = Net()
    assert objects.uncompiled(torch.compile(module)) is module
    assert objects.uncompiled(module) is module


def test_homes_of_classes():
    """The packages that Lightning's classes say they come from."""
    assert packages.trainer_package(quiet_trainer()) == "lightning.pytorch"
    assert packages.lightning_package(Net(), "LightningModule") == "lightning.pytorch"


def test_cdata():
    """``storage._cdata`` is the same for all views of a memory."""
    tensor = torch.zeros(4)
    (key, storage), (view, _) = tensors.storages([tensor, tensor[1:]])
    assert key == view
    assert storage.nbytes() == 16


def test_dispatch_mode():
    """``TorchDispatchMode`` sees operations."""
    seen = []

    class Seeing(tensors.dispatch_mode()):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    with Seeing():
        torch.ones(2) + 1
    assert "add" in seen


def test_tree_leaves():
    """``_pytree.tree_leaves``."""
    assert tensors.leaves({"a": [1, (2,)], "b": 3}) == [1, 2, 3]


def test_fake_tensors():
    """``FakeTensorMode`` and its errors."""
    with tensors.fake_mode():
        fake = torch.ones(10**9)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the question
            fake.sum().item()
        assert tensors.needs_values(caught.value)
    assert tensors.needs_values(ValueError()) is None


def test_own_tensors():
    """``_parameters``, ``_buffers`` and ``_apply`` of modules."""
    module = nn.BatchNorm1d(2)
    assert {name for own in tensors.own_tensors(module) for name in own} >= {"weight", "running_mean"}
    calls = []
    tensors.replace_apply(module, lambda function, recurse=True: calls.append(function))
    module.to(torch.float64)
    assert len(calls) == 1


def test_nested_schedulers():
    """``_schedulers`` of schedulers made of others."""
    schedulers = torch.optim.lr_scheduler
    optimizer = torch.optim.SGD(Net().parameters(), lr=1.0)
    parts = [schedulers.ConstantLR(optimizer), schedulers.ConstantLR(optimizer)]
    assert tensors.nested_schedulers(schedulers.SequentialLR(optimizer, parts, [1])) == parts
    assert tensors.nested_schedulers(schedulers.ChainedScheduler(parts)) == parts
    assert tensors.nested_schedulers(parts[0]) == []


def test_sigchld_handler_set():
    """``signal_handling._SIGCHLD_handler_set``: whether torch has installed its handler."""
    from torch.utils.data._utils import signal_handling

    assert isinstance(signal_handling._SIGCHLD_handler_set, bool)
    tensors.forget_worker_watch()
    assert signal_handling._SIGCHLD_handler_set is False


def test_hooks_and_version():
    """``Tensor._backward_hooks`` and its like hold hooks, ``_version`` counts changes in place."""
    tensor = torch.ones(2, requires_grad=True)
    tensor.register_hook(len)
    tensor.register_post_accumulate_grad_hook(str)
    assert [hooks for _, hooks in tensors.hooks_of(tensor, tensor)] == [[len], [str]]
    before = tensors.version(tensor)
    with torch.no_grad():
        tensor.add_(1)
    assert tensors.version(tensor) == before + 1


def test_subcommands_of_a_lightning_cli(monkeypatch):
    """`_prepare_subcommand_parser`, `_subcommand_parsers`, `_subcommands_action`, `_parser`, `_run_subcommand`."""
    from lit_autotune.internals.lightning_cli import OpenCLI

    ran = []

    class More(OpenCLI):
        def setup_parser(self, *arguments):
            super().setup_parser(*arguments)
            self.copy_subcommand("more", "fit", "One more.")

        def run_subcommand(self, name):
            ran.append((name, self.parser_for(name) is self.parser_for("fit"), self.own_config.model.lr))

    class Typed(Net):
        def __init__(self, lr: float = 0.5):
            super().__init__(lr)

    monkeypatch.setattr("sys.argv", ["main.py"])
    for name in ("more", "fit"):
        More(Typed, Blobs, args=[name, "--model.lr=0.25", "--trainer.logger=false"], save_config_callback=None)
    assert ran == [("more", False, 0.25), ("fit", True, 0.25)]


def test_the_config_saver_of_a_lightning_cli(monkeypatch):
    """`SaveConfigCallback` has `parser`, `config`, `config_filename` and `already_saved`."""
    from lightning.pytorch.cli import LightningCLI

    monkeypatch.setattr("sys.argv", ["main.py"])
    cli = LightningCLI(Net, Blobs, args=["--trainer.logger=false"], run=False)
    (saver,) = (one for one in cli.trainer.callbacks if packages.lightning_package(one, "SaveConfigCallback"))
    assert saver.config is cli.config
    assert saver.parser is cli.parser
    assert (saver.config_filename, saver.already_saved) == ("config.yaml", False)
