"""Everything that does not know Airflow: rules, formats, the ledger, the merchant's databases, the use cases."""
