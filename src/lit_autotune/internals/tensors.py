"""Parts of torch that its documentation does not promise: memory behind tensors, following operations, fake tensors."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def parameter_bytes(parameters: Iterable[Any]) -> int:
    """Memory of parameters; lazy ones have none yet."""
    from torch.nn.parameter import is_lazy

    return sum(p.numel() * p.element_size() for p in parameters if not is_lazy(p))


def storages(tensors: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """The memory behind tensors, by an address that views of it share. Public is only where the data begin."""
    import torch

    for tensor in tensors:
        if isinstance(tensor, torch.Tensor) and tensor.layout is torch.strided and tensor.device.type != "meta":
            storage = tensor.untyped_storage()
            yield storage._cdata, storage


def dispatch_mode() -> type[Any]:
    """The base of classes that see every operation, those of backward passes included; torch has no public one."""
    from torch.utils._python_dispatch import TorchDispatchMode

    return TorchDispatchMode  # type: ignore[no-any-return]


def leaves(value: Any) -> list[Any]:
    """What nested containers, such as the arguments of an operation, hold in the end."""
    from torch.utils._pytree import tree_leaves

    return tree_leaves(value)  # type: ignore[no-any-return]


def fake_mode() -> Any:
    """A mode in which operations make tensors of the right shape but without memory."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


def needs_values(error: BaseException) -> str | None:
    """The operation that failed on fake tensors because it needs their values; ``None`` if that is not the error."""
    from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

    is_one = isinstance(error, DataDependentOutputException | DynamicOutputShapeException)
    return str(error.func) if is_one else None  # type: ignore[attr-defined]


def own_tensors(module: Any) -> Iterator[dict[str, Any]]:
    """A module's own dictionaries of parameters and of buffers, to exchange tensors that shape checks would refuse."""
    for part in module.modules():
        yield part._parameters
        yield part._buffers


def version(tensor: Any) -> int:
    """A number that grows with each operation in place; torch's own documentation names it in passing only."""
    return 0 if tensor.is_inference() else int(tensor._version)


def hooks_of(original: Any, copied: Any) -> Iterator[tuple[Callable[..., Any], list[Any]]]:
    """How to register a hook on a copied tensor, and the hooks of that kind that the original has."""
    yield copied.register_hook, list((original._backward_hooks or {}).values())
    yield copied.register_post_accumulate_grad_hook, list((original._post_accumulate_grad_hooks or {}).values())


def replace_apply(module: Any, apply: Callable[..., Any]) -> None:
    """Put another function in the place of what ``to()`` and its like come down to."""
    module._apply = apply


def nested_schedulers(scheduler: Any) -> list[Any]:
    """The schedulers that a ``SequentialLR`` or ``ChainedScheduler`` is made of."""
    return list(getattr(scheduler, "_schedulers", ()))


def forget_worker_watch() -> None:
    """Have torch install its handler for dead DataLoader workers anew.

    It does so once for a process, but Lightning takes it away after each fit: then nobody learns of what killed one.
    """
    from torch.utils.data._utils import signal_handling

    signal_handling._SIGCHLD_handler_set = False
