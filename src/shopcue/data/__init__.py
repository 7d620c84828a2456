"""Readers of public data sets: each yields ids, paths and times, never pixels."""
