#!/usr/bin/env bash
# A base image out of this machine's own Debian archive, where no image registry is at hand.
# Usage: base.sh NAME
set -euo pipefail

name=$1
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mamba-server
tarball=$cache/base-$release.tar

mkdir -p "$cache"
if [[ ! -s $tarball ]]; then
    # `check-gpg` and the archive's keys are apt's own.
    mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$release" "$tarball.part"
    mv "$tarball.part" "$tarball"
fi

container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
buildah add --quiet "$container" "$tarball" / >/dev/null
buildah config --env PATH=/usr/local/bin:/usr/bin:/bin "$container"
buildah commit --quiet "$container" "$name" >/dev/null
