"""Results of earlier tunings, kept on disk, and what they depend on; imports ``copies``, ``report`` and below."""
