"""Our own database: every charge that was tried, every file, every outcome, and why."""
