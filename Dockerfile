# syntax=docker/dockerfile:1
# docker build -t llm-proxy .
# docker run -p 127.0.0.1:8080:8080 -v llm-proxy:/data -e LLM_PROXY_ADMIN_KEY="$(openssl rand -hex 32)" llm-proxy

FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/llm-proxy \
    && /opt/llm-proxy/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/llm-proxy/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="llm-proxy" \
      org.opencontainers.image.description="A logging reverse proxy for LLM providers" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --no-create-home llm-proxy \
    && install --directory --mode=0700 --owner=llm-proxy /data
COPY --from=build /opt/llm-proxy /opt/llm-proxy
# Inside a container the port is only reachable as far as it is published; it wants a key all the same (docs/operations.md).
ENV PATH=/opt/llm-proxy/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LLM_PROXY_HOST=0.0.0.0 \
    LLM_PROXY_DATA_DIR=/data
USER 10001
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/healthz' % os.environ.get('LLM_PROXY_PORT', '8080'), timeout=2)"]
ENTRYPOINT ["llm-proxy"]
CMD ["serve"]
