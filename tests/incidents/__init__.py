"""What went wrong for others who do this job, and why it does not here (docs/incidents.md)."""
