//! The blocks of a page that are commands with their output.

/// A page's blocks, in order.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) blocks: Vec<Block>,
}

/// A fenced block of the language `console`.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// The line of the opening fence, from 1.
    pub(super) line: usize,
    /// What the comments before it say.
    pub(super) directives: Vec<Directive>,
    pub(super) steps: Vec<Step>,
}

/// A command and what it prints.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The line of the command, from 1.
    pub(super) line: usize,
    pub(super) command: String,
    pub(super) output: Vec<String>,
}

/// What a comment `<!-- course: .. -->` says about the block below it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Directive {
    /// Its last command starts a server.
    Server,
    /// The server of the page ends before it.
    Stop,
    /// The server of the page is killed before it.
    Kill,
    /// It is not run.
    Skip,
    /// It is run only where this program is there.
    Needs(String),
    Unknown(String),
}

/// Finds the blocks in a page's text.
pub(super) fn parse(text: &str) -> Page {
    let mut page = Page::default();
    let mut directives = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(directive) = directive(line) {
            directives.push(directive);
        } else if line == "```console" {
            let inside = lines.by_ref().take_while(|(_, line)| *line != "```");
            let steps = steps(inside);
            page.blocks.push(Block {
                line: number + 1,
                directives: std::mem::take(&mut directives),
                steps,
            });
        } else if line.starts_with("```") {
            // A block that is not ours: nothing in it counts.
            lines.by_ref().take_while(|(_, line)| *line != "```").for_each(drop);
        }
    }
    // A comment at the end of the page, as `stop`, is about nothing that is run.
    page
}

/// The steps in the lines of a block.
fn steps<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { line: number + 1, command: command.to_owned(), output: Vec::new() });
        } else if let Some(step) = steps.last_mut() {
            step.output.push(line.to_owned());
        }
    }
    steps
}

fn directive(line: &str) -> Option<Directive> {
    let text = line.trim().strip_prefix("<!-- course:")?.strip_suffix("-->")?.trim();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match word {
        "server" => Directive::Server,
        "stop" => Directive::Stop,
        "kill" => Directive::Kill,
        "skip" if !rest.is_empty() => Directive::Skip,
        "needs" => Directive::Needs(rest.to_owned()),
        _ => Directive::Unknown(text.to_owned()),
    })
}
