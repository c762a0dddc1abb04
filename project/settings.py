"""Everything that can be configured, read from the environment here and nowhere else.

``docs/configuration.md`` explains each variable. Reading is strict: a value that cannot be understood stops the start.
What can be understood but makes no sense is reported by the system checks (``licensing_integration/checks.py``), all of
it at once.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from project.embedded_postgres import EmbeddedPostgres, choose_folder

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()
ENV_FILE: str = env.str("ENV_FILE", default=str(BASE_DIR / ".env"))
if ENV_FILE and Path(ENV_FILE).is_file():
    env.read_env(ENV_FILE)


def _flag(name: str, *, default: bool) -> bool:
    """A yes or no. Unlike ``env.bool`` it does not read a misspelt "yes" as "no"."""
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    text = env.str(name, default="").strip().lower()
    if not text:
        return default
    if text not in words:
        raise ImproperlyConfigured(f"{name} must be true or false, not {text!r}.")
    return words[text]


def _number(name: str, *, default: float, least: float = 0) -> float:
    text = env.str(name, default="").strip()
    try:
        number = float(text.replace("_", "")) if text else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {text!r}.") from None
    if not least <= number < float("inf"):
        raise ImproperlyConfigured(f"{name} must be at least {least:g}, not {text!r}.")
    return number


def _whole_number(name: str, *, default: int, least: int = 0) -> int:
    number = _number(name, default=default, least=least)
    if number != int(number):
        raise ImproperlyConfigured(f"{name} must be a whole number, not {number:g}.")
    return int(number)


def _list(name: str) -> list[str]:
    return [part.strip() for part in env.str(name, default="").split(",") if part.strip()]


def _file_of(name: str) -> str | None:
    """The content of the file that ``<name>_FILE`` points to, as container platforms hand out secrets."""
    path = env.str(f"{name}_FILE", default="")
    if not path:
        return None
    if env.str(name, default=""):
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE: cannot read {path}.") from error


def _verbatim(name: str) -> str:
    """A value exactly as it is: ``env.str`` takes what begins with ``$`` for the name of another variable."""
    return str(env.ENVIRON.get(name, ""))


def _secret(name: str) -> str:
    content = _file_of(name)
    return (_verbatim(name) if content is None else content).strip()


def _secrets(name: str) -> tuple[str, ...]:
    """Several secrets, so that one can be replaced without an interruption: by commas, or one per line of a file."""
    content = _file_of(name)
    parts = _verbatim(name).split(",") if content is None else content.splitlines()
    return tuple(part.strip() for part in parts if part.strip())


def _named(variable: str, *, default: str) -> list[tuple[str, str]]:
    """``"main=fastspring,eu=fastspring"`` as pairs; a lone ``fastspring`` names itself."""
    pairs = (part.partition("=") for part in env.str(variable, default=default).split(",") if part.strip())
    return [(name.strip(), slug.strip() or name.strip()) for name, _, slug in pairs]


def _prefix(name: str) -> str:
    return name.upper().replace("-", "_")


def _store(name: str, adapter: str) -> dict[str, Any]:
    prefix = _prefix(name)
    return {
        "name": name,
        "adapter": adapter,
        "webhook_secrets": _secrets(f"{prefix}_WEBHOOK_SECRET"),
        "fulfilment_keys": _secrets(f"{prefix}_FULFILMENT_KEY"),
        "test_events": env.str(f"{prefix}_TEST_EVENTS", default="hold"),
        "api_username": env.str(f"{prefix}_API_USERNAME", default=""),
        "api_password": _secret(f"{prefix}_API_PASSWORD") or _secret(f"{prefix}_API_KEY"),
        "api_base_url": env.str(f"{prefix}_API_BASE_URL", default=""),
        "unmapped": env.str(f"{prefix}_UNMAPPED", default="wait"),
    }


def _license_server(name: str, backend: str) -> dict[str, Any]:
    prefix = _prefix(name)
    # LicenseSpring's smallest plan: 600 in a minute, 200 in ten seconds.
    default_url, default_limit = {
        "cryptlex": ("https://api.cryptlex.com", 50),
        "licensespring": ("https://saas.licensespring.com", 45),
    }.get(backend, ("", 50))
    return {
        "name": name,
        "backend": backend,
        "base_url": env.str(f"{prefix}_WEB_API_BASE_URL", default=default_url),
        "access_token": _secret(f"{prefix}_ACCESS_TOKEN"),
        "request_limit": _whole_number(f"{prefix}_REQUEST_LIMIT", default=default_limit),
        "request_window_seconds": _number(f"{prefix}_REQUEST_WINDOW_SECONDS", default=5.0, least=0.001),
        "adopt": env.str(f"{prefix}_ADOPT", default="auto"),
        "default_product_id": env.str(f"{prefix}_PRODUCT_ID", default=""),
        "uuid": env.str(f"{prefix}_UUID", default=""),
    }


def _mail_server(url: str) -> dict[str, Any]:
    """Django's settings for the mail server at ``url``; without, they take every mail and send none."""
    try:
        found = env.email_url_config(url or "dummymail://")
        is_understood = not url or (url.startswith("smtp") and found["EMAIL_HOST"])
    except (ImproperlyConfigured, ValueError):
        is_understood = False
    if not is_understood:  # said without the address, and not from an error that holds it: there is a password in it
        raise ImproperlyConfigured(
            "EMAIL_URL must be like smtp+tls://user:password@mail.example.com:587 (or smtp:, smtp+ssl:)."
        )
    is_tls, is_ssl = bool(found.get("EMAIL_USE_TLS")), bool(found.get("EMAIL_USE_SSL"))
    port = found["EMAIL_PORT"] or (587 if is_tls else 465 if is_ssl else 25)
    return {**found, "EMAIL_USE_TLS": is_tls, "EMAIL_USE_SSL": is_ssl, "EMAIL_PORT": port}


def _own_secret_key() -> str:
    """A key made on the first start and kept, so that a newcomer needs no configuration at all."""
    path = VAR_DIR / "secret_key"
    VAR_DIR.mkdir(exist_ok=True)
    unfinished = VAR_DIR / f"secret_key.{secrets.token_hex(4)}"
    if not path.exists():
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_urlsafe(50))
        try:
            path.hardlink_to(unfinished)  # whole or not at all, and only one of two processes succeeds
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()
    return path.read_text()


# -- Database ----------------------------------------------------------------------------------------------------------
DATABASE_URL: str = env.str("DATABASE_URL", default="")
if DATABASE_URL:
    _database: dict[str, Any] = dict(env.db_url_config(DATABASE_URL))
else:
    _folder = Path(env.str("EMBEDDED_POSTGRES_DIR", default=str(VAR_DIR / "postgres")))
    _postgres = EmbeddedPostgres(choose_folder(_folder))
    _postgres.use()
    _database = _postgres.database
_database.setdefault("OPTIONS", {})
if "postgresql" in _database["ENGINE"]:
    _database["OPTIONS"] = {"connect_timeout": 5, "application_name": "licensing-integration", **_database["OPTIONS"]}
# A new connection for every request or job costs more than the work itself.
DATABASES = {"default": {**_database, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- Stores, license servers and how we work ---------------------------------------------------------------------------
STORES = [_store(name, slug) for name, slug in _named("STORES", default="fastspring=fastspring")]
LICENSE_SERVERS = [_license_server(name, slug) for name, slug in _named("LICENSE_SERVERS", default="cryptlex=cryptlex")]
WEBHOOK_MAX_BYTES = _whole_number("WEBHOOK_MAX_BYTES", default=5_000_000, least=1)
DATA_UPLOAD_MAX_MEMORY_SIZE = WEBHOOK_MAX_BYTES  # Django would refuse anything above 2.5 MB
FULFILMENT_WAIT_SECONDS = _number("FULFILMENT_WAIT_SECONDS", default=4.5)
FULFILMENT_KEEP_HOURS = _whole_number("FULFILMENT_KEEP_HOURS", default=24, least=1)
FULFILMENT_MAX_WAITING = _whole_number("FULFILMENT_MAX_WAITING", default=4, least=1)
APPLY_LEASE_SECONDS = _number("APPLY_LEASE_SECONDS", default=120, least=1)
RETRY_FIRST_DELAY_SECONDS = _number("RETRY_FIRST_DELAY_SECONDS", default=5)
SETTLING_SECONDS = _number("SETTLING_SECONDS", default=10)
SWEEP_GRACE_SECONDS = _number("SWEEP_GRACE_SECONDS", default=15)

# -- Django ------------------------------------------------------------------------------------------------------------
DEBUG = _flag("DEBUG", default=False)
SECRET_KEY = _secret("SECRET_KEY") or ("" if DATABASE_URL else _own_secret_key())
if not SECRET_KEY:
    raise ImproperlyConfigured("Set SECRET_KEY, or SECRET_KEY_FILE, to a long random text.")
SECRET_KEY_FALLBACKS = list(_secrets("SECRET_KEY_FALLBACKS"))
# This machine's own names always: health checks come from inside, whatever the public name is.
ALLOWED_HOSTS = [*_list("ALLOWED_HOSTS"), "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = _list("CSRF_TRUSTED_ORIGINS")

# Set when a proxy in front of us speaks HTTPS and overwrites X-Forwarded-Proto.
BEHIND_HTTPS_PROXY = _flag("BEHIND_HTTPS_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_HTTPS_PROXY else None
SECURE_SSL_REDIRECT = BEHIND_HTTPS_PROXY
SECURE_REDIRECT_EXEMPT = [r"^health/"]  # asked from inside, without the proxy
SECURE_HSTS_SECONDS = _whole_number("SECURE_HSTS_SECONDS", default=3600) if BEHIND_HTTPS_PROXY else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_HTTPS_PROXY

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # the theme; without its own admin site
    "django.contrib.auth",
    "licensing_integration.apps.LicensingIntegrationConfig",
    "licensing_integration.apps.LicensingAdminConfig",  # django.contrib.admin with pages of ours
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "procrastinate.contrib.django",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# -- The page on which customers see their keys ------------------------------------------------------------------------
ORDER_PAGES = _flag("ORDER_PAGES", default=True)
ORDER_PAGE_SECRET = _secrets("ORDER_PAGE_SECRET")
ORDER_PAGE_NAME: str = env.str("ORDER_PAGE_NAME", default="").strip()
ORDER_PAGE_SUPPORT: str = env.str("ORDER_PAGE_SUPPORT", default="").strip()
ORDER_PAGE_BASE_URL: str = env.str("ORDER_PAGE_BASE_URL", default="").strip()
ORDER_PAGE_DAYS = _whole_number("ORDER_PAGE_DAYS", default=30, least=1)
ORDER_PAGE_RATE: str = env.str("ORDER_PAGE_RATE", default="60/min").replace(" ", "")
if not re.fullmatch(r"[1-9][0-9]{0,5}/(sec|min|hour|day)", ORDER_PAGE_RATE):
    raise ImproperlyConfigured(f"ORDER_PAGE_RATE must be like 60/min (or sec, hour, day), not {ORDER_PAGE_RATE!r}.")
# Whose requests are counted together: the proxy in front wrote the last address in X-Forwarded-For.
TRUST_FORWARDED_FOR = _flag("TRUST_FORWARDED_FOR", default=BEHIND_HTTPS_PROXY)
# Counting the requests for these pages must cost less than answering them, so each process counts in its own memory;
# docs/order-page.md weighs it against the other caches. Apart from "default", which requests must not be able to flush.
_MEMORY = "django.core.cache.backends.locmem.LocMemCache"
CACHES = {
    "default": {"BACKEND": _MEMORY},
    "order_page": {"BACKEND": _MEMORY, "LOCATION": "order_page", "OPTIONS": {"MAX_ENTRIES": 20_000}},
}

# -- Mail --------------------------------------------------------------------------------------------------------------
_mail = _mail_server(_secret("EMAIL_URL"))
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_HOST"], _mail["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"], _mail["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail["EMAIL_USE_TLS"], _mail["EMAIL_USE_SSL"]
EMAIL_TIMEOUT = 20.0  # seconds for each answer of the mail server
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="").strip()
CAN_SEND_MAIL = bool(EMAIL_HOST and DEFAULT_FROM_EMAIL)

# -- Static files: collected and fingerprinted in the image, found where they lie in a working copy --------------------
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
with contextlib.suppress(OSError):
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns about a folder that is not there
_are_collected = (STATIC_ROOT / "staticfiles.json").exists()
WHITENOISE_USE_FINDERS = not _are_collected
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if _are_collected
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# -- The console ------------------------------------------------------------------------------------------------------
LOGIN_REDIRECT_URL = "admin:index"
UNFOLD = {
    "SITE_TITLE": "Licensing Integration",
    "SITE_HEADER": "Licensing Integration",
    "SITE_SYMBOL": "key",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("licensing_integration/favicon.svg")}
    ],
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "STYLES": [lambda request: static("licensing_integration/console.css")],
    "SCRIPTS": [lambda request: static("licensing_integration/console.js")],
    "SIDEBAR": {"navigation": "licensing_integration.admin.navigation.sidebar"},
    "COLORS": {
        "primary": {
            "50": "#eef6ff", "100": "#d9eaff", "200": "#bcdaff", "300": "#8ec3ff", "400": "#59a1ff", "500": "#2f7cf6",
            "600": "#1d5fd6", "700": "#184bad", "800": "#19418c", "900": "#1a3870", "950": "#142347",
        },
    },
}  # fmt: skip

# -- REST framework ----------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
}

# -- Logs --------------------------------------------------------------------------------------------------------------
LOG_FORMAT: str = env.str("LOG_FORMAT", default="json")
LOG_LEVEL: str = env.str("LOG_LEVEL", default="INFO").upper()
if LOG_FORMAT not in {"json", "text"}:
    raise ImproperlyConfigured(f"LOG_FORMAT must be json or text, not {LOG_FORMAT!r}.")
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured(f"LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not {LOG_LEVEL!r}.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "licensing_integration.logs.RedactionFilter"}},
    "formatters": {
        "json": {"()": "licensing_integration.logs.JsonFormatter"},
        "text": {"()": "licensing_integration.logs.TextFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["redact"]}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": "NOTSET", "propagate": True},
        "urllib3": {"level": "INFO"},  # at DEBUG it writes whole addresses, with customers' e-mail addresses in them
        "procrastinate": {"level": "WARNING"},  # at INFO it writes several lines per job, with the job's arguments
        "psycopg.pool": {"level": "ERROR"},  # several warnings per second while the database is away; ours says it once
    },
}
