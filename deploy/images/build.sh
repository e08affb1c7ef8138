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

# Only the options that select a package index, as lines of the form `name = value`; environment variables
# override files. Other options concern this machine: a constraint file, for example, is not in the image.
options='index-url|extra-index-url|find-links|no-index|trusted-host|cert|client-cert|proxy|timeout|default-timeout|retries'
echo '[global]' >"$config"
.venv/bin/python -m pip config list |
    sed -nE "s/^(:env:|global)\.($options)='(.*)'$/\2 = \3/p" |
    sed 's/\\n/ /g' | # a value of several lines
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
