"""Rows for tests that need a state, not the way to it. One file a model; every field can be given."""
