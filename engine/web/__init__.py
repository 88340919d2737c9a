"""What is on the web: the pages behind the links in mails, providers' webhooks, health and metrics."""

from engine.web.app import make_app

__all__ = ["make_app"]
