"""DOKU's notifications in the two forms that they come in, each read into `include.domain.bill_events`."""
