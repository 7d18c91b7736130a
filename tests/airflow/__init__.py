"""Airflow 3 with LocalExecutor and SQLite, run for real (`make test-airflow`)."""
