"""Makes the pictures of docs/images that show our own pages, with a real browser and Airflow's own web server."""
