"""What a preview says of roles that are there and of those that the settings declare."""

from __future__ import annotations

import pytest

from components.database.login_roles import LiveRole, describe_changes


@pytest.mark.parametrize(
    ("role", "declared", "said"),
    [
        (
            LiveRole("app", is_declared=False, has=(), obstacles=()),
            ["app"],
            ["role app exists already: it is taken over"],
        ),
        (
            LiveRole("My App", is_declared=False, has=("is a superuser", "has privileges on 3 objects"), obstacles=()),
            ["My App"],
            [
                'role "My App" exists already',
                "loses what is not declared: it is a superuser; it has privileges on 3 objects",
            ],
        ),
        (LiveRole("app", is_declared=True, has=("x",), obstacles=()), ["app"], []),
        (LiveRole("app", is_declared=False, has=("x",), obstacles=()), [], []),
        (LiveRole("app", is_declared=True, has=(), obstacles=()), [], ["role app is declared no more: it is dropped"]),
        (
            LiveRole("app", is_declared=True, has=(), obstacles=("it owns table t: …", "2 sessions …")),
            ["other"],
            ["cannot be removed yet: it owns table t: …; 2 sessions …"],
        ),
    ],
)
def test_what_becomes_of_a_role_is_said_once(role: LiveRole, declared: list[str], said: list[str]) -> None:
    """Taken over with what it loses, dropped, or in the way; of a role that stays as it is, or is a file's, nothing."""
    lines = list(describe_changes([role], declared))
    assert len(lines) == bool(said)
    assert all(text in lines[0] for text in said)
