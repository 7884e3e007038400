# syntax=docker/dockerfile:1
#
# The router, without a compiler, without secrets, not as root. The configuration is mounted:
#   docker run -v ./routes.yaml:/etc/router/routes.yaml:ro -e APP_PASSWORD -p 3307:3307 mysql-query-router

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
# The very versions of uv.lock, all of them as wheels.
RUN pip install --no-cache-dir uv==0.13.8
ENV UV_PROJECT_ENVIRONMENT=/opt/router UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --extra otel --no-install-project --no-cache
COPY router router
RUN uv sync --frozen --no-dev --extra otel --no-editable --no-cache

FROM python:3.11-slim-bookworm
COPY --from=build /opt/router /opt/router
ENV PATH=/opt/router/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ROUTER_CONFIG=/etc/router/routes.yaml
USER 10001:10001
EXPOSE 3307 8307
# Where admin.http is elsewhere, tell it by ROUTER_LIVEZ.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ.get('ROUTER_LIVEZ', 'http://127.0.0.1:8307/livez'), timeout=3)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["router"]
CMD ["run"]
