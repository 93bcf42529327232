"""Sixty days of two merchants and a DOKU that answers in every way, played by the real flows and booked a second time.

`world`, `doku`, `merchant` make the history by a seed; `play` lets the flows live through it; `books` and `retries`
work out what must have come of it. They use nothing of the package: what they share with it are files and databases.
"""
