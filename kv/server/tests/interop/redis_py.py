"""Drives a server with redis-py, as a Python program would: redis_py.py HOST:PORT

Every command of the front door, in RESP2 and RESP3, without special settings.
"""

import sys
import threading

import redis


def check_values(r):
    assert r.set("k", "v") is True
    assert r.get("k") == b"v"
    assert r.get("absent") is None
    r.set(b"\x00\xff\r\n", b"\x00\xff\r\n")
    assert r.get(b"\x00\xff\r\n") == b"\x00\xff\r\n"
    r.set("empty", "")
    assert r.get("empty") == b""
    assert r.strlen("k") == 1
    assert r.append("k", "w") == 2
    assert r.type("k") == b"string" and r.type("absent") == b"none"


def check_conditions(r):
    assert r.setnx("k", 1) is True and r.setnx("k", 2) is False
    assert r.set("k", 3, nx=True) is None
    assert r.set("k", 3, xx=True, get=True) == b"1"
    assert r.getset("k", 4) == b"3"
    assert r.getdel("k") == b"4" and r.getdel("k") is None


def check_many(r):
    assert r.mset({"a": 1, "b": 2}) is True
    assert r.mget("a", "absent", "b") == [b"1", None, b"2"]
    assert r.exists("a", "b", "a", "absent") == 3
    assert r.delete("a", "absent") == 1
    assert r.unlink("b") == 1
    assert r.dbsize() == 0


def check_counters(r):
    assert r.incr("n") == 1
    assert r.incrby("n", 41) == 42
    assert r.decr("n") == 41
    assert r.decrby("n", 50) == -9
    r.set("text", "x")
    try:
        r.incr("text")
    except redis.ResponseError as error:
        assert str(error) == "value is not an integer or out of range", error
    else:
        raise AssertionError("a text was counted")


def check_times(r):
    r.set("k", "v", ex=3600)
    assert 3500 <= r.ttl("k") <= 3600
    assert 3_500_000 <= r.pttl("k") <= 3_600_000
    assert r.persist("k") is True
    assert r.ttl("k") == -1 and r.ttl("absent") == -2
    assert r.expire("k", 1000) is True
    assert r.pexpire("k", 2_000_000) is True
    assert r.getex("k", persist=True) == b"v"
    assert r.ttl("k") == -1
    r.set("k", "w", px=5_000_000)
    r.set("k", "x", keepttl=True)
    assert r.ttl("k") > 4000
    assert r.expire("k", -1) is True
    assert r.exists("k") == 0


def check_keys(r):
    names = {b"key:%d" % n for n in range(250)}
    for name in names:
        r.set(name, "")
    r.set("other", "")
    assert set(r.scan_iter(match="key:*", count=7)) == names
    assert set(r.keys("o*")) == {b"other"}
    assert r.dbsize() == 251
    assert r.flushdb() is True
    assert r.dbsize() == 0


def check_connection(r):
    assert r.ping() is True
    assert r.echo("hi") == b"hi"
    assert r.client_setname("me") is True
    assert r.client_getname() in ("me", b"me")
    assert r.client_id() > 0
    info = r.info()
    assert info["loading"] == 0 and "redis_version" in info, info
    assert "appendonly" in r.config_get("appendonly")
    assert r.command_count() >= 30
    assert "get" in {name.lower() for name in r.command()}
    try:
        r.execute_command("NONSENSE", "k", "v")
    except redis.ResponseError as error:
        text = "unknown command 'NONSENSE', with args beginning with: 'k' 'v' "
        assert str(error).strip() == text.strip(), error
    else:
        raise AssertionError("an unknown command was answered")


def check_pipeline(r):
    for transaction in (False, True):
        pipe = r.pipeline(transaction=transaction)
        for n in range(1000):
            pipe.set(f"p{n}", n)
            pipe.get(f"p{n}")
        assert pipe.execute() == [x for n in range(1000) for x in (True, b"%d" % n)]


def check_threads(r):
    """Counters are atomic: one pool, many threads."""
    r.delete("shared")
    threads = [
        threading.Thread(target=lambda: [r.incr("shared") for _ in range(200)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert r.get("shared") == b"1600"


CHECKS = [check_values, check_conditions, check_many, check_counters, check_times, check_keys,
          check_connection, check_pipeline, check_threads]


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    settings = [{}, {"protocol": 2}, {"protocol": 3}]
    for setting in settings:
        for check in CHECKS:
            client = redis.Redis(host=host, port=int(port), **setting)
            client.flushdb()
            check(client)
            client.close()
    print(f"redis-py {redis.__version__}: {len(settings) * len(CHECKS)} checks passed")


main()
