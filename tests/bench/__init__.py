"""Figures, measured: `python -m tests.bench > docs/performance.md` (Linux; some five minutes on two cores).

Not part of the test run: a figure depends on the machine, and a speed goal is for a benchmark, not for a timed test.
"""
