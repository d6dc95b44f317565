#!/bin/sh
# Refuse a base image that is not named by its digest: sh container/require_digest.sh IMAGE
digest=${1##*@sha256:}
case $1 in
*?@sha256:*) ;;
*) digest= ;;
esac
case $digest in
*[!0-9a-f]*) digest= ;;
esac
if [ ${#digest} -ne 64 ]; then
    cat >&2 <<END
Expected a base image with its digest (NAME@sha256: and 64 hexadecimal digits), got '${1:-none}'.
Look the digest up, then build:
  docker buildx imagetools inspect python:3.11-slim-bookworm --format '{{.Manifest.Digest}}'
  make image BASE=python:3.11-slim-bookworm@sha256:DIGEST
To build without one: docker build -t mien .
END
    exit 2
fi
