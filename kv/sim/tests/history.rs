//! Histories as text, and what is refused.

#[path = "support/histories.rs"]
#[expect(dead_code, reason = "shared with the tests of the checker")]
mod histories;

use histories::{Shape, right};
use tinykv_sim::history::{Answer, Error, History, Kind, Op};

#[test]
fn a_history_is_read_as_it_was_written() {
    let shape = Shape { calls: 300, processes: 5, keys: 3, open: 10, many: true, values: 3 };
    let history = right(7, shape);
    let mut text = Vec::new();
    history.write(&mut text).unwrap();
    assert_eq!(History::read(&text[..]).unwrap(), history);
}

#[test]
fn the_text_is_what_the_documentation_shows() {
    let mut history = History::default();
    let op = Op::Put { key: "k1".to_owned(), value: "a".to_owned() };
    history.push(1200, 3, 17, Kind::Invoke { op });
    history.push(3100, 3, 17, Kind::Ok { answer: Answer::Done });
    let mut text = Vec::new();
    history.write(&mut text).unwrap();
    let expected = concat!(
        r#"{"at":1200,"process":3,"call":17,"type":"invoke","op":{"f":"put","key":"k1","value":"a"}}"#,
        "\n",
        r#"{"at":3100,"process":3,"call":17,"type":"ok","answer":"done"}"#,
        "\n"
    );
    assert_eq!(String::from_utf8(text).unwrap(), expected);
}

#[test]
fn a_line_that_is_no_event_is_named() {
    let text = "\n{\"at\":1}\n";
    assert!(matches!(History::read(text.as_bytes()), Err(Error::Line { line: 2, .. })));
}

#[test]
fn events_that_do_not_fit_are_refused() {
    let get = || Kind::Invoke { op: Op::Get { key: "k".to_owned() } };
    let end = |answer| Kind::Ok { answer };
    let calls = |events: Vec<(u64, Kind)>| {
        let mut history = History::default();
        for (call, kind) in events {
            history.push(0, 0, call, kind);
        }
        history.calls()
    };
    assert!(matches!(calls(vec![(1, get()), (1, get())]), Err(Error::BeginsTwice { call: 1 })));
    let value = || end(Answer::Value(None));
    assert!(matches!(calls(vec![(1, value())]), Err(Error::NotOpen { call: 1, event: 0 })));
    let twice = calls(vec![(1, get()), (1, value()), (1, value())]);
    assert!(matches!(twice, Err(Error::NotOpen { call: 1, event: 2 })));
    let wrong = calls(vec![(1, get()), (1, end(Answer::Done))]);
    assert!(matches!(wrong, Err(Error::WrongAnswer { call: 1 })));
}
