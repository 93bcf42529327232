"""Merchants to try the package with: their billing databases, filled with invented customers and charges."""
