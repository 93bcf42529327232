"""A whole Airflow beside DOKU's simulator on one machine: for the demo, for exploring and for tests of whole runs."""
