# The service, small and without rights; it answers for localhost only:
# docker build -t mien . && docker run --rm -p 127.0.0.1:8000:8000 -e MIEN_ALLOW_HOST=localhost mien

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/mien \
 && /opt/mien/bin/pip install --no-cache-dir --constraint constraints.txt '.[serve]'

FROM python:3.11-slim-bookworm
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
