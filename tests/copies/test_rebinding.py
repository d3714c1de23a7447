"""Functions, weak references and hooks of a copy refer to the copy."""

import functools
import weakref
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from lit_autotune.copies.sandbox import Sandbox
from support.models import Blobs, Net, quiet_trainer
from support.tuning import tuned


def copies_of(module, datamodule=None, trainer=None):
    """A module, a datamodule and a Trainer as a trial gets them."""
    return Sandbox(trainer or quiet_trainer(), module, datamodule).copies()


def timed(function):
    @functools.wraps(function)
    def inner(*arguments):
        return function(*arguments)

    return inner


def recursive(network):
    def call(x, depth=1):
        return call(x, depth - 1) if depth else network(x)

    return call


WAYS = {
    "lambda": lambda net: lambda x: net(x),
    "method": lambda net: net.forward,
    "decorated method": lambda net: timed(net.forward),
    "twice decorated": lambda net: timed(timed(net.forward)),
    "default argument": lambda net: lambda x, net=net: net(x),
    "keyword default": lambda net: lambda x, *, net=net: net(x),
    "list in a cell": lambda net: (lambda nets: lambda x: nets[0](x))([net]),
    "object in a cell": lambda net: (lambda box: lambda x: box.call(x))(SimpleNamespace(call=lambda x: net(x))),
    "refers to itself": recursive,
    "partial": lambda net: functools.partial(lambda net, x: net(x), net),
    "partial of a lambda": lambda net: functools.partial(lambda x: net(x)),
    "cached": lambda net: functools.lru_cache(8)(lambda x: net(x)),
    "weak reference": lambda net: (lambda reference: lambda x: reference()(x))(weakref.ref(net)),
    "weak method": lambda net: (lambda reference: lambda x: reference()(x))(weakref.WeakMethod(net.forward)),
    "proxy": lambda net: weakref.proxy(net),
    "compiled": lambda net: torch.compile(net.forward, backend="eager"),
    "attribute of a function": lambda net: setattr(call := timed(len), "net", net) or (lambda x: call.net(x)),
}

KEPT = {
    "attribute": (lambda function: function, lambda kept: kept),
    "list": (lambda function: [function], lambda kept: kept[0]),
    "nested": (lambda function: {"a": ({"b": [function]},)}, lambda kept: kept["a"][0]["b"][0]),
    "object": (lambda function: SimpleNamespace(loss=function), lambda kept: kept.loss),
    "method of an object": (lambda function: Holder(function).call, lambda kept: kept),
}


class Holder:
    __slots__ = ("function",)

    def __init__(self, function):
        self.function = function

    def call(self, x):
        return self.function(x)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kept", KEPT)
def test_functions_that_lead_to_a_network(way, kept):
    """However a module keeps a function of its network, the copy's function computes with the copy's weights."""
    keep, take = KEPT[kept]
    module = Net()
    module.kept = keep(WAYS[way](module.network))
    x = torch.ones(4, 8)
    expected = module.network(x)
    copied = copies_of(module).module
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    assert torch.equal(take(module.kept)(x), expected)
    assert not take(copied.kept)(x).any()


def test_datamodule_with_functions():
    """A datamodule's functions read the copy's settings and count in the copy."""

    class Counting(Blobs):
        def __init__(self):
            super().__init__()
            self.seen, self.batches = 0, []
            self.collate = lambda samples: self.count(samples)
            self.note = self.batches.append
            self.make = lambda: torch.utils.data.DataLoader([1], batch_size=self.batch_size)

        def count(self, samples):
            self.seen += 1

    data = Counting()
    copied = copies_of(Net(), data).datamodule
    copied.batch_size = 7
    copied.collate(None)
    copied.note(1)
    assert (data.seen, data.batches, copied.seen, copied.batches) == (0, [], 1, [1])
    assert copied.make().batch_size == 7


def test_functions_of_nothing_that_is_copied_stay():
    """What does not lead to a copy is the same function, compiled or cached as it is."""
    module = Net()
    module.activation, module.scale = torch.relu, (lambda x: 2 * x)
    copied = copies_of(module).module
    assert copied.activation is torch.relu
    assert copied.scale is module.scale


def test_hooks_and_attributes_of_parameters():
    """Gradient hooks of parameters work on the copies, and what was noted on them is there."""

    class Hooked(Net):
        def __init__(self):
            super().__init__()
            self.seen, self.steps = [], []
            for parameter in self.parameters():
                parameter.group = {"lr_scale": 0.5}
                parameter.register_hook(lambda gradient: self.seen.append(1) or 0 * gradient)
                parameter.register_post_accumulate_grad_hook(lambda parameter: self.steps.append(parameter))

    module = Hooked()
    copied = copies_of(module).module
    sum(parameter.sum() for parameter in copied.parameters()).backward()
    count = len(list(module.parameters()))
    assert (len(copied.seen), len(module.seen), len(module.steps)) == (count, 0, 0)
    assert all(any(one is parameter for parameter in copied.parameters()) for one in copied.steps)
    assert not any(parameter.grad.any() for parameter in copied.parameters())
    assert next(copied.parameters()).group == {"lr_scale": 0.5}
    assert next(copied.parameters()).group is not next(module.parameters()).group


def test_hooks_count_in_the_range_test():
    """A module whose hooks undo the scale of its loss gets the same learning rate as one without either."""

    class Plain(Net):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    class Scaled(Plain):
        def __init__(self):
            super().__init__()
            for parameter in self.parameters():
                parameter.register_hook(lambda gradient: gradient * 2**-10)

        def training_step(self, batch, i):
            return 2**10 * super().training_step(batch, i)

    found = []
    for kind in (Plain, Scaled):
        torch.manual_seed(0)
        fields = {"use_learning_rate_tuning": True, "lr_num_training": 30, "lr_verify": False}
        found.append(tuned(kind(), Blobs(), **fields).learning_rate.curve.losses)
    assert [loss * 2**10 for loss in found[0]] == pytest.approx(found[1], rel=1e-3)


def test_optimizer_made_beforehand():
    """An optimizer that the module keeps steps the copy's parameters."""

    class Keeping(Net):
        def __init__(self):
            super().__init__()
            self.optimizer = torch.optim.SGD(self.parameters(), lr=0.1)

    copied = copies_of(Keeping()).module
    assert copied.optimizer.param_groups[0]["params"][0] is next(copied.parameters())


def test_shared_graph_is_not_walked():
    """Objects that are not copied stay untouched, whatever they hold."""
    shared = nn.Module()

    class Refusing:
        def __deepcopy__(self, memo):
            return self

    keeper = Refusing()
    module = Net()
    keeper.loss = lambda x: module.network(x)
    keeper.other, module.keeper = shared, keeper
    before = keeper.loss
    assert copies_of(module).module.keeper is keeper
    assert keeper.loss is before


def test_trainer_keeps_its_own_functions():
    """A callback's function leads to the copied module."""

    class Watching(pl.Callback):
        def __init__(self, module):
            self.module = module
            self.weight = lambda: next(module.parameters())

    module = Net()
    made = copies_of(module, trainer=quiet_trainer(callbacks=[Watching(module)]))
    assert made.trainer.callbacks[0].weight() is next(made.module.parameters())
