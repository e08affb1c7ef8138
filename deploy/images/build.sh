#!/usr/bin/env bash
# Builds both images with buildah, which needs no daemon. Usage: build.sh BASE [OPTION of buildah]...
# pip and npm in the build use the package indexes configured on this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

base=$1
shift
config=$(mktemp)
npmrc=$(mktemp)
trap 'rm -f "$config" "$npmrc"' EXIT

# Lines of the form `name = value`. Environment variables override files. The lock files pin every
# version, so a constraint file of this machine, which the build cannot read, is left out.
echo '[global]' >"$config"
.venv/bin/python -m pip config list |
    sed -n "s/^\(:env:\|global\)\.\([a-z-]*\)='\(.*\)'$/\2 = \3/p" |
    grep -v '^constraint = ' |
    sort --key=1,1 --unique --stable >>"$config"

for name in registry cafile; do
    value=$(npm config get "$name" 2>/dev/null || true)
    [[ -n $value && $value != null && $value != undefined ]] && echo "$name=$value" >>"$npmrc"
done

mounts=(--volume /etc/ssl/certs:/etc/ssl/certs:ro)
for value in $(sed 's/.* = //' "$config"); do
    folder=${value#file://}
    folder=${folder%/simple} # an index keeps its files in the parent folder
    [[ -d $folder ]] && mounts+=(--volume "$folder:$folder:ro")
done

for role in api worker; do
    buildah build --quiet --format docker --isolation chroot --network host --timestamp 0 \
        --build-arg BASE="$base" --secret id=pip.conf,src="$config" \
        --secret id=npmrc,src="$npmrc" "${mounts[@]}" "$@" \
        --file "Dockerfile.$role" --tag "mamba-server/$role" .
done
