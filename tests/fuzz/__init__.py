"""Mutated input for hours: ``python -m tests.fuzz --target reader --minutes 30``; see ``--help``.

A new target is one more entry in :data:`tests.fuzz.targets.TARGETS`.
"""
