"""What a member does with a passkey: takes up an invitation, enrols, signs in."""

from __future__ import annotations

from typing import Any

from authenticator import Authenticator
from fastapi.testclient import TestClient
from house import NAMES, House

from kangma.incidents.life import Role

SAME = {"sec-fetch-site": "same-origin"}


def invited(house: House, role: Role = Role.READER) -> str:
    told = house.client(Role.ADMINISTRATOR).post("/v1/accounts/invite", json={"account": NAMES[role]})
    assert told.status_code == 201
    return str(told.json()["link"].partition("#invitation=")[2])


def enrol(client: TestClient, device: Authenticator, invitation: str = "") -> Any:
    options = client.post("/v1/enrolment/options", json={"invitation": invitation}, headers=SAME)
    if options.status_code != 200:
        return options
    return client.post(
        "/v1/enrolment",
        json={"invitation": invitation, "credential": device.create(options.json())},
        headers=SAME,
    )


def sign_in(client: TestClient, device: Authenticator) -> Any:
    options = client.post("/v1/sign-in/options", headers=SAME)
    assert options.status_code == 200
    return client.post("/v1/sign-in", json={"credential": device.get(options.json())}, headers=SAME)


def enrolled(house: House, role: Role = Role.READER, **said: Any) -> Authenticator:
    device = Authenticator(**said)
    assert enrol(house.client(), device, invited(house, role)).status_code == 201
    return device


def signed_in(house: House, role: Role) -> TestClient:
    """A browser in which a member of that role has signed in; what it sends needs `SAME`."""
    browser = house.client()
    assert sign_in(browser, enrolled(house, role)).status_code == 200
    return browser
