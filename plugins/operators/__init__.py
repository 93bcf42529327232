"""Operators: they look things up, call a flow and put its result into words."""
