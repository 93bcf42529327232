"""The simulator's key pairs, made once and kept, so that a restart is the same server to everybody."""

import secrets
from dataclasses import dataclass
from pathlib import Path

import asyncssh
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass(frozen=True)
class KeyRing:
    """Where the keys lie, in `ROOT/keys`.

    The `other_*` pair stands for a wrong key: the fault menu seals with it and shows its host key.
    """

    folder: Path
    bits: int = 2048

    def create(self) -> None:
        """Make whatever is missing; what exists stays."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("doku", "merchant", "other"):
            self._rsa_pair(name)
        for name in ("host_key", "other_host_key", "client_key"):
            self._ssh_pair(name)
        if not self._password.exists():
            _write(self._password, secrets.token_urlsafe(16).encode("ascii"))

    @property
    def _password(self) -> Path:
        return self.folder / "password"

    @property
    def password(self) -> str:
        return self._password.read_text(encoding="ascii").strip()

    def secret(self, name: str) -> str:
        """A random secret of that name, made when it is first asked for and kept."""
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(path, secrets.token_urlsafe(32).encode("ascii"))
        return path.read_text(encoding="ascii").strip()

    def private_path(self, name: str) -> Path:
        return self.folder / f"{name}_private.pem"

    def public_path(self, name: str) -> Path:
        return self.folder / f"{name}_public.pem"

    def ssh_path(self, name: str) -> Path:
        return self.folder / name

    def ssh_public_line(self, name: str) -> str:
        """`ssh-ed25519 AAAA...`, without a comment."""
        text = (self.folder / f"{name}.pub").read_text(encoding="ascii")
        return " ".join(text.split()[:2])

    def private(self, name: str) -> rsa.RSAPrivateKey:
        # Our own key: looking for weak ones takes a tenth of a second each time.
        data = self.private_path(name).read_bytes()
        key = serialization.load_pem_private_key(data, password=None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{self.private_path(name)} is not an RSA key")
        return key

    def public(self, name: str, path: Path | None = None) -> rsa.RSAPublicKey:
        key = serialization.load_pem_public_key((path or self.public_path(name)).read_bytes())
        if not isinstance(key, rsa.RSAPublicKey):
            raise TypeError(f"{path or self.public_path(name)} is not an RSA key")
        return key

    def _rsa_pair(self, name: str) -> None:
        if self.private_path(name).exists():
            return
        key = rsa.generate_private_key(public_exponent=65537, key_size=self.bits)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(self.public_path(name), public, mode=0o644)
        _write(self.private_path(name), private)  # last: its presence says that the pair is whole

    def _ssh_pair(self, name: str) -> None:
        if self.ssh_path(name).exists():
            return
        key = asyncssh.generate_private_key("ssh-ed25519")
        _write(self.folder / f"{name}.pub", key.export_public_key("openssh"), mode=0o644)
        _write(self.ssh_path(name), key.export_private_key("openssh"))


def _write(path: Path, data: bytes, mode: int = 0o600) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.touch(mode=mode)
    temporary.write_bytes(data)
    temporary.replace(path)
