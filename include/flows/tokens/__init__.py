"""Keeping customers' tokens current: whom the merchant lists, what DOKU answers, what is lost, which one is charged."""
