"""What Airflow is told of our connection type, so that its form knows `doku`.

A plugin cannot add a connection type; only a provider can, and Airflow finds providers by the entry points of installed
packages. This package is not installed but lies on the import path (`PYTHONPATH`), where the folder
`doku_account_billing.dist-info` stands for the installation: Python finds the entry point there as any other's. Imports
nothing. Source: `discover_all_providers_from_packages` of Airflow 3.3.2, tried.
"""

from typing import Any


def provider_info() -> dict[str, Any]:
    """As `airflow/provider_info.schema.json` wants it."""
    return {
        "package-name": "doku-account-billing",
        "name": "DOKU Account Billing",
        "description": "DOKU's HTTP API",
        "connection-types": [
            {
                "connection-type": "doku",
                "hook-name": "DOKU",
                "hook-class-name": "plugins.hooks.doku_hook.DokuHook",
                "ui-field-behaviour": {
                    "hidden-fields": [],
                    "relabeling": {
                        "host": "Host",
                        "schema": "Scheme",
                        "login": "Client-Id",
                        "password": "Secret key",
                    },
                    "placeholders": {
                        "host": "api-sandbox.doku.com, or api.doku.com",
                        "schema": "https",
                        "login": "BRN-... or MCH-...",
                        "password": "Dashboard > Integration > Secret Key",
                    },
                },
            }
        ],
    }
