"""What a function changes in the process that it has no business with."""

import random
from collections.abc import Callable
from typing import Any

from lit_autotune._shared.foreign import unchanged_state


def changed_state(function: Callable[[], object]) -> list[str]:
    """Call a function and say what it has changed of random state, default dtype and gradient mode; it is put back.

    Args:
        function: What to call. Its errors come out as they are.

    Returns:
        What was changed, in words; empty if nothing.
    """
    with unchanged_state():
        before = _state()
        function()
        after = _state()
    return [name for name, value in before.items() if after[name] != value]


def _state() -> dict[str, Any]:
    import numpy as np
    import torch

    numpy: Any = np.random.get_state()
    return {
        "Python's random state": random.getstate(),
        "NumPy's random state": (numpy[1].tolist(), *numpy[2:]),
        "torch's random state": torch.get_rng_state().tolist(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's gradient mode": torch.is_grad_enabled(),
    }
