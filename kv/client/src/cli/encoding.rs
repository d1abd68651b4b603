//! How bytes are written as text, in arguments and in output.
//!
//! Invariant: every encoding but `text` prints no control character and no character that
//! a terminal may act on, and its `decode` undoes its `encode`.

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use clap::ValueEnum;

/// A way to write bytes as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// The bytes as they are
    Text,
    /// Two hexadecimal digits a byte
    Hex,
    /// Base64 with padding
    Base64,
    /// Printable text as it is, other bytes as \n, \r, \t, \0, \\ and \xNN
    Escaped,
}

impl Encoding {
    /// The name in arguments.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Encoding::Text => "text",
            Encoding::Hex => "hex",
            Encoding::Base64 => "base64",
            Encoding::Escaped => "escaped",
        }
    }

    /// Writes `bytes`.
    pub(crate) fn encode(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Encoding::Text => bytes.to_vec(),
            Encoding::Hex => hex::encode(bytes).into_bytes(),
            Encoding::Base64 => BASE64.encode(bytes).into_bytes(),
            Encoding::Escaped => escape(bytes).into_bytes(),
        }
    }

    /// Reads what [`Encoding::encode`] wrote.
    pub(crate) fn decode(self, text: &[u8]) -> anyhow::Result<Bytes> {
        Ok(match self {
            Encoding::Text => Bytes::copy_from_slice(text),
            Encoding::Hex => hex::decode(text)?.into(),
            Encoding::Base64 => BASE64.decode(text)?.into(),
            Encoding::Escaped => unescape(text)?.into(),
        })
    }
}

/// Writes printable characters as they are and everything else with backslashes.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' => text.push_str(r"\\"),
                '\n' => text.push_str(r"\n"),
                '\r' => text.push_str(r"\r"),
                '\t' => text.push_str(r"\t"),
                '\0' => text.push_str(r"\0"),
                '\'' | '"' => text.push(char),
                // The standard library knows which characters are printable.
                _ if char.escape_debug().len() == 1 => text.push(char),
                _ => escape_bytes(char.encode_utf8(&mut [0; 4]).as_bytes(), &mut text),
            }
        }
        escape_bytes(chunk.invalid(), &mut text);
    }
    text
}

fn escape_bytes(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        text.push_str(r"\x");
        text.push_str(&hex::encode([*byte]));
    }
}

/// Undoes [`escape`].
pub(crate) fn unescape(text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(if byte == b'\\' { unescape_one(&mut rest)? } else { byte });
    }
    Ok(bytes)
}

/// Reads what stands behind a backslash.
pub(crate) fn unescape_one(rest: &mut std::slice::Iter<'_, u8>) -> anyhow::Result<u8> {
    Ok(match rest.next() {
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'0') => 0,
        Some(&byte @ (b'\\' | b'"' | b'\'' | b' ')) => byte,
        Some(b'x') => {
            let digits: Vec<u8> = rest.by_ref().take(2).copied().collect();
            match hex::decode(&digits).as_deref() {
                Ok([byte]) => *byte,
                _ => bail!(r"\x needs two hexadecimal digits, like \x0a"),
            }
        }
        Some(&byte) => bail!(r"\{} is no escape; there are \n \r \t \0 \\ \xNN", escape(&[byte])),
        None => bail!(r"a backslash ends the text; write \\ for a backslash"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 4] = [Encoding::Text, Encoding::Hex, Encoding::Base64, Encoding::Escaped];

    #[test]
    fn every_encoding_is_undone_by_its_decoding() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let values: [&[u8]; 6] =
            [b"", b"plain", br"a\b", "ж\u{202e}é\u{7}".as_bytes(), b"\xff\x00\n'\"", &every_byte];
        for value in values {
            for encoding in ALL {
                let text = encoding.encode(value);
                assert_eq!(encoding.decode(&text).unwrap(), value, "{}", encoding.name());
            }
        }
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_gets_through() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let tricky = "\u{1b}[2J\u{9b}2J\u{202e}\u{200b}\u{feff}".as_bytes();
        for value in [&every_byte[..], tricky] {
            for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Escaped] {
                let text = String::from_utf8(encoding.encode(value)).unwrap();
                assert!(
                    text.chars().all(|char| char.is_ascii_graphic() || char == ' '),
                    "{}: {text}",
                    encoding.name()
                );
            }
        }
    }

    #[test]
    fn printable_text_stays_readable() {
        assert_eq!(escape("naïve 'ключ' \"键\"".as_bytes()), "naïve 'ключ' \"键\"");
        assert_eq!(escape(b"a\tb\\\n\x00\x01"), r"a\tb\\\n\0\x01");
    }

    #[test]
    fn what_is_not_in_the_encoding_is_refused() {
        for (encoding, text) in [
            (Encoding::Hex, "abc"),
            (Encoding::Hex, "zz"),
            (Encoding::Base64, "a"),
            (Encoding::Escaped, r"\"),
            (Encoding::Escaped, r"\x1"),
            (Encoding::Escaped, r"\q"),
        ] {
            assert!(encoding.decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
