//! Pictures of a run, for people: the history of the clients as HTML, and who said what to whom as
//! SVG and as text.

mod history;
mod sequence;
mod text;

pub use history::history_html;
pub use sequence::sequence_svg;
pub use text::sequence_text;

/// Text in a place where HTML or SVG is read.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Time as people read it.
pub(crate) fn millis(micros: u64) -> String {
    format!("{}.{:03}", micros / 1000, micros % 1000)
}
