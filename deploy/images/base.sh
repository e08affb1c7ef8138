#!/usr/bin/env bash
# Builds a base image from this machine's Debian archive, for use without an image registry.
# Usage: base.sh NAME
set -euo pipefail

name=$1
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mamba-server
tarball=$cache/base-$release.tar

mkdir -p "$cache"
if [[ ! -f $tarball ]]; then
    mmdebstrap --quiet --format=tar --variant=minbase --include=python3,python3-venv,ca-certificates \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$release" "$tarball.part"
    mv "$tarball.part" "$tarball"
fi

container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
buildah add --quiet "$container" "$tarball" / >/dev/null
version_check='import sys; sys.exit(sys.version_info < (3, 11))'
buildah run --isolation chroot "$container" python3 -c "$version_check" || {
    echo "The Python of $release is older than 3.11: build the images on a newer release." >&2
    exit 1
}
buildah config --env PATH=/usr/local/bin:/usr/bin:/bin "$container"
buildah commit --quiet "$container" "$name" >/dev/null
