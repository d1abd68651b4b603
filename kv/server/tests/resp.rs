//! The Redis protocol: each dialogue is what redis-server 7.0.15 answers.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/resp.rs"]
mod resp;
#[path = "support/start.rs"]
mod start;

use resp::{Resp, encode, show};

/// Runs commands and compares the replies.
fn dialogue(lines: &[(&str, &str)]) {
    let server = start::start_memory(&[]);
    let mut client = Resp::connect(start::resp(&server));
    // RocksDB knows its keys only about.
    let counts = start::engine().as_deref() != Some("rocksdb");
    for (command, reply) in lines {
        let said = client.run(command);
        assert!(said == *reply || (*command == "DBSIZE" && !counts), "{command}: {said}");
    }
}

#[test]
fn strings() {
    dialogue(&[
        ("PING", "PONG"),
        ("ping hello", "\"hello\""),
        ("ECHO x", "\"x\""),
        ("GET a", "(nil)"),
        ("SET a 1", "OK"),
        ("get a", "\"1\""),
        ("SETNX a 2", "0"),
        ("SETNX b 2", "1"),
        ("GETSET a 3", "\"1\""),
        ("GETDEL a", "\"3\""),
        ("GETDEL a", "(nil)"),
        ("MSET a 1 b 2 c 3", "OK"),
        ("MGET a b x c", "[\"1\", \"2\", (nil), \"3\"]"),
        ("MSETNX c 4 d 5", "0"),
        ("MSETNX e 4 d 5", "1"),
        ("APPEND a 23", "3"),
        ("STRLEN a", "3"),
        ("STRLEN x", "0"),
        ("TYPE a", "string"),
        ("TYPE x", "none"),
        ("EXISTS a b x a", "3"),
        ("DEL a b x", "2"),
        ("UNLINK c", "1"),
        ("DBSIZE", "2"),
        ("FLUSHALL", "OK"),
        ("DBSIZE", "0"),
    ]);
}

#[test]
fn options_of_set() {
    dialogue(&[
        ("SET a 1 XX", "(nil)"),
        ("SET a 1 NX", "OK"),
        ("SET a 2 NX", "(nil)"),
        ("SET a 2 NX GET", "\"1\""),
        ("SET a 3 GET", "\"1\""),
        ("SET a 4 XX GET", "\"3\""),
        ("SET b 1 GET", "(nil)"),
        ("SET a 5 IFEQ 0", "(nil)"),
        ("SET a 5 IFEQ 4", "OK"),
        ("SET a 1 EX 100", "OK"),
        ("TTL a", "100"),
        ("SET a 2 KEEPTTL", "OK"),
        ("TTL a", "100"),
        ("SET a 3", "OK"),
        ("TTL a", "-1"),
        ("SET a 1 PX 100000", "OK"),
        ("TTL a", "100"),
        ("SET a 1 EXAT 99999999999", "OK"),
        ("EXPIRETIME a", "99999999999"),
        ("SET a 1 PXAT 99999999999999", "OK"),
        ("PEXPIRETIME a", "99999999999999"),
        ("SET a 1 EX 0", "(error) ERR invalid expire time in 'set' command"),
        ("SET a 1 EX -1", "(error) ERR invalid expire time in 'set' command"),
        ("SET a 1 EX 9223372036854775807", "(error) ERR invalid expire time in 'set' command"),
        ("SET a 1 EX x", "(error) ERR value is not an integer or out of range"),
        ("SET a 1 EX", "(error) ERR syntax error"),
        ("SET a 1 NX XX", "(error) ERR syntax error"),
        ("SET a 1 EX 1 PX 1", "(error) ERR syntax error"),
        ("SET a 1 EX 1 KEEPTTL", "(error) ERR syntax error"),
        ("SET a 1 FOO", "(error) ERR syntax error"),
        ("SETEX a 100 v", "OK"),
        ("TTL a", "100"),
        ("SETEX a 0 v", "(error) ERR invalid expire time in 'setex' command"),
        ("PSETEX a 100000 v", "OK"),
        ("TTL a", "100"),
    ]);
}

#[test]
fn numbers() {
    dialogue(&[
        ("INCR n", "1"),
        ("INCRBY n 41", "42"),
        ("DECR n", "41"),
        ("DECRBY n 50", "-9"),
        ("GET n", "\"-9\""),
        ("SET n x", "OK"),
        ("INCR n", "(error) ERR value is not an integer or out of range"),
        ("SET n 9223372036854775807", "OK"),
        ("INCR n", "(error) ERR increment or decrement would overflow"),
        ("INCRBY n 1.5", "(error) ERR value is not an integer or out of range"),
        ("DECRBY n -9223372036854775808", "(error) ERR decrement would overflow"),
        ("SET n 01", "OK"),
        ("INCR n", "(error) ERR value is not an integer or out of range"),
    ]);
}

#[test]
fn fractions() {
    dialogue(&[
        ("INCRBYFLOAT f 1.5", "\"1.5\""),
        ("INCRBYFLOAT f -1.6", "\"-0.1\""),
        ("INCRBYFLOAT f 5.0e3", "\"4999.9\""),
        ("INCRBYFLOAT f x", "(error) ERR value is not a valid float"),
        ("INCRBYFLOAT f inf", "(error) ERR increment would produce NaN or Infinity"),
        ("SET f x", "OK"),
        ("INCRBYFLOAT f 1", "(error) ERR value is not a valid float"),
    ]);
}

#[test]
fn parts_of_values() {
    dialogue(&[
        ("SETRANGE a 2 xyz", "5"),
        ("GET a", "\"\0\0xyz\""),
        ("SETRANGE a 3 !", "5"),
        ("GETRANGE a 2 -1", "\"x!z\""),
        ("GETRANGE a -3 -2", "\"x!\""),
        ("SUBSTR a 4 2", "\"\""),
        ("GETRANGE nothing 0 -1", "\"\""),
        ("SETRANGE a -1 x", "(error) ERR offset is out of range"),
        ("SETBIT b 9 1", "0"),
        ("SETBIT b 9 1", "1"),
        ("GET b", "\"\0@\""),
        ("GETBIT b 9", "1"),
        ("GETBIT b 8", "0"),
        ("GETBIT b 4294967295", "0"),
        ("SETBIT b 4294967296 1", "(error) ERR bit offset is not an integer or out of range"),
        ("SETBIT b 1 2", "(error) ERR bit is not an integer or out of range"),
    ]);
}

#[test]
fn names_of_keys() {
    dialogue(&[
        ("RENAME a b", "(error) ERR no such key"),
        ("SET a 1 EX 100", "OK"),
        ("RENAME a b", "OK"),
        ("EXISTS a b", "1"),
        ("TTL b", "100"),
        ("SET c 2", "OK"),
        ("RENAMENX b c", "0"),
        ("COPY b c", "0"),
        ("COPY b c REPLACE", "1"),
        ("TTL c", "100"),
        ("COPY c c", "(error) ERR source and destination objects are the same"),
        ("RENAMENX c d", "1"),
        ("TOUCH b c d", "2"),
    ]);
}

#[test]
fn commands_at_one_moment() {
    dialogue(&[
        ("EXEC", "(error) ERR EXEC without MULTI"),
        ("DISCARD", "(error) ERR DISCARD without MULTI"),
        ("MULTI", "OK"),
        ("SET a 1", "QUEUED"),
        ("INCR a", "QUEUED"),
        ("PING", "QUEUED"),
        ("INCR a x", "(error) ERR wrong number of arguments for 'incr' command"),
        ("EXEC", "(error) EXECABORT Transaction discarded because of previous errors."),
        ("GET a", "(nil)"),
        ("MULTI", "OK"),
        ("SET a x", "QUEUED"),
        ("INCR a", "QUEUED"),
        ("ECHO hi", "QUEUED"),
        ("APPEND a y", "QUEUED"),
        ("GET a", "QUEUED"),
        ("MULTI", "(error) ERR MULTI calls can not be nested"),
        ("EXEC", "[OK, (error) ERR value is not an integer or out of range, \"hi\", 2, \"xy\"]"),
        ("MULTI", "OK"),
        ("GET a", "QUEUED"),
        ("EXEC", "[\"xy\"]"),
        ("MULTI", "OK"),
        ("EXEC", "[]"),
        ("MULTI", "OK"),
        ("KEYS *", "(error) ERR Command not allowed inside a transaction"),
        ("SET a 2", "QUEUED"),
        ("DISCARD", "OK"),
        ("GET a", "\"xy\""),
    ]);
}

#[test]
fn times_to_live() {
    dialogue(&[
        ("TTL a", "-2"),
        ("PTTL a", "-2"),
        ("EXPIRE a 100", "0"),
        ("SET a 1", "OK"),
        ("TTL a", "-1"),
        ("EXPIRETIME a", "-1"),
        ("EXPIRE a 100", "1"),
        ("TTL a", "100"),
        ("PERSIST a", "1"),
        ("PERSIST a", "0"),
        ("PEXPIRE a 100000", "1"),
        ("EXPIRE a 50 GT", "0"),
        ("EXPIRE a 200 GT", "1"),
        ("EXPIRE a 100 NX", "0"),
        ("EXPIRE a 100 LT", "1"),
        ("EXPIRE a 100 XX", "1"),
        (
            "EXPIRE a 1 NX XX",
            "(error) ERR NX and XX, GT or LT options at the same time are not compatible",
        ),
        ("EXPIRE a 1 GT LT", "(error) ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE a 1 FOO", "(error) ERR Unsupported option FOO"),
        ("EXPIRE a x", "(error) ERR value is not an integer or out of range"),
        ("EXPIRE a 9223372036854775807", "(error) ERR invalid expire time in 'expire' command"),
        ("EXPIREAT a 99999999999", "1"),
        ("PEXPIREAT a 99999999999999", "1"),
        ("GETEX a PERSIST", "\"1\""),
        ("TTL a", "-1"),
        ("GETEX a EX 100", "\"1\""),
        ("TTL a", "100"),
        ("GETEX a", "\"1\""),
        ("TTL a", "100"),
        ("GETEX a EX 0", "(error) ERR invalid expire time in 'getex' command"),
        ("GETEX a FOO", "(error) ERR syntax error"),
        ("EXPIRE a -1", "1"),
        ("EXISTS a", "0"),
    ]);
}

#[test]
fn errors() {
    dialogue(&[
        ("FOO", "(error) ERR unknown command 'FOO', with args beginning with: "),
        ("foo a b", "(error) ERR unknown command 'foo', with args beginning with: 'a' 'b' "),
        ("GET", "(error) ERR wrong number of arguments for 'get' command"),
        ("GET a b", "(error) ERR wrong number of arguments for 'get' command"),
        ("MSET a", "(error) ERR wrong number of arguments for 'mset' command"),
        ("MSET a 1 b", "(error) ERR wrong number of arguments for 'mset' command"),
        ("PING a b", "(error) ERR wrong number of arguments for 'ping' command"),
        ("SELECT 0", "OK"),
        ("SELECT 1", "(error) ERR DB index is out of range"),
        ("SELECT x", "(error) ERR value is not an integer or out of range"),
        ("CLIENT FOO", "(error) ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
        ("SCAN x", "(error) ERR invalid cursor"),
        ("SCAN 0 COUNT", "(error) ERR syntax error"),
        ("SCAN 0 COUNT 0", "(error) ERR syntax error"),
        ("SCAN 0 COUNT x", "(error) ERR value is not an integer or out of range"),
        ("FLUSHALL FOO", "(error) ERR syntax error"),
        (
            "AUTH x",
            "(error) ERR AUTH <password> called without any password configured for the default \
             user. Are you sure your configuration is correct?",
        ),
        ("AUTH someone x", "(error) WRONGPASS invalid username-password pair or user is disabled."),
        ("AUTH default x", "OK"),
    ]);
}

#[test]
fn connections() {
    let server = start::start_memory(&[]);
    let mut client = Resp::connect(start::resp(&server));
    let id = client.run("CLIENT ID");
    assert_eq!(client.run("CLIENT GETNAME"), "(nil)");
    assert_eq!(client.run("CLIENT SETNAME me"), "OK");
    assert_eq!(client.run("CLIENT GETNAME"), "\"me\"");
    assert_eq!(client.run("CLIENT SETINFO LIB-NAME lib"), "OK");
    assert_eq!(client.run("CLIENT SETINFO LIB-VER 1.2"), "OK");
    assert!(client.run("CLIENT SETINFO FOO 1").contains("Unrecognized option 'FOO'"));
    let info = client.run("CLIENT INFO");
    assert!(info.contains(&format!("id={id} ")) && info.contains(" name=me "), "{info}");
    assert!(info.contains(" lib-name=lib lib-ver=1.2"), "{info}");
    assert_eq!(client.run("HELLO 4"), "(error) NOPROTO unsupported protocol version");
    let hello = client.run("HELLO 3 AUTH default x SETNAME you");
    assert!(hello.starts_with("{\"server\": \"redis\", \"version\": \"7.0"), "{hello}");
    assert!(hello.contains("\"proto\": 3") && hello.contains("\"modules\": []"), "{hello}");
    assert_eq!(client.run("CLIENT GETNAME"), "\"you\"");
    assert_eq!(client.run("GET nothing"), "(nil)");
    assert!(client.run("CONFIG GET save").starts_with("{\"save\": \"\"}"));
    assert_eq!(client.run("RESET"), "RESET");
    let durable = if start::engine().is_some() { "yes" } else { "no" };
    let appendonly = format!("[\"appendonly\", \"{durable}\"]");
    assert_eq!(client.run("CONFIG GET appendonl[y]"), appendonly);
    assert!(client.run("INFO persistence").contains("loading:0"));
    assert_eq!(client.run("INFO nothing"), "\"\"");
    let mut other = Resp::connect(start::resp(&server));
    let other_id = other.run("CLIENT ID");
    assert_eq!(client.run(&format!("CLIENT KILL ID {other_id}")), "1");
    assert_eq!(other.receive(), None);
    assert_eq!(client.run("QUIT"), "OK");
    assert_eq!(client.receive(), None);
}

#[test]
fn commands_are_described() {
    let server = start::start_memory(&[]);
    let mut client = Resp::connect(start::resp(&server));
    let count: usize = client.run("COMMAND COUNT").parse().unwrap();
    client.send(&[b"COMMAND"]);
    let Some(proto::resp::Value::Array(all)) = client.receive() else { panic!("no array") };
    assert_eq!(all.len(), count);
    assert!(
        client
            .run("COMMAND INFO get nothing")
            .starts_with("[[\"get\", 2, [readonly, fast], 1, 1, 1")
    );
    assert!(client.run("COMMAND INFO get nothing").ends_with(", (nil)]"));
    assert!(client.run("COMMAND DOCS get").starts_with("[\"get\", [\"summary\""));
    client.run("HELLO 3");
    assert!(client.run("COMMAND DOCS get").starts_with("{\"get\": {\"summary\""));
}

#[test]
fn a_pipeline_is_answered_in_order_and_sees_itself() {
    let server = start::start_memory(&[]);
    let mut client = Resp::connect(start::resp(&server));
    let mut pipeline = Vec::new();
    for n in 0..3_000 {
        let n = n.to_string();
        pipeline.extend(encode(&[b"SET", b"k", n.as_bytes()]));
        pipeline.extend(encode(&[b"GET", b"k"]));
        pipeline.extend(encode(&[b"ECHO", n.as_bytes()]));
        pipeline.extend(encode(&[b"INCR", b"counter"]));
        pipeline.extend(encode(&[b"INCR", b"k", b"too many"]));
    }
    let mut socket = client.socket.try_clone().unwrap();
    let sender = std::thread::spawn(move || std::io::Write::write_all(&mut socket, &pipeline));
    for n in 0..3_000 {
        let replies: Vec<String> = (0..5).map(|_| show(&client.receive().unwrap())).collect();
        let bulk = format!("\"{n}\"");
        let arity = "(error) ERR wrong number of arguments for 'incr' command";
        assert_eq!(replies, ["OK", &bulk, &bulk, &(n + 1).to_string(), arity]);
    }
    sender.join().unwrap().unwrap();
}

#[test]
fn a_scan_finds_every_key_that_stays() {
    let server = start::start_memory(&[]);
    let mut client = Resp::connect(start::resp(&server));
    for n in 0..500 {
        client.run(&format!("SET stay:{n:04} x"));
        client.run(&format!("SET go:{n:04} x"));
    }
    let (mut cursor, mut found, mut rounds) = ("0".to_owned(), Vec::new(), 0);
    loop {
        client.send(&[b"SCAN", cursor.as_bytes(), b"MATCH", b"s[t]ay:*", b"COUNT", b"7"]);
        let Some(proto::resp::Value::Array(reply)) = client.receive() else { panic!("no array") };
        let proto::resp::Value::Array(keys) = &reply[1] else { panic!("no keys") };
        found.extend(keys.iter().map(show));
        cursor = show(&reply[0]).trim_matches('"').to_owned();
        // Keys come and go meanwhile.
        client.run(&format!("DEL go:{rounds:04}"));
        client.run(&format!("SET stax:{rounds:04} x"));
        rounds += 1;
        if cursor == "0" {
            break;
        }
    }
    found.sort();
    let expected: Vec<_> = (0..500).map(|n| format!("\"stay:{n:04}\"")).collect();
    assert_eq!(found, expected);
    assert!(rounds > 500 / 7, "{rounds} rounds");
    assert_eq!(client.run("KEYS stay:000?").matches("stay").count(), 10);
    assert_eq!(client.run("SCAN 0 MATCH stay:0001* TYPE string"), "[\"0\", [\"stay:0001\"]]");
    assert_eq!(client.run("SCAN 0 TYPE hash COUNT 100000"), "[\"0\", []]");
    assert_eq!(client.run("SCAN 1"), "(error) ERR invalid cursor");
}

#[test]
fn keys_and_values_are_any_bytes() {
    let server = start::start_memory(&[]);
    let mut client = Resp::connect(start::resp(&server));
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(client.run_words(&[b"SET", &bytes, &bytes]), "OK");
    assert_eq!(client.run_words(&[b"STRLEN", &bytes]), "256");
    assert_eq!(client.run_words(&[b"SET", b"empty", b""]), "OK");
    assert_eq!(client.run("GET empty"), "\"\"");
    assert_eq!(client.run("EXISTS empty"), "1");
    let long = vec![b'k'; 70_000];
    assert!(client.run_words(&[b"SET", &long, b"x"]).starts_with("(error) ERR the key has 70000"));
}

#[test]
fn lines_that_a_person_types() {
    let server = start::start_memory(&[]);
    let mut client = Resp::connect(start::resp(&server));
    client.send_raw(b"SET a \"x y\"\r\nGET a\nPING\r\n");
    let replies: Vec<_> = (0..3).map(|_| show(&client.receive().unwrap())).collect();
    assert_eq!(replies, ["OK", "\"x y\"", "PONG"]);
    client.send_raw(b"*1\r\n!3\r\n");
    let error = show(&client.receive().unwrap());
    assert_eq!(error, "(error) ERR Protocol error: expected '$', got '!'");
    assert_eq!(client.receive(), None);
}
