"""What previews are scored on: the same held-out batches for all of them."""

from typing import Any

from lit_autotune.copies.owners import Copies, overrides
from lit_autotune.copies.process_state import random_state
from lit_autotune.copies.ranks import mean
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.internals.loops import train_loaders, validation_loaders
from lit_autotune.memory.out_of_memory import is_out_of_memory
from lit_autotune.previews.held_out import HeldOutLoss, sample_batches, sample_order, spread
from lit_autotune.trials.loaders import rebuild

LOSSES = "training losses"


class Judge:
    """Chooses the held-out batches: validation batches where there are any, else training batches that are kept aside.

    Args:
        sandbox: Where previews run.

    Attributes:
        name: What is scored: ``"validation batches"``; ``"training batches"``; or, where neither can be scored on
            their own, ``"training losses"``.
        before: The loss on each batch before the first step, which is the same for all previews.
        most_samples: How many samples are known to fit in memory at a time; ``None`` if unknown.
    """

    def __init__(self, sandbox: Sandbox):
        objects = sandbox.originals
        has_validation = any(overrides(one, "val_dataloader") for one in objects.values())
        is_on = bool(sandbox.trainer.limit_val_batches) and overrides(objects["module"], "validation_step")
        self._validates = has_validation and is_on
        self.name = "validation batches" if self._validates else "training batches"
        self.before: list[float] = []
        self.most_samples: int | None = None
        self._batches: list[Any] = []
        self._aside: frozenset[int] = frozenset()

    def prepare(self, copies: Copies) -> None:
        """Without validation batches: have copies not train on what they are scored on, where that can be done."""
        if not self._validates:
            for role in copies.owners:
                copies.wrap("train_dataloader", lambda original: self._without(original()), role)

    def scorer(self, copies: Copies) -> HeldOutLoss | None:
        """What scores copies in a fit; ``None`` if only their training losses are there to judge by.

        At the start, when they are scored for the first time, all copies are the same. Hooks of the user's that work
        within a fit may not work outside of its loops. That is no fault of theirs.
        """
        if self.name == LOSSES:
            return None
        with random_state():
            self._batches = self._batches or self._choose(copies)
        scorer = HeldOutLoss(copies, self._batches)
        try:
            self.before = self.before or [mean(copies.trainer, loss) for loss in scorer.losses()]
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self.name = LOSSES
            return None
        return scorer

    def _without(self, loader: Any) -> Any:
        from torch.utils.data import RandomSampler, SequentialSampler, SubsetRandomSampler

        order = sample_order(loader)
        kind = type(getattr(loader, "sampler", None))
        if kind not in (RandomSampler, SequentialSampler) or len(order) < 2:
            return loader
        if not self._aside:
            # At most a tenth of the data: more would make it another training.
            scored = spread(sorted(order))
            self._aside = frozenset(scored[:: max(1, 10 * len(scored) // len(order))])
        rest = [i for i in sorted(order) if i not in self._aside]
        return rebuild(loader, loader.batch_size, sampler=SubsetRandomSampler(rest) if kind is RandomSampler else rest)

    def _choose(self, copies: Copies) -> list[Any]:
        if self._validates:
            batches = sample_batches(validation_loaders(copies.trainer), self.most_samples)
            if batches:
                return batches
        return sample_batches(train_loaders(copies.trainer), self.most_samples, sorted(self._aside))
