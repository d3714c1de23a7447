"""Reading the curve of an LR range test. Plain numbers, no torch.

It imports ``_shared`` and ``errors``.
"""

from lit_autotune.curves.formulas import before_divergence, lr_ladder, smooth

__all__ = ["before_divergence", "lr_ladder", "smooth"]
