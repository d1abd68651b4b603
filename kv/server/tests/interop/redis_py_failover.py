"""Drives stores of a cluster with redis-py while their leader dies: redis_py_failover.py HOST:PORT...

It prints `going` once every client works. After a line on stdin, which says that the leader is dead,
each client has to work on. The one error that a client may see is that the outcome of a write that was
on its way is unknown, and then what is there afterwards is one of both.
"""

import sys
import threading

import redis

ROUNDS_AFTER = 30
FIXED = {f"fixed:{n}".encode() for n in range(300)}


class Client(threading.Thread):
    """One connection that does one kind of thing again and again."""

    def __init__(self, address, number):
        super().__init__(daemon=True)
        host, port = address.rsplit(":", 1)
        self.r = redis.Redis(host=host, port=int(port), retry=None)
        self.key = f"{type(self).__name__}:{number}"
        self.done = self.unknown = self.rounds = 0
        self.failure = None
        self.goes = threading.Event()
        self.rounds_max = float("inf")

    def run(self):
        try:
            while self.rounds < self.rounds_max:
                try:
                    self.once()
                except redis.ResponseError as error:
                    if "UNDETERMINED the write may or may not have been carried out" not in str(error):
                        raise
                    self.unknown += 1
                self.rounds += 1
                self.goes.set()
            self.check()
        except Exception as error:
            self.failure = f"{self.key}: {error!r}"
            self.goes.set()

    def check(self):
        pass


class Counts(Client):
    def once(self):
        self.r.incr(self.key)
        self.done += 1

    def check(self):
        value = int(self.r.get(self.key))
        assert self.done <= value <= self.done + self.unknown, (self.done, value, self.unknown)


class Sets(Client):
    def once(self):
        value = f"value:{self.rounds}".encode()
        assert self.r.set(self.key, value)
        assert self.r.get(self.key) == value


class Transacts(Client):
    def once(self):
        with self.r.pipeline(transaction=True) as pipe:
            pipe.incr(self.key).incr(self.key + ":twin").get(self.key)
            first, second, read = pipe.execute()
        assert first == second == int(read), (first, second, read)
        self.done += 1

    def check(self):
        one, twin = (int(it) for it in self.r.mget(self.key, self.key + ":twin"))
        assert one == twin, (one, twin)
        assert self.done <= one <= self.done + self.unknown, (self.done, one, self.unknown)


class Pipelines(Client):
    def once(self):
        with self.r.pipeline(transaction=False) as pipe:
            for n in range(10):
                pipe.set(f"{self.key}:{n}", self.rounds)
            for n in range(10):
                pipe.get(f"{self.key}:{n}")
            values = pipe.execute()[10:]
        assert all(int(it) == self.rounds for it in values), values


class Scans(Client):
    def once(self):
        found = set(self.r.scan_iter(match="fixed:*", count=40))
        assert found == FIXED, len(found)


def main():
    addresses = sys.argv[1:]
    host, port = addresses[0].rsplit(":", 1)
    redis.Redis(host=host, port=int(port)).mset({key: b"x" for key in FIXED})
    kinds = [Counts, Sets, Transacts, Pipelines, Scans]
    clients = [kind(address, n) for n, address in enumerate(addresses) for kind in kinds]
    for client in clients:
        client.start()
    for client in clients:
        client.goes.wait()
    print("going", flush=True)
    sys.stdin.readline()
    for client in clients:
        client.rounds_max = client.rounds + ROUNDS_AFTER
    for client in clients:
        client.join()
    failures = [client.failure for client in clients if client.failure]
    assert not failures, failures
    assert all(client.unknown <= 1 for client in clients), [it.unknown for it in clients]
    print(f"{len(clients)} checks passed")


main()
