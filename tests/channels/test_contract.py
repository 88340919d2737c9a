"""What every channel owes, whatever it is."""

from __future__ import annotations

from dataclasses import replace
from threading import Thread

from channel_world import CUSTOM_ARGS, World

from engine.channels import CHANNELS, Result
from engine.messages.mail import Mail
from engine.messages.note import Note
from engine.project.types import StrictModel


def test_a_mail_is_accepted_and_arrives_once(world: World, content: Mail | Note) -> None:
    answer = world.session.send(content, CUSTOM_ARGS)
    assert answer.result is Result.ACCEPTED
    assert answer.provider_id
    assert len(world.arrived()) == 1


def test_a_session_sends_many_mails(world: World, content: Mail | Note) -> None:
    mails = [replace(content, message_key=f"{n:02x}" * 32) for n in range(5)]
    assert [world.session.send(one, CUSTOM_ARGS).result for one in mails] == [Result.ACCEPTED] * 5
    assert len(world.arrived()) == 5


def test_closing_twice_and_sending_after_it_is_safe(world: World, content: Mail | Note) -> None:
    world.session.send(content, CUSTOM_ARGS)
    world.session.close()
    world.session.close()
    assert world.session.send(replace(content, message_key="cd" * 32), CUSTOM_ARGS).result is Result.ACCEPTED


def test_a_session_may_be_used_in_another_thread_than_it_was_opened_in(world: World, content: Mail | Note) -> None:
    thread = Thread(target=world.session.send, args=(content, CUSTOM_ARGS))
    thread.start()
    thread.join(10)
    assert len(world.arrived()) == 1


def test_the_registry_names_each_channel_and_its_strict_settings() -> None:
    for name, channel in CHANNELS.items():
        assert channel.name == name
        assert issubclass(channel.Settings, StrictModel)
        assert channel.Settings.__doc__
        assert channel.Settings.model_json_schema()["additionalProperties"] is False


def test_only_the_folder_and_tasks_stay_in_the_house() -> None:
    assert {name for name, channel in CHANNELS.items() if not channel.live} == {"outbox_dir", "task"}
