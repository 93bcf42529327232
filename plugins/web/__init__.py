"""What is served inside Airflow's web server."""
