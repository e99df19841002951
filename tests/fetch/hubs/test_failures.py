from __future__ import annotations

import json

import pytest
import requests

from ilsvrc.errors import IlsvrcError, NetworkError, UsageError
from ilsvrc.fetch.hubs.failures import Hub

HUB = Hub("The hub", "log in", "accept the terms", "check the revision")


@pytest.mark.parametrize(
    ("status", "kind", "message", "hint"),
    [
        (400, UsageError, "The hub answers 400", "log in"),
        (401, UsageError, "The hub wants a login (401)", "log in"),
        (403, UsageError, "The hub refuses this account (403)", "accept the terms"),
        (404, UsageError, "The hub does not have it (404)", "check the revision"),
        (408, NetworkError, "The hub can't answer now (408)", "try again later"),
        (410, UsageError, "The hub does not have it (410)", "check the revision"),
        (429, NetworkError, "The hub can't answer now (429)", "try again later"),
        (500, NetworkError, "The hub can't answer now (500)", "try again later"),
    ],
)
def test_a_status_is_one_error_with_a_hint(status: int, kind: type[IlsvrcError], message: str, hint: str) -> None:
    error = HUB.failure(status)
    assert type(error) is kind
    assert (error.message, error.hint) == (message, hint)


def test_the_message_of_the_hub_is_kept_in_one_line() -> None:
    response = requests.Response()
    response.status_code = 403
    response._content = json.dumps({"code": 403, "message": "Accept\nthe rules."}).encode()
    with pytest.raises(UsageError) as caught, HUB.errors():
        raise requests.HTTPError("403 Client Error", response=response)
    assert caught.value.message == "The hub refuses this account (403): Accept the rules."


def test_a_network_that_fails() -> None:
    with pytest.raises(NetworkError, match="The hub can't be reached: no route"), HUB.errors():
        raise requests.ConnectionError("no route")


def test_an_answer_that_is_no_json() -> None:
    with pytest.raises(NetworkError, match="the answer can't be understood"), HUB.errors():
        json.loads("<html>")


def test_faults_of_the_program_and_errors_of_ours_pass() -> None:
    for error in (KeyError("x"), UsageError("y")):
        with pytest.raises(type(error)) as caught, HUB.errors():
            raise error
        assert caught.value is error
