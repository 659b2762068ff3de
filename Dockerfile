# The platform's own programs: migration, code server, daemon, webserver, simulated market and
# company.
# Servers are images of their makers (docker-compose.yml). Another base: --build-arg PYTHON_IMAGE=...
ARG PYTHON_IMAGE=python:3.13.16-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /app
ENV VIRTUAL_ENV=/opt/venv
COPY requirements.lock ./
# uv and setuptools from the lock, as bootstrap.py does; everything is checked against its hash.
RUN python3 -m venv /opt/tools \
    && sed -n '/^\(uv\|setuptools\)==/,/[^\\]$/p' requirements.lock > tools.lock \
    && /opt/tools/bin/pip install --no-cache-dir --no-deps --require-hashes -r tools.lock
COPY pyproject.toml ./
# The project's needs and the launchers of runs (no embedded servers, no linters), at the lock's versions.
RUN python3 -m venv --without-pip /opt/venv \
    && /opt/tools/bin/uv pip install --no-cache --compile-bytecode --require-hashes \
       --requirement pyproject.toml --extra docker --extra kubernetes \
       --constraint requirements.lock
COPY README.md LICENSE dagster.yaml workspace.yaml ./
COPY crypto_platform ./crypto_platform
# Editable, so that the package lies beside its YAML files as in a checkout.
RUN PYTHONPATH="$(echo /opt/tools/lib/python3*/site-packages)" /opt/tools/bin/uv pip install \
       --no-cache --no-deps --no-build-isolation --editable . \
    && /opt/venv/bin/python -m compileall -q crypto_platform \
    && rm -rf tools.lock ./*.egg-info

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    DAGSTER_HOME=/var/lib/dagster \
    CRYPTO_PLATFORM_DATA_DIR=/var/lib/crypto_platform
# dagster.yaml is a link, so that a volume made by an older image does not keep the older file.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/crypto_platform platform \
    && mkdir -p /var/lib/dagster /var/lib/crypto_platform /var/lib/company \
    && ln -s /app/dagster.yaml /app/workspace.yaml /var/lib/dagster/ \
    && chown -R platform:platform /var/lib/dagster /var/lib/crypto_platform /var/lib/company
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
CMD ["crypto-platform", "--help"]
