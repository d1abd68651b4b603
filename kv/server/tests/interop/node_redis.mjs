// Drives a server with node-redis, as a JavaScript program would: node_redis.mjs HOST:PORT
//
// Every command of the front door, in RESP2 and RESP3, without special settings. The package is
// looked up in the folder that NODE_MODULES names.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";

const folder = path.resolve(process.env.NODE_MODULES ?? "node_modules");
const require = createRequire(path.join(folder, "anchor.js"));
const { createClient, RESP_TYPES } = require("redis");
const { version } = require("@redis/client/package.json");

const checks = {
  async values(c) {
    assert.equal(await c.set("k", "v"), "OK");
    assert.equal(await c.get("k"), "v");
    assert.equal(await c.get("absent"), null);
    const binary = Buffer.from([0, 255, 13, 10]);
    const raw = c.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    await raw.set(binary, binary);
    assert.deepEqual(await raw.get(binary), binary);
    assert.equal(await c.strLen("k"), 1);
    assert.equal(await c.append("k", "w"), 2);
    assert.equal(await c.type("k"), "string");
  },
  async conditions(c) {
    assert.equal(Number(await c.setNX("k", "1")), 1);
    assert.equal(await c.set("k", "2", { condition: "NX" }), null);
    assert.equal(await c.set("k", "3", { condition: "XX", GET: true }), "1");
    assert.equal(await c.getSet("k", "4"), "3");
    assert.equal(await c.getDel("k"), "4");
    assert.equal(await c.getDel("k"), null);
  },
  async many(c) {
    assert.equal(await c.mSet({ a: "1", b: "2" }), "OK");
    assert.deepEqual(await c.mGet(["a", "absent", "b"]), ["1", null, "2"]);
    assert.equal(await c.exists(["a", "b", "a", "absent"]), 3);
    assert.equal(await c.del(["a", "absent"]), 1);
    assert.equal(await c.unlink("b"), 1);
    assert.equal(await c.dbSize(), 0);
  },
  async counters(c) {
    assert.equal(await c.incr("n"), 1);
    assert.equal(await c.incrBy("n", 41), 42);
    assert.equal(await c.decr("n"), 41);
    assert.equal(await c.decrBy("n", 50), -9);
    await c.set("text", "x");
    await assert.rejects(c.incr("text"), /ERR value is not an integer or out of range/);
  },
  async times(c) {
    await c.set("k", "v", { expiration: { type: "EX", value: 3600 } });
    const ttl = await c.ttl("k");
    assert.ok(ttl > 3500 && ttl <= 3600, `${ttl}`);
    assert.ok((await c.pTTL("k")) > 3_500_000);
    assert.equal(Number(await c.persist("k")), 1);
    assert.equal(await c.ttl("k"), -1);
    assert.equal(await c.ttl("absent"), -2);
    assert.equal(Number(await c.expire("k", 1000)), 1);
    assert.equal(Number(await c.pExpire("k", 2_000_000)), 1);
    assert.equal(await c.getEx("k", { type: "PERSIST" }), "v");
    assert.equal(await c.ttl("k"), -1);
    assert.equal(Number(await c.expire("k", -1)), 1);
    assert.equal(await c.exists("k"), 0);
  },
  async keys(c) {
    const names = Array.from({ length: 250 }, (_, n) => `key:${n}`);
    await Promise.all(names.map((name) => c.set(name, "")));
    await c.set("other", "");
    const found = new Set();
    for await (const keys of c.scanIterator({ MATCH: "key:*", COUNT: 7 })) {
      for (const key of keys) found.add(key);
    }
    assert.deepEqual([...found].sort(), names.sort());
    assert.deepEqual(await c.keys("o*"), ["other"]);
    assert.equal(await c.dbSize(), 251);
    assert.equal(await c.flushDb(), "OK");
    assert.equal(await c.dbSize(), 0);
  },
  async connection(c) {
    assert.equal(await c.ping(), "PONG");
    assert.equal(await c.echo("hi"), "hi");
    await c.clientSetName("me");
    assert.equal(await c.clientGetName(), "me");
    assert.ok((await c.clientId()) > 0);
    assert.match(await c.info(), /redis_version:/);
    assert.deepEqual(Object.keys(await c.configGet("appendonly")), ["appendonly"]);
    assert.ok((await c.commandCount()) >= 30);
    assert.equal((await c.commandInfo(["get"]))[0].name, "get");
    await assert.rejects(c.sendCommand(["NONSENSE", "k", "v"]), {
      message: /^ERR unknown command 'NONSENSE', with args beginning with: 'k' 'v'/,
    });
  },
  async pipeline(c) {
    // What is sent in one turn of the event loop goes out as one pipeline.
    const numbers = Array.from({ length: 1000 }, (_, n) => n);
    await Promise.all(numbers.map((n) => c.set(`p${n}`, `${n}`)));
    const values = await Promise.all(numbers.map((n) => c.get(`p${n}`)));
    assert.deepEqual(values, numbers.map(String));
  },
};

let passed = 0;
for (const settings of [{}, { RESP: 2 }, { RESP: 3 }]) {
  for (const [name, check] of Object.entries(checks)) {
    const client = createClient({ url: `redis://${process.argv[2]}`, ...settings });
    client.on("error", (error) => {
      throw error;
    });
    await client.connect();
    await client.flushDb();
    try {
      await check(client);
    } catch (error) {
      throw new Error(`check ${name} with ${JSON.stringify(settings)}`, { cause: error });
    }
    await client.close();
    passed += 1;
  }
}
console.log(`node-redis ${version}: ${passed} checks passed`);
