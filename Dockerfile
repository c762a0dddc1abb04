# One image for the web server, the worker and manage.py.

FROM python:3.13-slim AS build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --requirement requirements.txt

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --no-create-home licensing
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY . .
# Owned by root and read-only for the process. The key and the database here exist for this one command only.
RUN SECRET_KEY=only-while-building DATABASE_URL=postgresql:///unused python manage.py collectstatic --no-input
USER licensing
EXPOSE 8000
# The worker answers no HTTP; compose.yaml gives it a check of its own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "8000"]
