"""The use cases, composed of the rest; they run without Airflow."""
