"""Layouts at work: frames to the bytes of a batch file, the bytes of a report to frames."""
