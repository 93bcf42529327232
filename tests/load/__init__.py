"""Load: what a part of the system bears on this machine, measured with the real servers."""
