"""DOKU's HTTP side: the JSON API, the older form interface, notifications, the bill register and its clock."""
