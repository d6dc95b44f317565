# The service, small and without rights; it answers for localhost only:
# docker build -t mien . && docker run --rm -p 127.0.0.1:8000:8000 -e MIEN_ALLOW_HOST=localhost mien
#
# For a build that can be repeated, name the base image by its digest; `make image` refuses to build without one:
# docker buildx imagetools inspect python:3.11-slim-bookworm --format '{{.Manifest.Digest}}'
# make image BASE=python:3.11-slim-bookworm@sha256:DIGEST
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY container ./container
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r container/build-requirements.txt \
 && python -m venv /opt/mien \
 && /opt/mien/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r container/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/build/bin/python -m hatchling build -t wheel -d /src/dist \
 && /opt/mien/bin/pip install --no-cache-dir --no-deps /src/dist/*.whl

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/mien /opt/mien
ENV PATH=/opt/mien/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MIEN_HOST=0.0.0.0 \
    MIEN_PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os; from urllib.request import urlopen; urlopen(f'http://127.0.0.1:{os.environ[\"MIEN_PORT\"]}/health/ready', timeout=2)"]
ENTRYPOINT ["mien", "serve"]
