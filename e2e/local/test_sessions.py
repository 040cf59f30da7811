"""Several backends of one route: weights, canaries, session cookies, and the fallback when nobody is left."""
import http.cookies
import re

import pytest

from backends import Backend
from clients import fetch
from headgate import free_port


@pytest.fixture
def trio():
    backends = [Backend(name=name) for name in "abc"]
    yield backends
    for one in backends:
        one.close()


def config(port, rule, **more):
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
            "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", **rule}], **more}


def ask(port, headers=(), target="/echo"):
    answer = fetch(port, target, headers=headers)
    assert answer.status == 200, answer
    return answer


def counted(port, count, headers=()):
    names = {}
    for _ in range(count):
        name = ask(port, headers)["x-backend"]
        names[name] = names.get(name, 0) + 1
    return names


def test_weights_and_fields_of_one_backend(start, trio):
    a, b, c = trio
    port = free_port()
    start(config(port, {"proxy_pass": [{"to": a.url, "weight": 3, "headers": {"X-Part": "big-$scheme"}}, {"to": b.url},
                                       {"to": c.url, "weight": 0}]}))
    names = counted(port, 400)
    assert set(names) == {"a", "b"} and 250 <= names["a"] <= 350
    assert all("X-Part: big-http" in head for head in a.heads()) and not any("X-Part" in head for head in b.heads())


def test_canary_order_is_header_cookie_weight(start, trio):
    a, b, _ = trio
    port = free_port()
    server = start(config(port, {"proxy_pass": a.url, "canary": {"to": b.url, "weight": 100, "header": "X-Canary", "cookie": "trial"}}))

    def goes(*headers):
        return ask(port, headers)["x-backend"]

    assert goes() == "b"
    assert goes(("X-Canary", "never")) == "a" and goes(("x-canary", "always")) == "b"
    assert goes(("X-Canary", "maybe")) == "b" and goes(("X-Canary", "Never")) == "b"  # neither word: the next rule
    assert goes(("Cookie", "x=1; trial=never")) == "a"
    assert goes(("X-Canary", "always"), ("Cookie", "trial=never")) == "b"
    server.reload(config(port, {"proxy_pass": a.url, "canary": {"to": b.url, "header": "X-Canary", "header_value": "beta"}}))
    assert goes() == "a" and goes(("X-Canary", "beta")) == "b" and goes(("X-Canary", "always")) == "a"
    server.reload(config(port, {"proxy_pass": a.url, "canary": {"to": b.url, "header": "Region", "header_pattern": "^eu-|us"}}))
    assert goes(("Region", "eu-1")) == "b" and goes(("Region", "in-us-2")) == "b" and goes(("Region", "no-eu-")) == "a"
    server.reload(config(port, {"proxy_pass": a.url, "canary": {"to": b.url, "weight": 1, "weight_total": 4}}))
    assert 60 <= counted(port, 400)["b"] <= 145


def session(answer, name="route"):
    found = answer.all("set-cookie")
    if not found:
        return None
    assert len(found) == 1, found
    return http.cookies.SimpleCookie(found[0])[name]


@pytest.mark.parametrize("mode", ["balanced", "persistent"])
def test_sessions_stay(start, trio, mode):
    port = free_port()
    rule = {"proxy_pass": "upstream://app", "affinity": {"cookie": "route", "mode": mode, "max_age": 600, "expires": 600, "path": "/",
                                                         "same_site": "Lax", "domain": "shop.example"}}
    server = start(config(port, rule, upstreams={"app": {"targets": [one.url for one in trio[:2]]}}))
    homes = {}
    for _ in range(40):
        answer = ask(port)
        cookie = session(answer)
        assert re.fullmatch(r"[0-9a-f]{32}\|[0-9a-f]{32}", cookie.value), cookie.value
        text = answer["set-cookie"]
        assert "; Max-Age=600" in text and "; Path=/" in text and "; Domain=shop.example" in text and text.endswith("; SameSite=Lax")
        assert "; HttpOnly" in text and "Secure" not in text and re.search(r"; Expires=\w{3}, \d\d \w{3} \d{4} ", text)
        homes[cookie.value] = answer["x-backend"]
    assert set(homes.values()) == {"a", "b"}
    for value, home in homes.items():
        answer = ask(port, [("Cookie", f"other=1; route={value}")])
        assert answer["x-backend"] == home and session(answer) is None
    # A third endpoint: persistent sessions stay, of the others some move there and nowhere else.
    server.reload(config(port, rule, upstreams={"app": {"targets": [one.url for one in trio]}}))
    after = {value: ask(port, [("Cookie", f"route={value}")])["x-backend"] for value in homes}
    moved = {value for value in homes if after[value] != homes[value]}
    assert all(after[value] == "c" for value in moved)
    assert not moved if mode == "persistent" else len(moved) < len(homes)
    # The first endpoint goes: its sessions, and only they, begin again elsewhere.
    server.reload(config(port, rule, upstreams={"app": {"targets": [one.url for one in trio[1:]]}}))
    for value in homes:
        answer = ask(port, [("Cookie", f"route={value}")])
        if after[value] == "a":
            assert answer["x-backend"] != "a" and (mode == "balanced") == (session(answer) is None)
        else:
            assert answer["x-backend"] == after[value] and session(answer) is None


def test_persistent_cookies_of_ingress_nginx_are_honoured(start, trio):
    import hashlib

    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()

    port = free_port()
    start(config(port, {"proxy_pass": "upstream://default-shop-80", "affinity": {"cookie": "INGRESSCOOKIE", "mode": "persistent"}},
                 upstreams={"default-shop-80": {"targets": [one.url for one in trio]}}))
    tag = md5(md5("default-shop-80") + "default-shop-80")
    for one in trio:
        value = md5("default-shop-80" + one.url.removeprefix("http://")) + "|" + tag
        for _ in range(5):
            assert ask(port, [("Cookie", f"INGRESSCOOKIE={value}")])["x-backend"] == one.name


def test_sessions_and_canary(start, trio):
    a, b, _ = trio
    port = free_port()
    rule = {"proxy_pass": a.url, "affinity": {"cookie": "route"}, "canary": {"to": b.url, "weight": 50, "header": "X-Canary"}}
    server = start(config(port, rule))
    homes = {}
    for _ in range(40):
        answer = ask(port)
        homes[session(answer).value] = answer["x-backend"]
    assert set(homes.values()) == {"a", "b"}
    for value, home in homes.items():  # a session outweighs even the header
        assert ask(port, [("Cookie", f"route={value}"), ("X-Canary", "always" if home == "a" else "never")])["x-backend"] == home
    # A canary without affinity keeps none, and sets no cookie; sessions of the other stay.
    rule["canary"]["sticky"] = False
    server.reload(config(port, rule))
    answer = ask(port, [("X-Canary", "always")])
    assert answer["x-backend"] == "b" and session(answer) is None
    kept = next(value for value, home in homes.items() if home == "a")
    assert counted(port, 10, [("Cookie", f"route={kept}")]) == {"a": 10}


def test_failed_attempts_and_sessions(start, trio):
    a, b, _ = trio
    port = free_port()
    upstreams = {"app": {"targets": [a.url, b.url]}}
    server = start(config(port, {"proxy_pass": "upstream://app", "affinity": {"cookie": "route", "change_on_failure": True}},
                          upstreams=upstreams))
    sessions = {}
    while set(sessions) != {"a", "b"}:
        answer = ask(port)
        sessions[answer["x-backend"]] = session(answer).value
    b.close()
    answer = ask(port, [("Cookie", f"route={sessions['b']}")])
    assert answer["x-backend"] == "a"
    assert ask(port, [("Cookie", f"route={session(answer).value}")])["x-backend"] == "a"
    # Without it the session waits for its endpoint.
    server.reload(config(port, {"proxy_pass": "upstream://app", "affinity": {"cookie": "route"}}, upstreams=upstreams))
    answer = fetch(port, "/echo", headers=[("Cookie", f"route={sessions['b']}")])
    assert answer.status in (200, 502) and session(answer) is None


def test_nonsense_in_the_cookie_is_no_session(start, trio):
    port = free_port()
    start(config(port, {"proxy_pass": "upstream://app", "affinity": {"cookie": "route"}}, upstreams={"app": {"targets": [trio[0].url]}}))
    for value in ("", "|", "a|", "|b", "x" * 5000, "key|tag", "a|b|c"):
        assert session(ask(port, [("Cookie", f"route={value}")])) is not None


def test_secure_by_the_clients_scheme(start, trio):
    port = free_port()
    server = start(config(port, {"proxy_pass": trio[0].url, "affinity": {"cookie": "route"}}, trusted_proxies=["127.0.0.1"]))
    assert "Secure" in ask(port, [("X-Forwarded-Proto", "https")])["set-cookie"] and "Secure" not in ask(port)["set-cookie"]
    server.reload(config(port, {"proxy_pass": trio[0].url, "affinity": {"cookie": "route", "secure": True, "same_site": "None",
                                                                        "conditional_same_site_none": True}}))
    assert "; Secure; SameSite=None" in ask(port)["set-cookie"]
    old = "Mozilla/5.0 (iPhone; CPU iPhone OS 12_4 like Mac OS X) AppleWebKit/605.1.15 Version/12.1 Mobile/15E148 Safari/604.1"
    assert "SameSite" not in ask(port, [("User-Agent", old)])["set-cookie"]


def test_fallback_when_nobody_can_answer(start, trio):
    a, b, _ = trio
    port = free_port()
    server = start(config(port, {"proxy_pass": "upstream://app", "fallback": b.url},
                          upstreams={"app": {"targets": [{"url": a.url, "weight": 0}]}}))
    assert ask(port)["x-backend"] == "b"
    server.reload(config(port, {"proxy_pass": "upstream://app", "fallback": b.url}, upstreams={"app": {"targets": [a.url]}}))
    assert ask(port)["x-backend"] == "a"


def test_refused_files(start, trio):
    port = free_port()
    a = trio[0].url
    server = start(config(port, {"proxy_pass": a}))
    for rule, said in [({"proxy_pass": []}, "empty"), ({"proxy_pass": a, "affinity": {"cookie": "a b"}}, "cookie name"),
                       ({"proxy_pass": a, "affinity": {"cookie": "a", "path": "/;x"}}, "path"),
                       ({"proxy_pass": a, "affinity": {"cookie": "a", "domain": "a; Secure"}}, "host name"),
                       ({"proxy_pass": a, "canary": {"to": a, "weight": 101}}, "at most 100"),
                       ({"proxy_pass": a, "canary": {"to": a, "header_value": "x"}}, "need a header"),
                       ({"proxy_pass": [{"to": a}, {"to": a}], "canary": {"to": a}}, "beside one target"),
                       ({"proxy_pass": a, "affinity": {"cookie": "a", "same_site": "lax"}}, "Lax")]:
        assert said in server.reload(config(port, rule), expect=1), rule
    assert ask(port)["x-backend"] == "a"
