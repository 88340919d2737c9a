"""How mails leave: one file per kind of channel, one line here for each."""

from collections.abc import Mapping

from engine.channels import outbox_dir, sendgrid, smtp, task, webhook
from engine.channels.base import Answer, Channel, Place, Result, Session

#: By the word after `use:` in config.yaml. The first one is what a new project has.
CHANNELS: Mapping[str, Channel] = {
    channel.name: channel
    for channel in (outbox_dir.CHANNEL, smtp.CHANNEL, sendgrid.CHANNEL, task.CHANNEL, webhook.CHANNEL)
}

__all__ = ["CHANNELS", "Answer", "Channel", "Place", "Result", "Session"]
