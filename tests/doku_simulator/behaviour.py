"""What the simulator is told to do: an ordinary day by default, or late, in parts, cut off, with faults."""

import hashlib
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

from tests.doku_simulator.journal import Journal
from tests.doku_simulator.menu import ALL


@dataclass(frozen=True)
class Fault:
    """One fault to happen.

    Attributes:
        name: Of the menu.
        seed: Decides what the fault leaves open (which line, which byte).
        times: How often it happens; 0: always.
        after: How many matching opportunities pass by first.
        match: Shell pattern for what the menu's column `match` names.
        params: Of the menu; missing ones have the menu's default.
        id: What uses are counted by; by default one for each writing of the control file, so that a fault that is
            ordered again happens again.
    """

    name: str
    seed: int = 0
    times: int = 1
    after: int = 0
    match: str = "*"
    params: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""

    def __post_init__(self) -> None:
        kind = ALL.get(self.name)
        if kind is None:
            raise ValueError(f"there is no fault {self.name!r} on the menu; see tests/doku_simulator/README.md")
        if unknown := sorted(set(self.params) - set(kind.params)):
            raise ValueError(f"fault {self.name} has no parameter {unknown[0]!r}")

    def param(self, name: str) -> Any:
        return self.params[name] if name in self.params else ALL[self.name].params[name][0]

    def rng(self, subject: str) -> random.Random:
        """Randomness of its own for each subject, so that the order of events does not matter."""
        return random.Random(f"{self.seed}|{self.name}|{subject}")

    def at(self, subject: str) -> int:
        """The byte of a cut: the parameter, or one by the seed."""
        given = self.params.get("at")
        return int(given) if given is not None else self.rng(subject).randint(1, 4096)


@dataclass(frozen=True)
class Chaos:
    """A random mix of faults: at each opportunity the seed decides whether one of `names` happens.

    Attributes:
        names: Of the menu; empty means all.
        probability: For each opportunity.
        limit: After so many faults the simulator behaves: a test comes to its end.
        params: Parameters by fault name, as `{"hang": {"seconds": 1}}`.
    """

    seed: int
    probability: float = 0.1
    names: tuple[str, ...] = ()
    limit: int = 20
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := sorted({*self.names, *self.params} - set(ALL)):
            raise ValueError(f"there is no fault {unknown[0]!r} on the menu")
        for name, params in self.params.items():
            Fault(name, params=params)

    def draw(self, name: str, subject: str, nth: int) -> Fault | None:
        if self.names and name not in self.names:
            return None
        digest = hashlib.sha256(f"{self.seed}|{name}|{subject}|{nth}".encode()).digest()
        if int.from_bytes(digest[:8], "big") / 2**64 >= self.probability:
            return None
        return Fault(name, seed=int.from_bytes(digest[8:12], "big"), params=self.params.get(name, {}))


@dataclass(frozen=True)
class Behaviour:
    """How the simulator behaves from the next batch on.

    Attributes:
        late_seconds: How long a report waits before it is put into the outbound folder.
        split: In how many files a report comes.
        split_delay_seconds: Time between these files.
        merge: How many batches one report answers; going back to 1, the next batch's report answers those that wait.
        truncate_bytes: Bytes cut off the end of each delivered report file.
        mix: Response codes and their weights in place of the configured ones.
        faults: From the menu.
        chaos: A random mix of faults.
    """

    late_seconds: float = 0.0
    split: int = 1
    split_delay_seconds: float = 0.0
    merge: int = 1
    truncate_bytes: int = 0
    mix: Mapping[str, float] | None = None
    faults: tuple[Fault, ...] = ()
    chaos: Chaos | None = None

    def __post_init__(self) -> None:
        if min(self.split, self.merge) < 1 or min(self.late_seconds, self.split_delay_seconds, self.truncate_bytes) < 0:
            raise ValueError("split and merge are at least 1, the other numbers at least 0")
        if self.mix is not None and not any(weight > 0 for weight in self.mix.values()):
            raise ValueError("the mix of response codes is empty")

    @property
    def skew(self) -> float:
        """Seconds that the server's clock is off: a state, not an event, so it is not used up."""
        return sum(float(fault.param("seconds")) for fault in self.faults if fault.name == "clock_skew")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the text of a control file.

        Raises:
            ValueError: Not JSON, or a key, a fault or a parameter that does not exist.
        """
        raw = json.loads(text)
        known = {item.name for item in fields(cls)}
        if not isinstance(raw, dict) or (unknown := sorted(set(raw) - known)):
            raise ValueError(f"unknown key {unknown[0]!r}" if isinstance(raw, dict) else "not an object")
        try:
            raw["faults"] = tuple(
                Fault(item) if isinstance(item, str) else Fault(**item) for item in raw.get("faults", [])
            )
            if chaos := raw.get("chaos"):
                raw["chaos"] = Chaos(**{**chaos, "names": tuple(chaos.get("names", ()))})
            return cls(**raw)
        except TypeError as error:
            raise ValueError(str(error)) from None

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


class Director:
    """Knows the behaviour of the moment and hands out faults, each as often as told, also across restarts.

    The control file is looked at again whenever it has changed. One that cannot be read leaves the last good behaviour
    in force and is reported in `problem`.
    """

    def __init__(self, control_file: Path, fired: Journal) -> None:
        self._file = control_file
        self._fired = fired
        self._lock = threading.RLock()
        self._stamp: int | None = None
        self._behaviour = Behaviour()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._uses: Counter[str] = Counter()
        self._subjects: set[tuple[str, str]] = set()
        self.problem = ""
        for record in fired.records():
            self._uses[record["id"]] += 1
            self._subjects.add((record["id"], record["subject"]))

    @property
    def behaviour(self) -> Behaviour:
        with self._lock:
            self._reload()
            return self._behaviour

    def set(self, behaviour: Behaviour) -> None:
        """Write the control file, as a person would."""
        with self._lock:
            temporary = self._file.with_name(f".{self._file.name}.new")
            temporary.write_text(behaviour.to_json(), encoding="utf-8")
            # Two orders within one tick of the file system's clock are two orders.
            order = max(time.time_ns(), (self._stamp or 0) + 1)
            os.utime(temporary, ns=(order, order))
            temporary.replace(self._file)
            self._reload()

    def _reload(self) -> None:
        try:
            stamp = self._file.stat().st_mtime_ns
        except FileNotFoundError:
            if self._stamp is not None:
                self._stamp, self._behaviour = None, Behaviour()
            return
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            behaviour = Behaviour.from_json(self._file.read_text(encoding="utf-8"))
            faults = [
                fault if fault.id else replace(fault, id=f"{fault.name}:{number}@{stamp}")
                for number, fault in enumerate(behaviour.faults)
            ]
            self._behaviour = replace(behaviour, faults=tuple(faults))
            self.problem = ""
        except ValueError as error:
            self.problem = f"{self._file.name}: {error}; the last good behaviour stays in force"

    def pending(self, name: str, subject: str) -> bool:
        """Whether `take` might hand out this fault now; takes nothing."""
        with self._lock:
            return any(self._open(fault, name, subject) for fault in self.behaviour.faults)

    def take(self, name: str, subject: str, *, once_per_subject: bool = False, **only: str) -> Fault | None:
        """The fault that happens now to `subject`, or None. Taking uses it up by one.

        Args:
            once_per_subject: Asked again for the same subject (after a crash), the same fault is handed out again and
                is not used up twice.
            only: Parameters that must match, as `op="rename"`; a parameter of `*` matches all.
        """
        with self._lock:
            for fault in self.behaviour.faults:
                again = once_per_subject and (fault.id, subject) in self._subjects and fault.name == name
                if not again and not self._open(fault, name, subject):
                    continue
                if any(fault.param(key) not in ("*", value) for key, value in only.items()):
                    continue
                if again:
                    return fault
                self._seen[(fault.id, name)] += 1
                if self._seen[(fault.id, name)] > fault.after:
                    return self._use(fault, subject)
            return self._take_by_chance(name, subject)

    def _open(self, fault: Fault, name: str, subject: str) -> bool:
        if fault.name != name or not fnmatchcase(subject, fault.match):
            return False
        return not fault.times or self._uses[fault.id] < fault.times

    def _take_by_chance(self, name: str, subject: str) -> Fault | None:
        chaos = self._behaviour.chaos
        uses_by = f"chaos:{chaos.seed}@{self._stamp}" if chaos else ""
        if chaos is None or self._uses[uses_by] >= chaos.limit:
            return None
        self._seen[(name, subject)] += 1
        fault = chaos.draw(name, subject, self._seen[(name, subject)])
        return self._use(replace(fault, id=uses_by), subject) if fault else None

    def _use(self, fault: Fault, subject: str) -> Fault:
        self._uses[fault.id] += 1
        self._subjects.add((fault.id, subject))
        self._fired.append([{"id": fault.id, "name": fault.name, "seed": fault.seed, "subject": subject}])
        return fault
