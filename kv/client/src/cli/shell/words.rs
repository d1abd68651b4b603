//! Cuts a line of the shell into words.

use anyhow::bail;

use crate::cli::encoding::unescape_one;

/// The words of a line; none for a blank line and a comment.
///
/// Words are separated by blanks. Single quotes take everything as it is; within double quotes
/// and outside of quotes a backslash begins an escape. Pieces that touch are one word.
pub(super) fn split(line: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start().iter();
    if rest.as_slice().first() == Some(&b'#') {
        return Ok(words);
    }
    let mut word: Option<Vec<u8>> = None;
    while let Some(&byte) = rest.next() {
        match byte {
            b' ' | b'\t' => words.extend(word.take()),
            b'\'' => single_quoted(&mut rest, word.get_or_insert_default())?,
            b'"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            b'\\' => word.get_or_insert_default().push(unescape_one(&mut rest)?),
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Ok(words)
}

fn single_quoted(rest: &mut std::slice::Iter<'_, u8>, word: &mut Vec<u8>) -> anyhow::Result<()> {
    for &byte in rest {
        if byte == b'\'' {
            return Ok(());
        }
        word.push(byte);
    }
    bail!("the quote ' is not closed");
}

fn double_quoted(rest: &mut std::slice::Iter<'_, u8>, word: &mut Vec<u8>) -> anyhow::Result<()> {
    while let Some(&byte) = rest.next() {
        match byte {
            b'"' => return Ok(()),
            b'\\' => word.push(unescape_one(rest)?),
            byte => word.push(byte),
        }
    }
    bail!("the quote \" is not closed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_into_words() {
        let cases: [(&str, &[&[u8]]); 12] = [
            ("", &[]),
            ("  \t ", &[]),
            ("# set a b", &[]),
            ("  # set a b", &[]),
            ("set a b", &[b"set", b"a", b"b"]),
            ("  set\ta   b  ", &[b"set", b"a", b"b"]),
            ("set 'a b' \"c d\"", &[b"set", b"a b", b"c d"]),
            ("set '' \"\"", &[b"set", b"", b""]),
            (r"set 'a\n' b\n", &[b"set", br"a\n", b"b\n"]),
            (r#"set "\x00\xff\"" 'a'"b"c"#, &[b"set", b"\x00\xff\"", b"abc"]),
            (r"set a\ b#c", &[b"set", b"a b#c"]),
            ("set ключ é", &[b"set", "ключ".as_bytes(), "é".as_bytes()]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line.as_bytes()).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn unfinished_words_are_errors() {
        for line in ["set 'a", "set \"a", r"set a\", r"set \q", r#"set "\x1""#] {
            assert!(split(line.as_bytes()).is_err(), "{line}");
        }
    }
}
