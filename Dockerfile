# One image for every process: `docker run sav-service` serves HTTP; `worker`, `scheduler` or `migrate`
# after the image's name runs the others, and `doctor` says what is wrong.
FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/sav
WORKDIR /source
# The dependencies change less often than the code: their layer is kept.
COPY setup.cfg pyproject.toml README.md ./
RUN mkdir sav && touch sav/__init__.py sav/py.typed && /opt/sav/bin/pip install '.[tracing]' && /opt/sav/bin/pip uninstall --yes sav-service
COPY sav sav
RUN /opt/sav/bin/pip install --no-deps .

FROM python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="sav-service" org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin sav
COPY --from=build /opt/sav /opt/sav
# Nothing is written but under /tmp (uploads on their way to the store), so the root may be read-only.
ENV PATH=/opt/sav/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 APP_PORT=8000 APP_ENV=production
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['APP_PORT']}/health\", timeout=2)"]
ENTRYPOINT ["sav"]
CMD ["http"]
