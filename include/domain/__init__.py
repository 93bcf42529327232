"""Rules that need nothing but the standard library: money, states, names, calendar, decisions, errors."""
