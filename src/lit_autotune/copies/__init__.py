"""Throwaway copies of the user's objects, and runs on them."""
