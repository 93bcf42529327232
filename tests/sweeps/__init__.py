"""Sweeps: kill at every step, race every step, and see that the promises hold (docs/crash-matrix.md)."""
