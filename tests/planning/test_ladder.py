from planning_world import World, rule, step


def test_a_step_is_sent_when_due():
    w = World([rule()])
    w.person()
    w.candidate("2026-11-20 08:00")
    assert w.verdict("2026-11-20 09:00") == "send"
    assert w.verdict("2026-11-20 09:00") == "wait: already_sent"
