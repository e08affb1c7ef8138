"""`python tether.py <parent> <command …>` becomes the command, which dies when its parent does.

Linux only. A program of its own because exec keeps the death signal, while setting it between fork
and exec is not safe beside asyncio's threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the command says what it means to it
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:  # it was gone before the signal was asked for
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
