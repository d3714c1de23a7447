"""A training's twin of fake tensors, which have shapes but no memory: what a batch size takes, without taking it."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lit_autotune.copies.attributes import Setting
from lit_autotune.copies.effect import prove_effect
from lit_autotune.copies.owners import Copies
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.copies.stepper import Stepper
from lit_autotune.errors import EstimateError
from lit_autotune.estimate.batches import EXAMPLE_SIZES, fake_loader, first_batches, grows, scaled
from lit_autotune.estimate.modules import make_fake
from lit_autotune.estimate.untraceable import check_traceable, check_trainer, reason
from lit_autotune.internals.strategies import on_cpu
from lit_autotune.internals.tensors import fake_mode
from lit_autotune.memory.live_tensors import LiveTensors, unlimited
from lit_autotune.trials.trial import limit_validation, prepare_fit

STEPS = 2
"""Optimizer steps of a trace. The second one has the optimizer's state and the gradients of the first."""


class Twin:
    """Traces trials of batch sizes with fake tensors: the copies' own ``fit``, two steps and a validation batch.

    Everything happens on a fake CPU, whatever the Trainer's device: fake tensors of a GPU that is not there abort
    the process in the backward pass.

    Args:
        sandbox: Makes the copies.
        setting: Where the batch size is kept.

    Attributes:
        peaks: Bytes of tensors alive at the peak, by batch size traced.
        skipped: Metrics that could not be traced. They were left out.

    Raises:
        ConfigError: If the setting does not change the batches.
        EstimateError: If the Trainer's strategy, or the data, cannot be traced.
    """

    def __init__(self, sandbox: Sandbox, setting: Setting):
        check_trainer(sandbox.trainer)
        self._sandbox, self._setting = sandbox, setting
        self.peaks: dict[int, int] = {}
        self.skipped: set[str] = set()
        self._first, self._second = prove_effect(
            sandbox,
            setting,
            lambda size: first_batches(sandbox, {setting: size}),
            EXAMPLE_SIZES,
            lambda first, second: grows(first.train, second.train),
            lambda _: "the tensors of the training batches",
        )

    def peak(self, batch_size: int) -> int:
        """Bytes of tensors alive at the peak: weights, gradients, optimizer state, activations, batches.

        Raises:
            EstimateError: If an operation cannot be traced; names it.
        """
        if batch_size not in self.peaks:
            self.peaks[batch_size] = self._trace(batch_size)
        return self.peaks[batch_size]

    def _trace(self, batch_size: int) -> int:
        copies = self._sandbox.copies({self._setting: batch_size})
        on_cpu(copies.trainer)
        fake, live = fake_mode(), _HostTensors()
        make_fake(copies.module, fake)
        live.count([*copies.module.parameters(), *copies.module.buffers()])
        self._replace_loaders(copies, batch_size)
        self._skip_metrics(copies.module)
        copies.wrap("log", functools.partial(_log, copies.trainer))
        limit_validation(copies.trainer)
        run: Stepper = prepare_fit(copies, STEPS, stepper=_Steps)

        def check(original: Callable[[], Any]) -> None:
            check_traceable(copies.module, copies.trainer.optimizers)
            original()

        copies.wrap("on_train_start", check)
        try:
            with unlimited():
                self._sandbox.run(copies, within=_within(fake, live.followed()))
        except Exception as error:
            why = reason(error)
            if why is None:
                raise
            raise EstimateError(why) from error
        if not run.done:
            raise EstimateError(f"no optimizer step in {run.calls} batches; does training_step do one?")
        return live.peak_bytes

    def _replace_loaders(self, copies: Copies, batch_size: int) -> None:
        first, second = self._first, self._second
        pairs = zip(first.val, second.val, strict=True)
        train = fake_loader(lambda: scaled(first.train, second.train, batch_size), first.batches)
        val = [fake_loader(functools.partial(scaled, *pair, batch_size), 1) for pair in pairs]
        for role in copies.owners:
            copies.wrap("train_dataloader", lambda original: train, role)
            copies.wrap("val_dataloader", lambda original: val, role)

    def _skip_metrics(self, module: Any) -> None:
        """Let metrics fail: what they compute is for people to read, and takes little memory."""
        for name, part in module.named_modules():
            if any(cls.__name__ in ("Metric", "MetricCollection") for cls in type(part).__mro__):
                for method in ("update", "compute", "forward"):
                    setattr(part, method, self._guarded(getattr(part, method), name, part))

    def _guarded(self, original: Callable[..., Any], name: str, metric: Any) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            import torch

            try:
                return original(*args, **kwargs)
            except Exception as error:
                if reason(error) is None:
                    raise
                self.skipped.add(name)
            return {key: torch.zeros(()) for key in metric} if hasattr(metric, "keys") else torch.zeros(())

        return guarded


class _Steps(Stepper):
    """Counts steps without looking at their losses, which have no value."""

    def _loss(self, output: Any) -> float:
        return 0.0


class _HostTensors(LiveTensors):
    """Live tensors, all of them on the CPU."""

    def count(self, tensors: Iterable[Any], old: Iterable[Any] = ()) -> None:
        tensors = list(tensors)
        for tensor in tensors:
            device = getattr(tensor, "device", None)
            if device is not None and device.type not in ("cpu", "meta"):
                raise EstimateError(f"the module makes tensors on {device} itself; let it use self.device")
        super().count(tensors, old)


@contextlib.contextmanager
def _within(*modes: Any) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for mode in modes:
            stack.enter_context(mode)
        yield


def _log(trainer: Any, original: Callable[..., Any], name: str, value: Any, *args: Any, **kwargs: Any) -> None:
    """In place of ``self.log``, which reads values."""
    trainer.callback_metrics[name] = value.detach() if hasattr(value, "detach") else value
