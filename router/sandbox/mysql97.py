"""MySQL 9.7 without a container and without being installed.

Debian sid has MySQL 9.7. Its packages and the libraries they need are unpacked, not installed, into the user's cache;
every program is then run through the C library's own loader that was unpacked beside it, so that it does not matter
which distribution this machine runs.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from router.sandbox.process import SandboxError, SandboxUnavailable, cache_directory, made_once, run

PACKAGES = ("mysql-server-core", "mysql-router", "mysql-client-core")
DIRECTORY_VARIABLE = "ROUTER_MYSQL97_DIR"
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nmysql:x:101:101:MySQL:/nonexistent:/bin/false\n"
_MERGED = ("bin", "sbin", "lib", "lib64")


@dataclass(frozen=True, slots=True)
class MySQL97:
    """The unpacked tree of MySQL 9.7; every command is an argument list to which options are appended."""

    root: Path

    @property
    def version(self) -> str:
        """The server's version as the package names it, such as ``9.7.4``."""
        words = run([*self.mysqld, "--no-defaults", "--version"], timeout=30, what="mysqld --version").split()
        return words[words.index("Ver") + 1].partition("-")[0]

    @property
    def mysqld(self) -> list[str]:
        """The server."""
        return self.command("usr/sbin/mysqld")

    @property
    def mysql(self) -> list[str]:
        """The command line client."""
        return self.command("usr/bin/mysql")

    @property
    def mysqldump(self) -> list[str]:
        """The logical backup."""
        return self.command("usr/bin/mysqldump")

    @property
    def mysqlrouter(self) -> list[str]:
        """MySQL Router; its configuration must name ``router_plugins`` as ``plugin_folder``."""
        return self.command("usr/bin/mysqlrouter")

    @property
    def messages(self) -> Path:
        """For ``--lc-messages-dir``."""
        return self.root / "usr/share/mysql"

    @property
    def charsets(self) -> Path:
        """For ``--character-sets-dir``."""
        return self.root / "usr/share/mysql/charsets"

    @property
    def plugins(self) -> Path:
        """For ``--plugin-dir``."""
        return self.root / "usr/lib/mysql/plugin"

    @property
    def router_plugins(self) -> Path:
        """For ``plugin_folder`` of MySQL Router."""
        return self.root / "usr/lib/mysqlrouter/plugin"

    def command(self, program: str) -> list[str]:
        """How to run a program of the tree, named relative to its root."""
        path = str(self.root / program)
        loader = self._loader()
        libraries = f"{loader.parent}:{self.root / 'usr/lib/mysql-router'}:{self.router_plugins}"
        return [str(loader), "--library-path", libraries, "--argv0", path, path]

    def _loader(self) -> Path:
        for loader in sorted(self.root.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*")):
            return loader
        raise SandboxUnavailable(f"{self.root} has no dynamic loader: not an unpacked Debian tree")


def mysql97() -> MySQL97:
    """MySQL 9.7 from ``$ROUTER_MYSQL97_DIR`` or the cache; unpacks it there the first time (about ten seconds).

    Raises SandboxUnavailable with the reason and what to do.
    """
    named = os.environ.get(DIRECTORY_VARIABLE)
    if named:
        root = Path(named)
        if not (root / "usr/sbin/mysqld").exists():
            raise SandboxUnavailable(f"{DIRECTORY_VARIABLE}={named}: there is no usr/sbin/mysqld in it")
        return MySQL97(root)
    return MySQL97(made_once(cache_directory() / "mysql-9.7", _unpack))


def _unpack(directory: Path) -> None:
    mmdebstrap = shutil.which("mmdebstrap")
    if mmdebstrap is None:
        raise SandboxUnavailable(
            "MySQL 9.7 is unpacked from Debian's packages by mmdebstrap, which is not installed: "
            "apt-get install mmdebstrap debian-archive-keyring"
        )
    # Nothing is configured or run inside the tree, so a normal user needs neither a chroot nor user namespaces.
    mode = "root" if os.geteuid() == 0 else "chrootless"
    options = [f"--mode={mode}", "--variant=extract", '--aptopt=Acquire::Check-Valid-Until "false"']
    try:
        run(
            [mmdebstrap, *options, f"--include={','.join(PACKAGES)}", "sid", str(directory)],
            timeout=300,
            what="unpacking MySQL 9.7 with mmdebstrap",
        )
    except SandboxError as error:
        raise SandboxUnavailable(str(error)) from error
    for name in _MERGED:
        if not (directory / name).exists():
            (directory / name).symlink_to(f"usr/{name}")
    (directory / "etc/passwd").write_text(_PASSWD, encoding="ascii")
    # The tree is only read from; mkdtemp made it private and mmdebstrap may have made it root's.
    directory.chmod(0o755)
