//! Whether what was printed is what the page shows.

/// What is different, if anything is: the first line that does not fit.
pub(super) fn difference(expected: &[String], printed: &[String]) -> Option<String> {
    if fits(expected, printed) {
        return None;
    }
    // The longest beginning that still fits tells where the two part.
    let most = (0..=expected.len()).rev().find(|&count| {
        (0..=printed.len()).any(|lines| fits(&expected[..count], &printed[..lines]))
    });
    let wanted = most.and_then(|count| expected.get(count));
    let shown = printed.join("\n    ");
    Some(match wanted {
        Some(line) => format!("the page shows `{line}`, but it printed\n    {shown}"),
        None => format!("it printed more than the page shows\n    {shown}"),
    })
}

/// Whether lines fit a pattern, in which a line `...` stands for any number of lines.
fn fits(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "..." => {
            (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..]))
        }
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(first, others)| line_fits(line, first) && fits(rest, others)),
    }
}

/// Whether a line fits a pattern, in which `[..]` stands for any text.
fn line_fits(pattern: &str, line: &str) -> bool {
    let (pattern, line) = (pattern.trim_end(), line.trim_end());
    let Some((head, rest)) = pattern.split_once("[..]") else { return pattern == line };
    let Some(line) = line.strip_prefix(head) else { return false };
    (0..=line.len())
        .filter(|&skipped| line.is_char_boundary(skipped))
        .any(|skipped| line_fits(rest, &line[skipped..]))
}
