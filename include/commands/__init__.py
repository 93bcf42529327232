"""What `include.cli` offers, a module per group of commands; each adds its own with `add(commands)`."""
