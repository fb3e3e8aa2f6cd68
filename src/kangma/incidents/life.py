"""The life of a record: who may do what with it, in which state, and what comes of it.

    draft ──submit──▶ in review ──approve──▶ approved ──publish──▶ published
      ▲                  │                                            │
      └────return────────┘          correct, withdraw: a new draft ◀──┘

A published version never changes. A correction or a withdrawal is a new version that goes the same way; the version
before stays readable and the difference is shown. Whoever wrote any part of a draft does not approve it.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from kangma.errors import Code, Conflict, Refused


class State(StrEnum):
    """Of the work on a record. A record that was published keeps its version in public whatever the work's state."""

    DRAFT = "draft"
    IN_REVIEW = "in-review"
    APPROVED = "approved"
    PUBLISHED = "published"  # no work is open
    DISCARDED = "discarded"  # a draft given up before it was ever published; kept, not shown


class Change(StrEnum):
    """What a version is to the one before it."""

    FIRST = "first"
    CORRECTION = "correction"
    WITHDRAWAL = "withdrawal"


class Act(StrEnum):
    """What somebody does to a record."""

    OPEN = "open"  # a new record, or a new version of a published one
    EDIT = "edit"
    SUBMIT = "submit"
    RETURN = "return"
    APPROVE = "approve"
    PUBLISH = "publish"
    DISCARD = "discard"


class Role(StrEnum):
    """Of a member: an organisation's account. Each may do what the one before may."""

    READER = "reader"
    EDITOR = "editor"
    REVIEWER = "reviewer"
    ADMINISTRATOR = "administrator"


class Right(StrEnum):
    """What a role, or a token's scope, allows."""

    READ = "read"  # member fields; every look is recorded
    WRITE = "write"  # open, edit, submit, discard, import
    REVIEW = "review"  # approve, return
    PUBLISH = "publish"
    SIGNAL = "signal"  # open drafts by machine, and nothing else: what a defence's token is given
    ACCOUNTS = "accounts"  # make and close accounts and tokens; read the audit


class Happening(StrEnum):
    """What is done to an account, kept for its owner to read. docs/decisions/0115 says why."""

    MADE = "made"
    INVITED = "invited"  # to its first passkey
    INVITED_ANEW = "invited-anew"  # though it has, or had, a passkey; waits for a second administrator
    INVITED_ANEW_ALONE = "invited-anew-alone"  # the same where there was no second administrator to ask
    AGREED = "agreed"  # the second administrator
    ENROLLED = "enrolled"  # its first passkey, by the invitation of `by`
    ENROLLED_ANEW = "enrolled-anew"  # a passkey by such a further invitation
    ENROLLED_ANOTHER = "enrolled-another"  # by its owner, signed in
    PASSKEY_CLOSED = "passkey-closed"
    TOKEN_MADE = "token-made"
    TOKEN_CLOSED = "token-closed"
    ADMINISTRATOR_MADE = "administrator-made"  # told to every other administrator
    CLOSED = "closed"


#: What an account's owner is told of when they next sign in, if somebody else did it.
NEWS = frozenset(
    {
        Happening.INVITED_ANEW, Happening.INVITED_ANEW_ALONE, Happening.AGREED, Happening.ENROLLED_ANEW,
        Happening.PASSKEY_CLOSED, Happening.TOKEN_MADE, Happening.TOKEN_CLOSED, Happening.ADMINISTRATOR_MADE,
    }
)  # fmt: skip


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.READER: frozenset({Right.READ}),
    Role.EDITOR: frozenset({Right.READ, Right.WRITE, Right.SIGNAL}),
    Role.REVIEWER: frozenset({Right.READ, Right.WRITE, Right.SIGNAL, Right.REVIEW, Right.PUBLISH}),
    Role.ADMINISTRATOR: frozenset(Right),
}

NEEDS: dict[Act, Right] = {
    Act.OPEN: Right.WRITE,
    Act.EDIT: Right.WRITE,
    Act.SUBMIT: Right.WRITE,
    Act.DISCARD: Right.WRITE,
    Act.RETURN: Right.REVIEW,
    Act.APPROVE: Right.REVIEW,
    Act.PUBLISH: Right.PUBLISH,
}

#: (state, act) → state. What is not here cannot be done.
STEPS: dict[tuple[State, Act], State] = {
    (State.DRAFT, Act.EDIT): State.DRAFT,
    (State.DRAFT, Act.SUBMIT): State.IN_REVIEW,
    (State.DRAFT, Act.DISCARD): State.DISCARDED,
    (State.IN_REVIEW, Act.RETURN): State.DRAFT,
    (State.IN_REVIEW, Act.APPROVE): State.APPROVED,
    (State.APPROVED, Act.RETURN): State.DRAFT,
    (State.APPROVED, Act.PUBLISH): State.PUBLISHED,
    (State.PUBLISHED, Act.OPEN): State.DRAFT,
}


def after(state: State, act: Act) -> State:
    """The state after `act`. Conflict when it cannot be done in this state: somebody else was first, or nobody yet."""
    try:
        return STEPS[state, act]
    except KeyError:
        raise Conflict(f"a record that is {state} cannot be {_DONE[act]}") from None


_DONE = {
    Act.OPEN: "opened for a new version",
    Act.EDIT: "edited",
    Act.SUBMIT: "submitted",
    Act.RETURN: "returned",
    Act.APPROVE: "approved",
    Act.PUBLISH: "published",
    Act.DISCARD: "discarded",
}


def require(right: Right, rights: Collection[Right]) -> None:
    """Refused (not_allowed) when `rights` lack it."""
    if right not in rights:
        raise Refused(Code.NOT_ALLOWED, hint=f"this needs the right to {right}")


def approve(reviewer: str, authors: Collection[str]) -> None:
    """Four eyes: Refused (same_officer) when the reviewer wrote any part of what is approved."""
    if reviewer in authors:
        raise Refused(Code.SAME_OFFICER, hint="a second person must review it")
