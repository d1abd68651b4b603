//! Replies of RESP: the bytes of every type in both versions, and reading them back.

use bytes::{Bytes, BytesMut};
use tinykv_proto::resp::{Limits, ProtocolError, ReplyDecoder, Value, Version, Writer};

/// What a writer makes in both versions.
fn written(write: impl Fn(&mut Writer<'_>)) -> [String; 2] {
    [Version::V2, Version::V3].map(|version| {
        let mut out = BytesMut::new();
        write(&mut Writer::new(&mut out, version));
        out.escape_ascii().to_string().replace("\\r\\n", "|")
    })
}

fn decode_with(limits: Limits, stream: &[u8]) -> Result<Option<Value>, ProtocolError> {
    ReplyDecoder::new(limits).decode(&mut BytesMut::from(stream))
}

fn decode(stream: &[u8]) -> Result<Option<Value>, ProtocolError> {
    decode_with(Limits::default(), stream)
}

#[test]
fn every_type_has_its_bytes_in_both_versions() {
    let same = |text: &str| [text.to_owned(), text.to_owned()];
    let both = |two: &str, three: &str| [two.to_owned(), three.to_owned()];
    assert_eq!(written(|w| w.ok()), same("+OK|"));
    assert_eq!(written(|w| w.simple("QUEUED")), same("+QUEUED|"));
    assert_eq!(written(|w| w.error("ERR no")), same("-ERR no|"));
    assert_eq!(written(|w| w.integer(0)), same(":0|"));
    assert_eq!(written(|w| w.integer(1)), same(":1|"));
    assert_eq!(written(|w| w.integer(i64::MIN)), same(":-9223372036854775808|"));
    assert_eq!(written(|w| w.bulk(b"a\0b")), same("$3|a\\x00b|"));
    assert_eq!(written(|w| w.bulk(b"")), same("$0||"));
    assert_eq!(written(|w| w.bulk_or_null(Some(b"a"))), same("$1|a|"));
    assert_eq!(written(|w| w.bulk_or_null(None)), both("$-1|", "_|"));
    assert_eq!(written(|w| w.null()), both("$-1|", "_|"));
    assert_eq!(written(|w| w.null_array()), both("*-1|", "_|"));
    assert_eq!(written(|w| w.array(3)), same("*3|"));
    assert_eq!(written(|w| w.map(3)), both("*6|", "%3|"));
    assert_eq!(written(|w| w.set(3)), both("*3|", "~3|"));
    assert_eq!(written(|w| w.push(3)), both("*3|", ">3|"));
    assert_eq!(written(|w| w.boolean(true)), both(":1|", "#t|"));
    assert_eq!(written(|w| w.boolean(false)), both(":0|", "#f|"));
    assert_eq!(written(|w| w.big_number("-123")), both("$4|-123|", "(-123|"));
    assert_eq!(written(|w| w.bulk_error(b"ERR a\r\nb")), both("-ERR a  b|", "!8|ERR a|b|"));
    assert_eq!(written(|w| w.verbatim(*b"txt", b"abc")), both("$3|abc|", "=7|txt:abc|"));
    assert_eq!(
        written(|w| assert_eq!(w.attribute(1), w.version() == Version::V3)),
        both("", "|1|")
    );
}

#[test]
fn doubles_are_short_and_read_back_equal() {
    let cases = [
        (0.0, "0"),
        (-0.0, "-0"),
        (3.0, "3"),
        (0.1, "0.1"),
        (-1.5, "-1.5"),
        (1e16, "10000000000000000"),
        (1e17, "1e17"),
        (1.25e-7, "1.25e-7"),
        (f64::MAX, "1.7976931348623157e308"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ];
    for (number, text) in cases {
        let [two, three] = written(|w| w.double(number));
        assert_eq!(two, format!("${}|{text}|", text.len()));
        assert_eq!(three, format!(",{text}|"));
        let Some(Value::Double(again)) = decode(format!(",{text}\r\n").as_bytes()).unwrap() else {
            panic!("{text} is a double");
        };
        assert!(again == number || (again.is_nan() && number.is_nan()), "{text}");
    }
}

#[test]
fn no_text_of_a_user_makes_a_second_line() {
    assert_eq!(
        written(|w| w.error("ERR unknown 'a\r\n+OK\r\n'"))[0],
        "-ERR unknown \\'a  +OK  \\'|"
    );
    assert_eq!(written(|w| w.simple("a\nb"))[1], "+a b|");
}

#[test]
fn every_type_is_read() {
    let b = |text: &'static str| Bytes::from_static(text.as_bytes());
    let simple = |text: &'static str| Value::Simple(b(text));
    let cases: [(&str, Value); 24] = [
        ("+OK\r\n", simple("OK")),
        ("-ERR no\r\n", Value::Error(b("ERR no"))),
        (":-7\r\n", Value::Integer(-7)),
        (":+7\r\n", Value::Integer(7)),
        ("$3\r\na\r\n\r\n", Value::Bulk(b("a\r\n"))),
        ("$0\r\n\r\n", Value::Bulk(b(""))),
        ("$-1\r\n", Value::Null),
        ("*-1\r\n", Value::Null),
        ("_\r\n", Value::Null),
        ("*0\r\n", Value::Array(vec![])),
        ("*2\r\n:1\r\n*1\r\n+a\r\n", {
            Value::Array(vec![Value::Integer(1), Value::Array(vec![simple("a")])])
        }),
        ("%1\r\n+k\r\n:1\r\n", Value::Map(vec![(simple("k"), Value::Integer(1))])),
        ("%0\r\n", Value::Map(vec![])),
        ("~1\r\n+a\r\n", Value::Set(vec![simple("a")])),
        (">1\r\n+a\r\n", Value::Push(vec![simple("a")])),
        (",1.5\r\n", Value::Double(1.5)),
        (",-inf\r\n", Value::Double(f64::NEG_INFINITY)),
        ("#t\r\n", Value::Boolean(true)),
        ("#f\r\n", Value::Boolean(false)),
        ("(-12345678901234567890\r\n", Value::BigNumber(b("-12345678901234567890"))),
        ("!3\r\nERR\r\n", Value::BulkError(b("ERR"))),
        ("=5\r\ntxt:a\r\n", Value::Verbatim { format: *b"txt", text: b("a") }),
        (
            "|1\r\n+k\r\n:1\r\n+v\r\n",
            Value::Attributed {
                attributes: vec![(simple("k"), Value::Integer(1))],
                value: Box::new(simple("v")),
            },
        ),
        (
            "*1\r\n|0\r\n:1\r\n",
            Value::Array(vec![Value::Attributed {
                attributes: vec![],
                value: Box::new(Value::Integer(1)),
            }]),
        ),
    ];
    for (stream, expected) in cases {
        assert_eq!(decode(stream.as_bytes()), Ok(Some(expected)), "{}", stream.escape_default());
        let short = &stream.as_bytes()[..stream.len() - 1];
        assert_eq!(decode(short), Ok(None), "{} without its last byte", stream.escape_default());
    }
}

#[test]
fn what_is_no_reply_is_refused() {
    let cases: [(&str, ProtocolError); 17] = [
        ("?", ProtocolError::UnknownType(b'?')),
        ("\r\n", ProtocolError::UnknownType(b'\r')),
        (":\r\n", ProtocolError::Malformed(b':')),
        (":1.0\r\n", ProtocolError::Malformed(b':')),
        ("_x\r\n", ProtocolError::Malformed(b'_')),
        ("#x\r\n", ProtocolError::Malformed(b'#')),
        (",x\r\n", ProtocolError::Malformed(b',')),
        ("(-\r\n", ProtocolError::Malformed(b'(')),
        ("+a\nb\r\n", ProtocolError::Malformed(b'+')),
        ("+a\rb", ProtocolError::ExpectedCrlf),
        ("$1\r\nabc", ProtocolError::ExpectedCrlf),
        ("$-2\r\n", ProtocolError::BulkLength),
        ("!-1\r\n", ProtocolError::BulkLength),
        ("=3\r\ntxt\r\n", ProtocolError::Malformed(b'=')),
        ("*-2\r\n", ProtocolError::MultibulkLength),
        ("~-1\r\n", ProtocolError::MultibulkLength),
        ("%4611686018427387904\r\n", ProtocolError::MultibulkLength),
    ];
    for (stream, expected) in cases {
        assert_eq!(decode(stream.as_bytes()), Err(expected), "{}", stream.escape_default());
    }
}

#[test]
fn what_the_limits_allow_is_taken_and_one_more_is_not() {
    let limits = Limits {
        bulk_bytes_max: 5,
        elements_max: 4,
        depth_max: 2,
        line_bytes_max: 10,
        total_bytes_max: 30,
    };
    let decode = |stream: &str| decode_with(limits.clone(), stream.as_bytes()).map(|v| v.is_some());
    assert_eq!(decode("$5\r\nabcde\r\n"), Ok(true));
    assert_eq!(decode("$6\r\n"), Err(ProtocolError::BulkLength));
    assert_eq!(decode("*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n"), Ok(true));
    assert_eq!(decode("*5\r\n"), Err(ProtocolError::MultibulkLength));
    assert_eq!(decode("%2\r\n"), Ok(false));
    assert_eq!(decode("%3\r\n"), Err(ProtocolError::MultibulkLength));
    assert_eq!(decode("*1\r\n*1\r\n:1\r\n"), Ok(true));
    assert_eq!(decode("*1\r\n*1\r\n*1\r\n"), Err(ProtocolError::TooDeep));
    assert_eq!(decode("*1\r\n*1\r\n*0\r\n"), Err(ProtocolError::TooDeep));
    assert_eq!(decode("+123456789\r\n"), Ok(true));
    assert_eq!(decode("+1234567890"), Err(ProtocolError::LineTooBig));
    assert_eq!(decode("*2\r\n$5\r\nabcde\r\n$5\r\nabcde\r\n"), Ok(true));
    assert_eq!(decode("*3\r\n$5\r\nabcde\r\n$5\r\nabcde\r\n:12\r\n"), Err(ProtocolError::TooBig));
}

#[test]
fn a_limit_of_the_whole_counts_each_reply_alone() {
    let limits = Limits { total_bytes_max: 10, ..Limits::default() };
    let mut decoder = ReplyDecoder::new(limits);
    let mut buffer = BytesMut::from("+12345\r\n".repeat(5).as_str());
    for _ in 0..5 {
        assert!(decoder.decode(&mut buffer).unwrap().is_some());
    }
}

#[test]
fn nesting_costs_no_stack() {
    let limits = Limits { depth_max: usize::MAX, ..Limits::default() };
    let mut decoder = ReplyDecoder::new(limits);
    let mut buffer = BytesMut::from("*1\r\n".repeat(1_000_000).as_str());
    assert_eq!(decoder.decode(&mut buffer), Ok(None));
    assert!(buffer.is_empty(), "all of it was understood");
}

#[test]
fn a_slow_server_costs_no_more_than_a_fast_one() {
    let mut stream = b"*20000\r\n".to_vec();
    for number in 0..20_000 {
        stream.extend_from_slice(format!(":{number}\r\n").as_bytes());
    }
    let mut decoder = ReplyDecoder::new(Limits::default());
    let mut buffer = BytesMut::new();
    let mut replies = Vec::new();
    for (fed, byte) in stream.iter().enumerate() {
        buffer.extend_from_slice(&[*byte]);
        replies.extend(decoder.decode(&mut buffer).unwrap());
        assert!(decoder.bytes_examined() <= fed as u64 + 1, "a byte was examined twice");
    }
    assert!(matches!(&replies[..], [Value::Array(values)] if values.len() == 20_000));
    assert_eq!(decoder.bytes_examined() + 20_001, stream.len() as u64, "all but line feeds, once");
}
