#!/usr/bin/env bash
# Builds both images with buildah, which needs no daemon. Usage: build.sh BASE [OPTION of buildah]...
# pip in the build finds the index that this machine's own pip uses.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

base=$1
shift
config=$(mktemp)
trap 'rm -f "$config"' EXIT
{
    echo '[global]'
    python3 -m pip config list | sed -n "s/^global\.\([a-z-]*\)='\(.*\)'$/\1 = \2/p"
} >"$config"

for role in api worker; do
    buildah build --quiet --format docker --isolation chroot --network host --timestamp 0 \
        --build-arg BASE="$base" --secret id=pip.conf,src="$config" \
        --volume /etc/ssl/certs:/etc/ssl/certs:ro "$@" \
        --file "Dockerfile.$role" --tag "mamba-server/$role" .
done
