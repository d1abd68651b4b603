//! Which records are logged: a level for everything, and levels for modules.
//!
//! ```text
//!  filter  = part *( "," part )
//!  part    = level | module "=" level
//!  level   = "off" | "error" | "warn" | "info" | "debug" | "trace"
//!  module  = name *( "::" name )
//! ```
//!
//! A module rule holds for the module and all below it; the longest rule that fits wins. Modules
//! are named as in the source tree or as by the compiler: `raft`, `kv::engine::bitcask`,
//! `engine::bitcask` and `tinykv_engine::bitcask` are all good.

use std::fmt;
use std::str::FromStr;

use mutant::mutant;

use crate::error::{Error, Result};
use crate::level::{self, Level, LevelMax};
use crate::options::ENV;

/// A filter of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The level of modules that no rule names.
    default: LevelMax,
    /// Rules, the longest module first, so that the first that fits is the one that holds.
    rules: Vec<(String, LevelMax)>,
}

impl Default for Filter {
    /// `info` for everything.
    fn default() -> Filter {
        Filter { default: LevelMax::Info, rules: Vec::new() }
    }
}

impl Filter {
    /// Takes the filter of the strongest place that has one: the flag, then the environment
    /// variable [`ENV`], then the configuration; `info` if none has. An empty text is none.
    ///
    /// # Errors
    /// The text chosen is no filter; the error names the place.
    pub fn choose(flag: Option<&str>, env: Option<&str>, config: Option<&str>) -> Result<Filter> {
        let places = [("--log-level", flag), (ENV, env), ("log.level", config)];
        for (place, text) in places {
            if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
                return text.parse().map_err(|error| Error::From {
                    place: place.to_owned(),
                    error: Box::new(error),
                });
            }
        }
        Ok(Filter::default())
    }

    /// Whether a record of this level from this module passes.
    #[must_use]
    pub fn allows(&self, level: Level, module: &str) -> bool {
        let module = strip_crate_prefix(module);
        let max = self
            .rules
            .iter()
            .find(|(rule, _)| is_within(module, rule))
            .map_or(self.default, |&(_, max)| max);
        level.as_usize() <= max.as_usize()
    }

    /// The highest level that any module may log.
    pub fn level_max(&self) -> LevelMax {
        let rules = self.rules.iter().map(|&(_, max)| max);
        rules.fold(self.default, |a, b| if a.as_usize() < b.as_usize() { b } else { a })
    }
}

impl FromStr for Filter {
    type Err = Error;

    /// Reads a filter like `info,raft=debug,kv::engine=trace`. Without a level of its own,
    /// everything else has `info`.
    fn from_str(text: &str) -> Result<Filter> {
        let mut default = None;
        let mut rules: Vec<(String, LevelMax)> = Vec::new();
        for (index, part) in text.split(',').enumerate() {
            let part = part.trim();
            if part.is_empty() {
                return Err(Error::EmptyPart { filter: text.to_owned(), number: index + 1 });
            }
            let Some((module, level)) = part.split_once('=') else {
                if default.replace(parse_level(part, part)?).is_some() {
                    return Err(Error::Twice { part: part.to_owned() });
                }
                continue;
            };
            let module = parse_module(part, module.trim())?;
            let level = parse_level(part, level.trim())?;
            if rules.iter().any(|(other, _)| *other == module) {
                return Err(Error::Twice { part: part.to_owned() });
            }
            rules.push((module, level));
        }
        if !mutant!("log-first-rule-wins") {
            rules.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        }
        Ok(Filter { default: default.unwrap_or(LevelMax::Info), rules })
    }
}

impl fmt::Display for Filter {
    /// Writes the filter so that it reads back equal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(level::filter_name(self.default))?;
        self.rules
            .iter()
            .try_for_each(|(module, max)| write!(f, ",{module}={}", level::filter_name(*max)))
    }
}

/// Reads the level of a part.
fn parse_level(part: &str, text: &str) -> Result<LevelMax> {
    level::parse(text).ok_or_else(|| Error::Level { part: part.to_owned(), level: text.to_owned() })
}

/// Reads the module of a part; gives it without what is before the crate's short name.
fn parse_module(part: &str, text: &str) -> Result<String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    if !text.split("::").all(is_name) {
        return Err(Error::Module { part: part.to_owned(), module: text.to_owned() });
    }
    let module = text.replace('-', "_");
    let module = module.strip_prefix("kv::").unwrap_or(&module);
    Ok(strip_crate_prefix(module).to_owned())
}

/// A module path without the prefix that all our packages share.
pub(crate) fn strip_crate_prefix(module: &str) -> &str {
    module.strip_prefix("tinykv_").unwrap_or(module)
}

/// Whether `module` is `rule` or below it.
fn is_within(module: &str, rule: &str) -> bool {
    module.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
