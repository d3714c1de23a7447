"""The search for a batch size. It runs nothing itself, and knows no torch.

It imports ``_shared``, ``errors``, ``planning``, ``registry`` and ``types``.
"""
