"""The commands of `include.cli`, with connections and artefacts as Airflow keeps them: `python -m plugins.cli ...`.

For deployments whose connections are in Airflow's database or a secrets backend, or whose artefacts are reached through
a connection (`s3://connection@bucket/...`). Run it where Airflow's own command line works.
"""

import contextlib
import sys

import structlog

# Airflow logs to what is standard output while it is imported; here that is what the command says, perhaps as JSON.
with contextlib.redirect_stdout(sys.stderr):
    from airflow.sdk import ObjectStoragePath

    from plugins.flow_context import look_up
structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))

from include.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(look_up=look_up, artefacts=ObjectStoragePath))
