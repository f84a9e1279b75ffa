"""The bot's real server as a process, to be killed and started again at the same address."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.browser.project import SECRETS
from tests.dialogue.servers import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds for it to come up


class BotServer:
    """`starfold run` of a project that is trained.

    Args:
        project: its folder.
        origins: of the pages that may talk to it.
    """

    def __init__(self, project: Path, *origins: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.project = project
        self._origins = origins
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "dialogue", "run", "-p", str(self.project)]
        command += ["--port", str(self.port)]
        command += [part for origin in self._origins for part in ("--cors", origin)]
        own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        with (self.project / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, env={**os.environ, **SECRETS, **own}, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health/ready", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"the server did not come up: {(self.project / 'server.log').read_text()[-2000:]}")

    @property
    def runs(self) -> bool:
        """Whether it was started and not killed."""
        return self._process is not None

    def kill(self) -> None:
        """As when the power fails."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(PATIENCE)
            self._process = None
