"""Lightning's own interface to tuning: the ``Tuner`` that takes its place."""
