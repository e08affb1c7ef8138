"""`python exec_with_parent.py <parent pid> <command …>`: run a command that dies with its parent.

Linux only. This is a separate program because exec keeps the death signal, while setting it between
fork and exec is not safe next to asyncio's threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the command installs its own handler
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:  # it died before the death signal was set
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
