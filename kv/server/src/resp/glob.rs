//! Patterns of keys, as redis understands them: `*`, `?`, `[a-c]`, `[^x]` and `\` for the
//! character behind it.
//!
//! Without recursion, and never more than pattern times key steps: only the last `*` is ever
//! tried again.

/// Whether a key matches a pattern.
pub(super) fn matches(pattern: &[u8], key: &[u8]) -> bool {
    let (mut p, mut k) = (0, 0);
    // Behind the last star: where the pattern goes on, and where in the key it was tried.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            star = Some((p, k));
            continue;
        }
        let step = (p < pattern.len() && k < key.len()).then(|| one(&pattern[p..], key[k]));
        match step {
            Some((true, len)) => {
                p += len;
                k += 1;
            }
            None if p == pattern.len() && k == key.len() => return true,
            _ => match star {
                // The star takes one byte more.
                Some((behind, tried)) if tried < key.len() => {
                    p = behind;
                    k = tried + 1;
                    star = Some((behind, k));
                }
                _ => return false,
            },
        }
    }
}

/// Whether a byte matches the first element of a pattern, which is no star; and that element's
/// length.
fn one(pattern: &[u8], byte: u8) -> (bool, usize) {
    match pattern {
        [b'?', ..] => (true, 1),
        [b'\\', literal, ..] => (*literal == byte, 2),
        [b'[', class @ ..] => {
            let (is_in, len) = in_class(class, byte);
            (is_in, 1 + len)
        }
        [literal, ..] => (*literal == byte, 1),
        [] => (false, 0),
    }
}

/// Whether a byte is in the class that begins behind `[`; and the class's length with its `]`. A
/// class that is not closed ends with the pattern.
fn in_class(class: &[u8], byte: u8) -> (bool, usize) {
    let is_negated = class.first() == Some(&b'^');
    let mut at = usize::from(is_negated);
    let mut found = false;
    loop {
        match &class[at.min(class.len())..] {
            [] => return (found != is_negated, class.len()),
            [b']', ..] => return (found != is_negated, at + 1),
            [b'\\', literal, ..] => {
                found |= *literal == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= *literal == byte;
                at += 1;
            }
        }
    }
}

/// The bytes with which every key begins that matches.
pub(super) fn prefix(pattern: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::new();
    let mut rest = pattern;
    loop {
        match rest {
            [] | [b'*' | b'?' | b'[', ..] => return prefix,
            [b'\\', literal, tail @ ..] => {
                prefix.push(*literal);
                rest = tail;
            }
            [literal, tail @ ..] => {
                prefix.push(*literal);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{matches, prefix};

    #[test]
    fn patterns() {
        let yes: &[(&str, &str)] = &[
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*c", "ac"),
            ("a*c", "abcbc"),
            ("?", "x"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("[b-a]", "a"),
            ("\\*", "*"),
            ("a\\?", "a?"),
            ("[\\]]", "]"),
            ("**a**", "bab"),
            ("[abc", "c"),
            ("a[", "a["),
            ("*[0-9]", "key7"),
            ("\\", "\\"),
            ("*a*b*c", "xxaxxbxxc"),
        ];
        for (pattern, key) in yes {
            let expected = *pattern != "a[";
            assert_eq!(matches(pattern.as_bytes(), key.as_bytes()), expected, "{pattern} {key}");
        }
        let no: &[(&str, &str)] = &[
            ("", "a"),
            ("a", ""),
            ("?", ""),
            ("a*c", "ab"),
            ("h[ae]llo", "hillo"),
            ("h[^e]llo", "hello"),
            ("\\*", "a"),
            ("[a-c]", "d"),
            ("a", "ab"),
            ("*a", "ab"),
        ];
        for (pattern, key) in no {
            assert!(!matches(pattern.as_bytes(), key.as_bytes()), "{pattern} {key}");
        }
    }

    #[test]
    fn many_stars_are_not_exponential() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(2000).as_bytes()));
    }

    #[test]
    fn prefixes() {
        for (pattern, expected) in
            [("abc*", "abc"), ("*", ""), ("a?c", "a"), ("a\\*b[c]", "a*b"), ("abc", "abc")]
        {
            assert_eq!(prefix(pattern.as_bytes()), expected.as_bytes());
        }
    }
}
