#!/usr/bin/env bash
# Runs a command with the chart's security context: read-only root, a writable /tmp, no root user, no
# privilege escalation, its own PID namespace. Usage: contain.sh ROOT HOSTNAME DIRECTORY UID:GID COMMAND...
set -euo pipefail

inside='
mount --make-rprivate /
mount --bind "$1" "$1"
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/tmp"
mount -o remount,bind,ro "$1"
hostname "$2"
root=$1 directory=$3 user=$4
shift 4
exec chroot --userspec="$user" --groups="${user#*:}" "$root" /bin/sh -c \
    "cd \"\$0\" && exec setpriv --no-new-privs \"\$@\"" "$directory" "$@"
'
exec unshare --mount --uts --pid --fork --kill-child bash -ec "$inside" contain "$@"
