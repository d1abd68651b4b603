//! Requests of RESP: what is understood, what is refused and in which words, and that nothing is
//! copied or examined twice.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::BytesMut;
use tinykv_proto::resp::{Command, Limits, ProtocolError, RequestDecoder, parse_integer};

/// All commands of a stream that is fed at once.
fn decode_with(limits: Limits, stream: &[u8]) -> Result<Vec<Command>, ProtocolError> {
    let mut decoder = RequestDecoder::new(limits);
    let mut buffer = BytesMut::from(stream);
    let mut commands = Vec::new();
    while let Some(command) = decoder.decode(&mut buffer)? {
        commands.push(command);
    }
    Ok(commands)
}

/// The commands of a stream, with words as text.
fn words(stream: &[u8]) -> Vec<Vec<String>> {
    let commands = decode_with(Limits::default(), stream).unwrap();
    let show = |word: &[u8]| word.escape_ascii().to_string();
    commands.iter().map(|command| command.iter().map(show).collect()).collect()
}

fn refusal(stream: &[u8]) -> String {
    decode_with(Limits::default(), stream).unwrap_err().to_string()
}

#[test]
fn arrays_lines_and_empty_requests_mix() {
    let stream =
        b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n\r\n*0\r\n*-7\r\n\nECHO hi\n*1\r\n$0\r\n\r\n";
    assert_eq!(words(stream), [vec!["GET", "k"], vec!["PING"], vec!["ECHO", "hi"], vec![""]]);
}

#[test]
fn words_hold_any_bytes() {
    assert_eq!(
        words(b"*2\r\n$4\r\n\r\n\r\n\r\n$3\r\n\0\xff$\r\n"),
        [["\\r\\n\\r\\n", "\\x00\\xff$"]]
    );
}

#[test]
fn quotes_of_lines_are_those_of_redis() {
    let cases: [(&[u8], &[&str]); 9] = [
        (b"  set   k\t v  \r\n", &["set", "k", "v"]),
        (b"\"a b\" 'c d'\r\n", &["a b", "c d"]),
        (b"\"\\n\\r\\t\\b\\a\\q\\\\\\\"\"\r\n", &["\\n\\r\\t\\x08\\x07q\\\\\\\""]),
        (b"\"\\x41\\xff\\xzz\\x4\"\r\n", &["A\\xffxzzx4"]),
        (b"'it\\'s' 'a\\n'\r\n", &["it\\'s", "a\\\\n"]),
        (b"a\"b c\" d'e'\r\n", &["ab c", "de"]),
        (b"\"\" ''\r\n", &["", ""]),
        (b"a\x0bb\x0c\r\n", &["a\\x0bb\\x0c"]),
        (b"a\0b\n", &["a\\x00b"]),
    ];
    for (line, expected) in cases {
        assert_eq!(words(line), [expected], "{}", line.escape_ascii());
    }
}

#[test]
fn errors_have_the_words_of_redis() {
    let long = [b"x".repeat(64 * 1024 + 1)].concat();
    let with = |head: &str| [head.as_bytes(), &long].concat();
    let cases: [(&[u8], &str); 24] = [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*1 \r\n", "invalid multibulk length"),
        (b"*-0\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*9223372036854775808\r\n", "invalid multibulk length"),
        (b"*18446744073709551617\r\n", "invalid multibulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"set \"k\r\n", "unbalanced quotes in request"),
        (b"set 'k\r\n", "unbalanced quotes in request"),
        (b"set \"k\"v\r\n", "unbalanced quotes in request"),
        (&with(""), "too big inline request"),
        (&with("*"), "too big mbulk count string"),
        (&with("*1\r\n$"), "too big bulk count string"),
    ];
    for (stream, expected) in cases {
        let shown: Vec<u8> = stream.iter().copied().take(40).collect();
        let expected = format!("ERR Protocol error: {expected}");
        assert_eq!(refusal(stream), expected, "{}", shown.escape_ascii());
    }
}

#[test]
fn a_line_end_that_is_none_is_refused() {
    // Redis does not look at these bytes, and so goes on out of step.
    for stream in [&b"*1\rx"[..], b"*1\r\n$1\rx", b"*1\r\n$1\r\nabc", b"*1\r\n$1\r\na\rc"] {
        assert_eq!(refusal(stream), "ERR Protocol error: expected CRLF");
    }
}

#[test]
fn what_the_limits_allow_is_taken_and_one_more_is_not() {
    let limits = Limits {
        bulk_bytes_max: 5,
        elements_max: 3,
        line_bytes_max: 20,
        total_bytes_max: 30,
        ..Limits::default()
    };
    let decode = |stream: &[u8]| decode_with(limits.clone(), stream).map(|all| all.len());
    assert_eq!(decode(b"*1\r\n$5\r\nabcde\r\n"), Ok(1));
    assert_eq!(decode(b"*1\r\n$6\r\n"), Err(ProtocolError::BulkLength));
    assert_eq!(decode(b"*3\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n"), Ok(1));
    assert_eq!(decode(b"*4\r\n"), Err(ProtocolError::MultibulkLength));
    assert_eq!(decode(&[&b"x".repeat(20)[..], b"\n"].concat()), Ok(1));
    assert_eq!(decode(&b"x".repeat(20)), Ok(0));
    assert_eq!(decode(&b"x".repeat(21)), Err(ProtocolError::InlineTooBig));
    assert_eq!(decode(b"*2\r\n$5\r\nabcde\r\n$5\r\nabcde\r\n"), Ok(1));
    assert_eq!(decode(b"*3\r\n$5\r\nabcde\r\n$5\r\nabcde\r\n$5\r\n"), Err(ProtocolError::TooBig));
}

#[test]
fn a_length_that_overflows_is_refused() {
    let limits = Limits {
        bulk_bytes_max: usize::MAX,
        elements_max: usize::MAX,
        total_bytes_max: usize::MAX,
        ..Limits::default()
    };
    for length in [u64::from(u32::MAX), 1 << 32, (1 << 32) + 1, i64::MAX as u64] {
        let stream = format!("*1\r\n${length}\r\nabcdef\r\n");
        let outcome = decode_with(limits.clone(), stream.as_bytes());
        assert_eq!(outcome, Err(ProtocolError::TooBig), "{length}");
    }
    let stream = format!("*{}\r\n", i64::MAX);
    assert_eq!(decode_with(limits, stream.as_bytes()), Ok(vec![]), "just waits for arguments");
}

#[test]
fn arguments_are_slices_of_the_read_buffer() {
    let mut buffer = BytesMut::from(&b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"[..]);
    let place = buffer.as_ptr();
    let command = RequestDecoder::new(Limits::default()).decode(&mut buffer).unwrap().unwrap();
    let key = command.bytes(1).unwrap();
    assert_eq!(&key[..], b"key");
    assert_eq!(key.as_ptr(), place.wrapping_add(17), "not copied");
    assert_eq!((command.len(), command.get(2), command.bytes(2)), (2, None, None));
}

#[test]
fn a_slow_client_costs_no_more_than_a_fast_one() {
    // 20 000 arguments, a byte at a time: quadratic work would be 10^10 bytes.
    let mut stream = b"*20000\r\n".to_vec();
    for number in 0..20_000 {
        let word = number.to_string();
        stream.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    let mut decoder = RequestDecoder::new(Limits::default());
    let mut buffer = BytesMut::new();
    let mut commands = Vec::new();
    for (fed, byte) in stream.iter().enumerate() {
        buffer.extend_from_slice(&[*byte]);
        commands.extend(decoder.decode(&mut buffer).unwrap());
        assert!(decoder.bytes_examined() <= fed as u64 + 1, "a byte was examined twice");
    }
    assert_eq!(commands.len(), 1);
    assert_eq!(&commands[0][19_999], b"19999");
    let lines =
        stream.len() as u64 - commands[0].iter().map(|word| word.len() as u64 + 2).sum::<u64>();
    assert_eq!(decoder.bytes_examined() + 20_001, lines, "every line once, without its line feed");
}

#[test]
fn a_long_line_is_examined_once() {
    let mut decoder = RequestDecoder::new(Limits::default());
    let mut buffer = BytesMut::new();
    for _ in 0..60_000 {
        buffer.extend_from_slice(b"x");
        assert!(decoder.decode(&mut buffer).unwrap().is_none());
    }
    assert_eq!(decoder.bytes_examined(), 60_000);
}

#[test]
fn integers_are_read_as_redis_reads_them() {
    let good = ["0", "1", "-1", "9223372036854775807", "-9223372036854775808"];
    for text in good {
        assert_eq!(parse_integer(text.as_bytes()).unwrap().to_string(), text);
    }
    let bad = [
        "",
        "-",
        "+1",
        "01",
        "-0",
        "-01",
        " 1",
        "1 ",
        "1.0",
        "1e3",
        "0x1",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999",
        "１",
    ];
    for text in bad {
        assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
    }
}
