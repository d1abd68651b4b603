//! Commands drawn at random, and how their replies are compared.

use proto::resp::Value;

/// A small generator of random numbers (SplitMix64), so that a seed means the same for ever.
pub(crate) struct Random(u64);

impl Random {
    /// Starts a sequence.
    pub(crate) fn new(seed: u64) -> Random {
        // Mixed first: the sequences of two seeds must not be one, shifted.
        let mut random = Random(seed);
        random.0 = random.next();
        random
    }

    /// The next number.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// One of some.
    pub(crate) fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }

    /// Yes once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// When replies are the same.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compare {
    /// They are equal.
    Exactly,
    /// They are equal but for their order.
    Unordered,
    /// They are equal, or both times left that differ by less than a minute: times that are
    /// drawn differ by more.
    Time {
        /// How many units a minute has.
        minute: i64,
    },
    /// They have the same type; if errors, the same text.
    Type,
    /// The whole scan from this command on finds the same keys.
    Scan,
}

impl Compare {
    /// Whether the replies are the same.
    pub(crate) fn same(self, theirs: &Value, ours: &Value) -> bool {
        match (self, theirs, ours) {
            (Compare::Unordered, Value::Array(a), Value::Array(b)) => {
                let sorted = |values: &[Value]| {
                    let mut shown: Vec<String> =
                        values.iter().map(|value| format!("{value:?}")).collect();
                    shown.sort();
                    shown
                };
                sorted(a) == sorted(b)
            }
            (Compare::Time { minute }, Value::Integer(a), Value::Integer(b)) => {
                a == b || (*a > 0 && *b > 0 && (a - b).abs() < minute)
            }
            (Compare::Type, Value::Error(a), Value::Error(b)) => a == b,
            (Compare::Type, a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
            _ => theirs == ours,
        }
    }
}

const KEYS: &[&[u8]] =
    &[b"a", b"b", b"c", b"key:1", b"key:2", b"\0\xff\r\n", b"st*r[", b"aaaaaaaaaaaaaaaaaaaaaaaa"];

const VALUES: &[&[u8]] = &[
    b"",
    b"0",
    b"1",
    b"-5",
    b"41",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"abc",
    b"3.5",
    b" 1",
    b"1 ",
    b"01",
    b"+1",
    b"-0",
    b"\0\x80\r\n",
    b"a value that is a little longer than the others, so that it is not packed",
];

const STEPS: &[&[u8]] = &[
    b"0",
    b"1",
    b"-1",
    b"10",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"x",
    b"",
    b"1.5",
    b"9223372036854775808",
];

/// Times to live: all of the future ones are at least ten minutes apart, in seconds and in
/// milliseconds. None is past but not refused: redis counts such keys until it comes by.
const SECONDS: &[&[u8]] =
    &[b"1000", b"2000", b"100000", b"0", b"-1", b"x", b"", b"9223372036854775807", b"1.5"];
const MILLIS: &[&[u8]] =
    &[b"1000000", b"2000000", b"100000000", b"0", b"-1", b"x", b"", b"9223372036854775807"];
const SECONDS_AT: &[&[u8]] =
    &[b"4000000000", b"4000001000", b"0", b"-1", b"x", b"9223372036854775807"];
const MILLIS_AT: &[&[u8]] =
    &[b"4000000000000", b"4000001000000", b"0", b"-1", b"x", b"9223372036854775807"];

const PATTERNS: &[&[u8]] = &[
    b"*",
    b"a*",
    b"key:?",
    b"key:[12]",
    b"[a-b]",
    b"[^a]",
    b"[b-a]",
    b"st\\*r*",
    b"*[",
    b"",
    b"??",
    b"*y*",
    b"[",
    b"\\",
    b"a**",
    b"[\\a]",
    b"[]",
    b"[^]",
];

/// A command and how its replies are compared.
pub(crate) type Step = (Vec<Vec<u8>>, Compare);

/// Draws a command.
pub(crate) fn any(random: &mut Random) -> Step {
    let step = match random.below(24) {
        0..=5 => read(random),
        6..=8 => set(random),
        9..=12 => write(random),
        13..=15 => time(random),
        16..=17 => keys(random),
        18..=21 => edit(random),
        _ => connection(random),
    };
    varied(random, step)
}

/// Draws commands that are carried out at one moment, or not at all.
pub(crate) fn transaction(random: &mut Random) -> Vec<Step> {
    let exactly = |text: &[u8]| (words(&[text]), Compare::Exactly);
    let mut steps = vec![exactly(b"multi")];
    for _ in 0..random.below(6) {
        let step = match random.below(40) {
            0..=9 => read(random),
            10..=14 => set(random),
            15..=26 => write(random),
            27..=37 => edit(random),
            38 => exactly(b"multi"),
            _ => exactly(b"nonsense"),
        };
        steps.push(varied(random, step));
    }
    steps.push(exactly(random.of::<&[u8]>(&[b"exec", b"EXEC", b"exec", b"discard"])));
    steps
}

/// The command, written in one way or another.
fn varied(random: &mut Random, (mut words, compare): Step) -> Step {
    // Once in a while an argument too few or too many.
    if random.once_in(20) {
        if random.once_in(2) && words.len() > 1 {
            words.pop();
        } else {
            words.push(b"more".to_vec());
        }
    }
    // They say what each server has in store.
    let compare = match &words[0][..] {
        b"hello" | b"command" | b"info" if matches!(compare, Compare::Exactly) => Compare::Type,
        _ => compare,
    };
    let name = &mut words[0];
    match random.below(3) {
        0 => name.make_ascii_uppercase(),
        1 => name.iter_mut().take(1).for_each(|first| first.make_ascii_uppercase()),
        _ => {}
    }
    (words, compare)
}

/// Words from texts.
fn words(parts: &[&[u8]]) -> Vec<Vec<u8>> {
    parts.iter().map(|part| part.to_vec()).collect()
}

/// Several keys.
fn some_keys(random: &mut Random, first: &[u8]) -> Vec<Vec<u8>> {
    let mut all = words(&[first]);
    for _ in 0..=random.below(4) {
        all.push(random.of(KEYS).to_vec());
    }
    all
}

fn read(random: &mut Random) -> Step {
    let key = random.of(KEYS);
    let words = match random.below(7) {
        0..=2 => words(&[b"get", key]),
        3 => some_keys(random, b"mget"),
        4 => some_keys(random, b"exists"),
        5 => words(&[b"strlen", key]),
        _ => words(&[b"type", key]),
    };
    (words, Compare::Exactly)
}

/// Options that set a time, or keep it.
fn time_option(random: &mut Random) -> Vec<Vec<u8>> {
    let (name, amount): (&[u8], _) = match random.below(4) {
        0 => (b"EX", random.of(SECONDS)),
        1 => (b"px", random.of(MILLIS)),
        2 => (b"ExAt", random.of(SECONDS_AT)),
        _ => (b"PXAT", random.of(MILLIS_AT)),
    };
    words(&[name, amount])
}

fn set(random: &mut Random) -> Step {
    let mut all = words(&[b"set", random.of(KEYS), random.of(VALUES)]);
    for _ in 0..random.below(4) {
        match random.below(7) {
            0 | 1 => all.extend(time_option(random)),
            2 => all.push(b"NX".to_vec()),
            3 => all.push(b"xx".to_vec()),
            4 => all.push(b"keepttl".to_vec()),
            5 => all.push(b"GET".to_vec()),
            _ if random.once_in(4) => all.push(b"nonsense".to_vec()),
            _ => {}
        }
    }
    (all, Compare::Exactly)
}

fn write(random: &mut Random) -> Step {
    let (key, value) = (random.of(KEYS), random.of(VALUES));
    let all = match random.below(16) {
        0 => words(&[b"setnx", key, value]),
        13 => words(&[b"setex", key, random.of(SECONDS), value]),
        14 => words(&[b"psetex", key, random.of(MILLIS), value]),
        15 => words(&[b"msetnx", key, value, random.of(KEYS), random.of(VALUES)]),
        1 => words(&[b"getset", key, value]),
        2 => words(&[b"getdel", key]),
        3 => words(&[b"append", key, value]),
        4 => words(&[b"incr", key]),
        5 => words(&[b"decr", key]),
        6 => words(&[b"incrby", key, random.of(STEPS)]),
        7 => words(&[b"decrby", key, random.of(STEPS)]),
        8 => some_keys(random, b"del"),
        9 => some_keys(random, b"unlink"),
        10 | 11 => {
            let mut all = words(&[b"mset", key, value]);
            for _ in 0..random.below(3) {
                all.extend(words(&[random.of(KEYS), random.of(VALUES)]));
            }
            all
        }
        _ => {
            let mut all = words(&[b"getex", key]);
            match random.below(4) {
                0 => {}
                1 => all.push(b"PERSIST".to_vec()),
                _ => all.extend(time_option(random)),
            }
            all
        }
    };
    (all, Compare::Exactly)
}

/// Commands on parts of values, on fractions, and on names of keys.
fn edit(random: &mut Random) -> Step {
    const OFFSETS: &[&[u8]] = &[b"0", b"1", b"7", b"8", b"100", b"-1", b"-3", b"-100", b"x", b""];
    // Exact as binary fractions, and for a key without large numbers: redis rounds to 64 bits.
    const FRACTIONS: &[&[u8]] = &[b"1", b"1.5", b"-0.25", b"5.0e3", b"-25e-2", b"3"];
    const NONE: &[&[u8]] = &[b"0", b"x", b"", b" 1", b"inf", b"nan"];
    let (key, other) = (random.of(KEYS), random.of(KEYS));
    let offset = random.of(OFFSETS);
    let all = match random.below(12) {
        0 => words(&[b"getrange", key, offset, random.of(OFFSETS)]),
        1 => words(&[b"substr", key, offset, random.of(OFFSETS)]),
        2 | 3 => words(&[b"setrange", key, offset, random.of(VALUES)]),
        4 => words(&[b"getbit", key, offset]),
        5 => words(&[b"setbit", key, offset, random.of::<&[u8]>(&[b"0", b"1", b"2", b"x"])]),
        6 => words(&[b"incrbyfloat", key, random.of(NONE)]),
        7 => words(&[b"incrbyfloat", b"fraction", random.of(FRACTIONS)]),
        8 => words(&[b"rename", key, other]),
        9 => words(&[b"renamenx", key, other]),
        10 => some_keys(random, b"touch"),
        _ => {
            let mut all = words(&[b"copy", key, other]);
            let options: &[&[&[u8]]] =
                &[&[], &[], &[b"replace"], &[b"db", b"0"], &[b"DB", b"0", b"REPLACE"], &[b"x"]];
            all.extend(words(random.of(options)));
            all
        }
    };
    (all, Compare::Exactly)
}

fn time(random: &mut Random) -> Step {
    let key = random.of(KEYS);
    match random.below(10) {
        6 => (words(&[b"expireat", key, random.of(SECONDS_AT)]), Compare::Exactly),
        7 => (words(&[b"pexpireat", key, random.of(MILLIS_AT)]), Compare::Exactly),
        8 => (words(&[b"expiretime", key]), Compare::Time { minute: 60 }),
        9 => (words(&[b"pexpiretime", key]), Compare::Time { minute: 60_000 }),
        0 => (words(&[b"ttl", key]), Compare::Time { minute: 60 }),
        1 => (words(&[b"pttl", key]), Compare::Time { minute: 60_000 }),
        2 => (words(&[b"persist", key]), Compare::Exactly),
        3 | 4 => {
            let mut all = words(&[b"expire", key, random.of(SECONDS)]);
            if random.once_in(3) {
                all.push(random.of::<&[u8]>(&[b"NX", b"xx", b"GT", b"LT", b"what"]).to_vec());
            }
            (all, Compare::Exactly)
        }
        _ => (words(&[b"pexpire", key, random.of(MILLIS)]), Compare::Exactly),
    }
}

fn keys(random: &mut Random) -> Step {
    let pattern = random.of(PATTERNS);
    match random.below(8) {
        0 => (words(&[b"dbsize"]), Compare::Exactly),
        1 | 2 => (words(&[b"keys", pattern]), Compare::Unordered),
        3 => (words(&[b"scan", b"0"]), Compare::Scan),
        4 => (words(&[b"scan", b"0", b"MATCH", pattern]), Compare::Scan),
        5 => {
            let count = random.of::<&[u8]>(&[b"1", b"2", b"1000", b"0", b"-1", b"x"]);
            (words(&[b"scan", b"0", b"count", count, b"match", pattern]), Compare::Scan)
        }
        6 => {
            let all: &[&[&[u8]]] = &[
                &[b"scan", b"x"],
                &[b"scan", b"0", b"nonsense"],
                &[b"scan", b"0", b"nonsense", b"1"],
                &[b"scan", b"0", b"match"],
                &[b"scan", b"0", b"type", b"string"],
                &[b"scan", b"0", b"type", b"hash"],
            ];
            (words(random.of(all)), Compare::Scan)
        }
        _ if random.once_in(3) => {
            let all: &[&[&[u8]]] = &[
                &[b"flushdb"],
                &[b"flushdb", b"sync"],
                &[b"flushdb", b"ASYNC"],
                &[b"flushdb", b"x"],
            ];
            (words(random.of(all)), Compare::Exactly)
        }
        _ => (words(&[b"dbsize"]), Compare::Exactly),
    }
}

fn connection(random: &mut Random) -> Step {
    let exactly: &[&[&[u8]]] = &[
        &[b"ping"],
        &[b"ping", b"\r\n\0"],
        &[b"echo", b"hi"],
        &[b"select", b"0"],
        &[b"select", b"99999"],
        &[b"select", b"-1"],
        &[b"select", b"x"],
        &[b"client", b"setname", b"me"],
        &[b"client", b"setname", b"with space"],
        &[b"client", b"setname", b""],
        &[b"client", b"getname"],
        &[b"client", b"nonsense"],
        &[b"client", b"no-evict", b"on"],
        &[b"client", b"no-evict", b"x"],
        &[b"client", b"reply", b"on"],
        &[b"client", b"reply", b"x"],
        &[b"config", b"get"],
        &[b"config", b"nonsense"],
        &[b"command", b"nonsense"],
        &[b"config", b"get", b"there-is-no-such-thing"],
        &[b"command", b"info", b"there-is-no-such-thing"],
        &[b"command", b"docs", b"there-is-no-such-thing"],
        &[b"hello", b"4"],
        &[b"hello", b"x"],
        &[b"hello", b"1"],
        &[b"hello", b"3", b"nonsense"],
        &[b"hello", b"3", b"setname", b"a b"],
        &[b"exec"],
        &[b"discard"],
        &[b"nonsense"],
        &[b"nonsense", b"with", b"some", b"arguments"],
        &[b"nonsense", b"\r\n\0\xff'"],
        &[b""],
        &[b"a command with a name that is so long that nobody would ever think of typing it, and yet \
            it must be shown as redis shows it, up to a hundred and twenty-eight of its bytes", b"x"],
        &[b"nonsense", b"an argument that is so long that nobody would ever think of typing it",
            b"and another that is too, so that together they are cut", b"third", b"fourth"],
    ];
    let types: &[&[&[u8]]] = &[
        &[b"info"],
        &[b"info", b"server"],
        &[b"info", b"nonsense"],
        &[b"config", b"get", b"save"],
        &[b"config", b"get", b"*"],
        &[b"client", b"id"],
        &[b"client", b"id", b"x"],
        &[b"client", b"info"],
        &[b"client", b"list"],
        &[b"command"],
        &[b"command", b"count"],
        &[b"command", b"docs", b"get"],
        &[b"command", b"info", b"get"],
        &[b"hello"],
        &[b"time"],
    ];
    if random.once_in(3) {
        (words(random.of(types)), Compare::Type)
    } else {
        (words(random.of(exactly)), Compare::Exactly)
    }
}
