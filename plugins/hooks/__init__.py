"""Hooks: connections of ours as Airflow knows them."""
