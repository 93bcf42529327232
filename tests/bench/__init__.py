"""How fast the flows are, beside what the hardware could do at best and what a plain pipeline does: `make bench`."""
