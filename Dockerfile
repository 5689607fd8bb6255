# One image for worker, orchestrator and Flower; each service of docker-compose.yml gives its own command.
FROM python:3.12-slim

RUN useradd --create-home --uid 10001 rowrace \
    && install --directory --owner=rowrace --group=rowrace --mode=0700 /var/lib/rowrace/journal /var/lib/rowrace/runs

WORKDIR /opt/rowrace
# The lock constrains what is installed; its development tools stay out of the image.
COPY requirements.lock pyproject.toml README.md LICENSE rowrace.py ./
COPY worker worker
COPY orchestrator orchestrator
RUN pip install --no-cache-dir --constraint requirements.lock setuptools \
    && pip install --no-cache-dir --constraint requirements.lock --no-build-isolation .

USER rowrace
WORKDIR /var/lib/rowrace/runs
ENV PYTHONUNBUFFERED=1
CMD ["rowrace", "--help"]
