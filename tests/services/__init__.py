"""Throwaway servers for tests: PostgreSQL, MariaDB and OpenSSH from the system's own binaries, on free local ports.

Each is a context manager that yields what a client needs and stops, by its own id, exactly what it started. A machine
without the binaries raises `ServiceUnavailable`, which the fixtures turn into a skip (a failure where `CI` is set).
"""
