"""A month of two merchants with bills, and of a DOKU that charges them in every way, played and worked out once more.

`world` and `doku` make the month by a seed; `merchant` and `play` let the real flows and the real notification paths
live through it; `truth` reads the simulator's journals and `books` works out from them what must have come of it. Those
two use nothing of the package: what they share with it are files and databases.
"""
