# Three images: `production` holds the package and what it needs; `cluster` adds workers behind a queue and files in a
# bucket; `playground` adds the tests' simulator, an OpenSSH server and example data.

FROM python:3.12-slim-bookworm AS production
ENV AIRFLOW_HOME=/opt/airflow \
    PYTHONPATH=/opt/airflow \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    TZ=UTC
WORKDIR /opt/airflow
RUN useradd --uid 50000 --gid 0 --home-dir /opt/airflow --no-create-home airflow \
    && mkdir -p /opt/airflow/logs /state \
    && chown -R 50000:0 /opt/airflow /state
# The lock first: the layer with the dependencies changes only with it.
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY include ./include
COPY plugins ./plugins
COPY doku_account_billing.dist-info ./doku_account_billing.dist-info
COPY dags ./dags
USER 50000:0
ENTRYPOINT ["python", "-m"]
CMD ["airflow", "version"]

FROM production AS cluster
USER 0
COPY requirements-cluster.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements-cluster.txt
USER 50000:0

FROM cluster AS playground
USER 0
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openssh-server openssh-client \
    && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_* \
    && mkdir -p /bucket /sftp \
    && chown 50000:0 /bucket /sftp
COPY requirements-cluster-dev.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements-cluster-dev.txt
COPY tests ./tests
USER 50000:0
