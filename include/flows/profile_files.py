"""Profiles as their files are now, for a process that lives long: a file is read again only when it has changed."""

from pathlib import Path

from include.domain.errors import ConfigError
from include.schemas.profile import Profile, load_profile, profiles_dir

_Seen = tuple[int, int, int]


class ProfileFiles:
    """The profiles of the deployment's folder, kept until their file changes."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[_Seen, Profile | ConfigError]] = {}

    def named(self, name: str) -> Profile | None:
        """The profile of that name; None when there is none.

        Args:
            name: Looked at by the caller: it becomes part of a path.

        Raises:
            ConfigError: Its file cannot be used.
        """
        return self._profile(profiles_dir() / f"{name}.toml")

    def usable(self) -> list[Profile]:
        """Every profile that can be used, by name."""
        found = []
        for path in sorted(profiles_dir().glob("*.toml")):
            try:
                found.append(self._profile(path))
            except ConfigError:
                continue
        return [one for one in found if one is not None]

    def _profile(self, path: Path) -> Profile | None:
        try:
            status = path.stat()
        except (OSError, ValueError):
            self._read.pop(path, None)
            return None
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._read.get(path)
        if known is None or known[0] != seen:
            known = (seen, _load(path))
            self._read[path] = known
        if isinstance(known[1], ConfigError):
            raise known[1]
        return known[1]


def _load(path: Path) -> Profile | ConfigError:
    try:
        return load_profile(path)
    except ConfigError as caught:
        return caught
