"""Objects whose hooks can be rigged, and what a tuning that is killed must leave as it was."""

import hashlib
import multiprocessing
import random
import signal

import numpy as np
import torch
from torch.utils.data import DataLoader

from support.models import AS_FOUND, Augmented, RandomNet

CONFIG = {
    **AS_FOUND,
    "use_batch_size_tuning": True,
    "batch_size_max": 4,
    "use_learning_rate_tuning": True,
    "lr_min": 1e-4,
    "lr_num_training": 10,
    "lr_suggester": "minimum",
    "verbose": False,
}


class Alone(RandomNet):
    """A module that brings its own data."""

    def __init__(self):
        super().__init__()
        self.batch_size = 16

    def setup(self, stage):
        self.samples = Augmented(64), Augmented(16)

    def train_dataloader(self):
        return DataLoader(self.samples[0], batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.samples[1], batch_size=self.batch_size)

    test_dataloader = predict_dataloader = val_dataloader

    def test_step(self, batch, batch_idx):
        self.network(batch[0])

    predict_step = test_step

    def configure_optimizers(self):
        optimizers, schedulers = super().configure_optimizers()
        return optimizers, [{"scheduler": schedulers[0], "interval": "step"}]


def rigged(base, before):
    """A subclass that calls ``before(hook)`` in front of some hooks: a dictionary by hook."""

    def make(hook):
        original = getattr(base, hook)

        def method(self, *args, **kwargs):
            before[hook]()
            return original(self, *args, **kwargs)

        return method

    return type(base.__name__, (base,), {hook: make(hook) for hook in before})


def fingerprint(*parts):
    """A digest of the weights and the trained state."""
    digest = hashlib.sha256()
    for part in parts:
        for name, value in sorted(part.state_dict().items()):
            digest.update(name.encode() + (value.numpy().tobytes() if isinstance(value, torch.Tensor) else b""))
    return digest.hexdigest()


def state(trainer, module, data):
    """All that a tuning must not change, the process included."""
    return {
        "weights": fingerprint(module),
        "hyperparameters": [(dict(part.hparams), dict(part.hparams_initial)) for part in (module, data) if part],
        "objects": [
            {name: id(value) for name, value in vars(part).items()} for part in (trainer, module, data) if part
        ],
        "callbacks": [dict(vars(callback)) for callback in trainer.callbacks],
        "modes": [part.training for part in module.modules()],
        "random": (random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()),
        "handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)],
        "gradients": torch.is_grad_enabled(),
        "children": multiprocessing.active_children(),
    }


def fitted(trainer, module, data):
    """What a fit comes to: digest of weights, counters and the metric."""
    trainer.fit(module, datamodule=data)
    return fingerprint(module), module.seen, float(module.accuracy.compute()), trainer.global_step
