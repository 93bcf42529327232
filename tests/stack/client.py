"""The part of Airflow's REST API (v2) that the demo and the tests use."""

import time
from typing import Any

import httpx

_FINISHED = ("success", "failed")


class AirflowClient:
    """A logged-in client of one Airflow.

    Every method raises `httpx.HTTPStatusError` when Airflow answers with an error, with Airflow's own words in it.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        """Log in lazily: at the first request."""
        self._http = httpx.Client(base_url=url, timeout=30)
        self._login = {"username": user, "password": password}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        """One request below /api/v2; the answer's JSON, or None when it has no body."""
        if "Authorization" not in self._http.headers:
            token = self._http.post("/auth/token", json=self._login)
            token.raise_for_status()
            self._http.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        answer = self._http.request(method, f"/api/v2{path}", **arguments)
        if answer.is_error:
            message = f"{method} {path}: {answer.status_code} {answer.text[:1000]}"
            raise httpx.HTTPStatusError(message, request=answer.request, response=answer)
        return answer.json() if answer.content else None

    def dag_ids(self) -> list[str]:
        """The DAGs that Airflow has read so far."""
        return sorted(dag["dag_id"] for dag in self.request("GET", "/dags", params={"limit": 200})["dags"])

    def import_errors(self) -> list[str]:
        """The traces of the DAG files that Airflow could not read."""
        return [one["stack_trace"] for one in self.request("GET", "/importErrors")["import_errors"]]

    def wait_for_dags(self, *dag_ids: str, timeout: float = 90.0) -> None:
        """Wait until Airflow has read these DAGs.

        Raises:
            TimeoutError: It has not in `timeout` seconds, or a DAG file cannot be imported; the message says why.
        """
        deadline = time.monotonic() + timeout
        while missing := set(dag_ids) - set(self.dag_ids()):
            errors = self.import_errors()
            if errors or time.monotonic() > deadline:
                why = "\n".join(errors) or f"not within {timeout:.0f} s"
                raise TimeoutError(f"Airflow did not read {', '.join(sorted(missing))}: {why}")
            time.sleep(0.5)

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's runs start."""
        self.request("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Keep a DAG's further runs from starting."""
        self.request("PATCH", f"/dags/{dag_id}", json={"is_paused": True})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a manual run, without a logical date as the UI's button does; its run id."""
        body = {"logical_date": None, "conf": conf or {}}
        return str(self.request("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """A DAG's runs, oldest first."""
        found = self.request("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 200, "order_by": "id"})
        return list(found["dag_runs"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run."""
        return dict(self.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def wait(self, dag_id: str, run_id: str, timeout: float = 180.0) -> str:
        """Wait until a run has ended; its state, `success` or `failed`.

        Raises:
            TimeoutError: It has not; the message has the state of each task.
        """
        deadline = time.monotonic() + timeout
        while (state := self.run(dag_id, run_id)["state"]) not in _FINISHED:
            if time.monotonic() > deadline:
                states = {one["task_id"]: one["state"] for one in self.task_instances(dag_id, run_id)}
                raise TimeoutError(f"{dag_id} {run_id} is still {state} after {timeout:.0f} s: {states}")
            time.sleep(0.3)
        return str(state)

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear every task of a run, so that it runs again."""
        self.request("POST", f"/dags/{dag_id}/dagRuns/{run_id}/clear", json={"dry_run": False})

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a run, mapped ones one by one."""
        found = self.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": 1000})
        return list(found["task_instances"])

    def log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1) -> str:
        """A task's log as text, one event a line."""
        content = self.request(
            "GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}",
            params={"map_index": map_index, "full_content": True}, headers={"Accept": "application/json"},
        )["content"]  # fmt: skip
        return "\n".join(_line_of(event) for event in content) if isinstance(content, list) else str(content)

    def xcoms(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> dict[str, Any]:
        """What a task handed on: value by key."""
        base = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries"
        entries = self.request("GET", base, params={"map_index": map_index})["xcom_entries"]
        return {
            one["key"]: self.request("GET", f"{base}/{one['key']}", params={"map_index": map_index})["value"]
            for one in entries
        }

    def failures(self, dag_id: str, run_id: str) -> str:
        """The failed tasks of a run, each with the end of its log, for a message."""
        parts = []
        for one in self.task_instances(dag_id, run_id):
            if one["state"] == "failed":
                log = self.log(
                    dag_id, run_id, one["task_id"], try_number=one["try_number"], map_index=one["map_index"]
                )  # fmt: skip
                parts.append(f"{dag_id}.{one['task_id']} failed:\n" + "\n".join(log.splitlines()[-25:]))
        return "\n".join(parts) or f"{dag_id} {run_id}: no task failed"


def _line_of(event: Any) -> str:
    if not isinstance(event, dict):
        return str(event)
    details = [f"{name}={value}" for name, value in event.items() if name not in ("timestamp", "event", "level")]
    return " ".join([str(event.get("event", "")), *details])
