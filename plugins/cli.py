"""The commands of `include.cli`, with connections and artefacts as Airflow keeps them: `python -m plugins.cli ...`.

For deployments whose connections are in Airflow's database or a secrets backend, or whose artefacts are reached through
a connection (`s3://connection@bucket/...`). Run it where Airflow's own command line works.
"""

import sys

from airflow.sdk import ObjectStoragePath

from include.cli import main
from plugins.flow_context import look_up

if __name__ == "__main__":
    sys.exit(main(look_up=look_up, artefacts=ObjectStoragePath))
