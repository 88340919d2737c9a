"""What goes to the customer: templates read and checked once, mails rendered from stored values."""

from engine.messages.links import Links, Purpose
from engine.messages.loading import load_templates
from engine.messages.mail import Mail, RenderFailed
from engine.messages.note import Note
from engine.messages.render import MessageRow, Renderer, Sender, Workspace
from engine.messages.templates import LINKS, WORKSPACE, MailTemplate, Templates

__all__ = [
    "LINKS",
    "WORKSPACE",
    "Links",
    "Mail",
    "MailTemplate",
    "MessageRow",
    "Note",
    "Purpose",
    "RenderFailed",
    "Renderer",
    "Sender",
    "Templates",
    "Workspace",
    "load_templates",
]
