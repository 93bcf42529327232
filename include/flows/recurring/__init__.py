"""The use cases of Recurring: bills that DOKU charges on its own schedule."""
