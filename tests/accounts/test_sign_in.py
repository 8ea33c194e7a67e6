from __future__ import annotations

import re

import pytest

from core.accounts import Accounts, Brake, first_administrator
from core.errors import BadInput, NotAllowed
from core.store.users import Role
from tests.accounts.conftest import ORIGIN, PASSWORD, Team

FROM_HERE = {"origin": ORIGIN}


def test_a_stranger_is_sent_to_the_sign_in_and_comes_back_to_where_they_wanted(team: Team) -> None:
    browser = team.browser()
    away = browser.get("/runs?state=failed")
    assert (away.status_code, away.headers["location"]) == (303, "/sign-in?next=/runs%3Fstate%3Dfailed")
    page = browser.get(away.headers["location"])
    assert '<input type="hidden" name="next" value="/runs?state=failed">' in page.text
    form = {"name": "ann", "password": PASSWORD, "next": "/runs?state=failed"}
    entered = browser.post("/sign-in", data=form, headers=FROM_HERE)
    assert (entered.status_code, entered.headers["location"]) == (303, "/runs?state=failed")
    cookie = entered.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert browser.get("/runs").status_code == 200


@pytest.mark.parametrize(
    "there", ["//evil.example", "/\\evil.example", "https://evil.example", "/sign-in", "\x00/", ""]
)
def test_the_way_back_never_leads_elsewhere(team: Team, there: str) -> None:
    form = {"name": "ann", "password": PASSWORD, "next": there}
    assert team.browser().post("/sign-in", data=form, headers=FROM_HERE).headers["location"] == "/"


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("", ""), ("ann", "x" * 9000)])
def test_a_wrong_name_and_a_wrong_password_are_told_apart_by_nobody(team: Team, name: str, password: str) -> None:
    answer = team.browser().post("/sign-in", data={"name": name, "password": password}, headers=FROM_HERE)
    assert answer.status_code == 403
    assert "This name and this password do not belong together." in answer.text
    assert "set-cookie" not in answer.headers


def test_what_a_browser_showed_before_is_not_what_signs_it_in(team: Team) -> None:
    """Session fixation: whoever plants a cookie knows nothing of the session that comes of it."""
    browser = team.browser()
    browser.cookies.set("workbench", "planted")
    entered = browser.post("/sign-in", data={"name": "ann", "password": PASSWORD}, headers=FROM_HERE)
    token = re.search(r"workbench=([^;]+)", entered.headers["set-cookie"])
    assert token is not None
    assert token[1] != "planted"
    assert team.accounts.session("planted") is None
    again = browser.post(
        "/sign-in", data={"name": "ann", "password": PASSWORD}, headers={**FROM_HERE, "cookie": f"workbench={token[1]}"}
    )
    assert again.status_code == 303
    assert team.accounts.session(token[1]) is None, "the session before ends with a new sign-in"


def test_signing_out_ends_the_session_and_not_the_cookie_alone(team: Team) -> None:
    browser = team.browser("ann")
    token = browser.cookies["workbench"]
    assert browser.post("/account/sign-out", headers=FROM_HERE).headers["location"] == "/sign-in"
    stolen = team.browser()
    stolen.cookies.set("workbench", token)
    assert stolen.get("/runs").status_code == 303


def test_a_browser_is_signed_out_from_another_one(team: Team) -> None:
    one, other = team.browser("ann"), team.browser("ann")
    sessions = team.bench.store.sessions("ann")
    assert len(sessions) == 2
    gone = next(each.id for each in sessions if each.id == team.accounts.id_of(other.cookies["workbench"]))
    assert one.post("/account/end", data={"session": gone}, headers=FROM_HERE).status_code == 303
    assert [each.id for each in team.bench.store.sessions("ann")] == [team.accounts.id_of(one.cookies["workbench"])]


def test_nobody_ends_the_session_of_somebody_else(team: Team) -> None:
    bob, ann = team.browser("bob"), team.browser("ann")
    bob.post("/account/end", data={"session": team.accounts.id_of(ann.cookies["workbench"])}, headers=FROM_HERE)
    assert len(team.bench.store.sessions("ann")) == 1


def test_a_link_sets_a_password_once(team: Team) -> None:
    token = team.accounts.invite("cleo")
    browser = team.browser()
    assert "Welcome, cleo" in browser.get(f"/welcome?link={token}").text
    form = {"link": token, "password": "a fine password", "again": "a fine password"}
    assert "not the same" in browser.post("/welcome", data=form | {"again": "another"}, headers=FROM_HERE).text
    assert (
        "10 to 1,000" in browser.post("/welcome", data=form | {"password": "x", "again": "x"}, headers=FROM_HERE).text
    )
    assert browser.post("/welcome", data=form, headers=FROM_HERE).headers["location"] == "/"
    assert browser.get("/account").status_code == 200
    assert "void" in team.browser().get(f"/welcome?link={token}").text
    with pytest.raises(NotAllowed, match="has been used"):
        team.accounts.take_link(token, "another password")


def test_somebody_can_always_come_in_first(team: Team) -> None:
    """Where nobody who is there has a password: by a link of an administrator, or of a new one, whatever the name."""
    settings, store = team.bench.settings, team.bench.store
    assert first_administrator(settings, store) is None
    for one in store.users():
        store.remove_user(one.name)
    for name in ("admin", "admin1"):
        for _ in range(2):  # a second start before anybody came makes another link, not another user
            link = first_administrator(settings, store)
            assert team.accounts.linked(str(link).partition("link=")[2]) == name
        store.remove_user(name)


def test_another_password_ends_every_other_session(team: Team) -> None:
    one, other = team.browser("ann"), team.browser("ann")
    form = {"before": PASSWORD, "password": "a new password", "again": "a new password"}
    assert one.post("/account/password", data=form | {"before": "wrong"}, headers=FROM_HERE).status_code == 403
    assert one.post("/account/password", data=form, headers=FROM_HERE).headers["location"] == "/account"
    assert one.get("/account").status_code == 200
    assert team.accounts.session(other.cookies["workbench"]) is None


def test_administrators_alone_see_and_change_users(team: Team) -> None:
    ann, root = team.browser("ann"), team.browser("root")
    assert ann.get("/users").status_code == 403
    assert ann.post("/users/add", data={"name": "eve"}, headers=FROM_HERE).status_code == 403
    added = root.post("/users/add", data={"name": "cleo", "role": "member"}, headers=FROM_HERE)
    link = re.search(r'value="(http://bench.example/welcome\?link=[\w-]+)"', added.text)
    assert link is not None
    assert "Welcome, cleo" in team.browser().get(link[1]).text
    assert "taken" in root.post("/users/add", data={"name": "CLEO"}, headers=FROM_HERE).text
    assert "cannot remove yourself" in root.post("/users/remove", data={"name": "root"}, headers=FROM_HERE).text


def test_whoever_is_removed_is_out_and_their_jobs_end(team: Team) -> None:
    ann, root = team.browser("ann"), team.browser("root")
    job = team.of("ann").submit("quick", {})
    assert "cancelled: 1" in root.post("/users/remove", data={"name": "ann"}, headers=FROM_HERE).text
    assert team.bench.store.job(job.id).state == "cancelled"
    assert team.accounts.session(ann.cookies["workbench"]) is None
    with pytest.raises(NotAllowed):
        team.accounts.sign_in("ann", PASSWORD)
    with pytest.raises(BadInput, match="taken"):
        team.accounts.invite("ann")


def test_tries_are_slowed_down_by_name_and_by_address(team: Team) -> None:
    clock = [0.0]
    brake = Brake(lambda: clock[0])
    subjects = ("name ann", "address 192.0.2.1")
    for _ in range(5):
        brake.begin(subjects)
    with pytest.raises(NotAllowed, match="too many tries: wait 1 s"):
        brake.begin(subjects)
    brake.begin(("name bob", "address 192.0.2.1"))
    brake.came_in(("name bob", "address 192.0.2.1"))
    for _ in range(40):
        clock[0] += 1000
        brake.begin(subjects)
    with pytest.raises(NotAllowed, match="wait 60 s"):
        brake.begin(subjects[:1])
    with pytest.raises(NotAllowed, match="wait 15 min"):
        brake.begin(("name cleo", "address 192.0.2.1"))
    clock[0] += 61
    brake.begin(subjects[:1])
    brake.came_in(subjects[:1])
    brake.begin(subjects[:1])


def test_a_copy_of_the_database_lets_nobody_in(team: Team) -> None:
    browser = team.browser("ann")
    session = team.bench.store.sessions("ann")[0]
    assert session.id != browser.cookies["workbench"]
    assert team.accounts.session(session.id) is None
    other = Accounts(
        team.bench.settings.model_copy(update={"secret": "another secret, as long as it must be"}), team.bench.store
    )
    assert other.session(browser.cookies["workbench"]) is None


def test_a_role_that_is_taken_away_is_gone_within_a_second(team: Team) -> None:
    root = team.browser("root")
    assert root.get("/users").status_code == 200
    team.bench.store.set_role("root", Role.MEMBER)
    from tests.support import eventually

    assert eventually(lambda: root.get("/users").status_code == 403, 5)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "../root", "<b>", "näme"])
def test_a_name_is_letters_digits_and_a_few_signs(team: Team, name: str) -> None:
    with pytest.raises(BadInput, match="A name has 1 to 64"):
        team.accounts.invite(name)
