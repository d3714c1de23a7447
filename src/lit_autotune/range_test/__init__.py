"""The LR range test, and the rules' reading of it."""
