"""Everything that needs a GPU, in one table: ``python -m lit_autotune.testing.gpu``, within eight minutes on a card."""
