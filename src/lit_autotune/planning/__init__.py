"""The training to come: its plan, and which of its previews is better. Plain numbers, no torch.

It imports ``_shared``.
"""
