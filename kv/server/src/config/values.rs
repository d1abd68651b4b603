//! The types of configuration values, and their limits.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Where to listen: `HOST:PORT`, or nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// This front door is closed.
    Off,
    /// Host and port.
    At(String),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if text == "off" {
            return Ok(Address::Off);
        }
        let wrong = || format!("{text:?} is no address: write HOST:PORT, like 127.0.0.1:6380");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_ipv6 = bare.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        let is_name = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if port.parse::<u16>().is_err() || !(is_ipv6 || is_name) {
            return Err(wrong());
        }
        Ok(Address::At(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Off => f.write_str("off"),
            Address::At(address) => f.write_str(address),
        }
    }
}

/// An address that may be left out: `HOST:PORT` or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionalAddress(pub Option<String>);

impl FromStr for OptionalAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<OptionalAddress, String> {
        match text.parse::<Address>() {
            _ if text.is_empty() => Ok(OptionalAddress(None)),
            Ok(Address::At(address)) => Ok(OptionalAddress(Some(address))),
            Ok(Address::Off) => Err("leave it empty instead".to_owned()),
            Err(reason) => Err(reason),
        }
    }
}

impl fmt::Display for OptionalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or_default())
    }
}

/// The stores of a cluster and where they listen for each other: `1=HOST:PORT,2=HOST:PORT`. Empty:
/// no cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(pub BTreeMap<u64, String>);

/// The most stores of a cluster that is configured by hand.
const MEMBERS_MAX: usize = 64;

impl FromStr for Members {
    type Err = String;

    fn from_str(text: &str) -> Result<Members, String> {
        let mut members = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong =
                || format!("{part:?} is no member: write ID=HOST:PORT, like 1=127.0.0.1:20161");
            let (id, address) = part.split_once('=').ok_or_else(wrong)?;
            let id = id.trim().parse().ok().filter(|id| *id > 0).ok_or_else(wrong)?;
            let Ok(Address::At(address)) = address.trim().parse() else { return Err(wrong()) };
            if members.insert(id, address).is_some() {
                return Err(format!("there are two members with id {id}"));
            }
        }
        if members.len() > MEMBERS_MAX {
            return Err(format!("a cluster has at most {MEMBERS_MAX} members here"));
        }
        Ok(Members(members))
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|(id, at)| format!("{id}={at}")).collect();
        f.write_str(&parts.join(","))
    }
}

/// Keys at which the first regions of a new cluster end: `KEY,KEY,KEY`, in order. Empty: there is
/// one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SplitKeys(pub Vec<String>);

/// The most regions of a cluster that begins.
const SPLIT_KEYS_MAX: usize = 10_000;

impl FromStr for SplitKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<SplitKeys, String> {
        let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
        let keys: Vec<String> = keys.map(str::to_owned).collect();
        if keys.len() > SPLIT_KEYS_MAX {
            return Err(format!("at most {SPLIT_KEYS_MAX} keys may split a new cluster"));
        }
        if let Some(pair) = keys.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!("{:?} does not come before {:?}: sort the keys", pair[0], pair[1]));
        }
        Ok(SplitKeys(keys))
    }
}

impl fmt::Display for SplitKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// An enum whose values have names in the configuration.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $type {
            /// The name in the configuration.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)+
                }
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<$type, String> {
                match text {
                    $($name => Ok($type::$variant),)+
                    _ => Err(format!("{text:?} is none of: {}", [$($name),+].join(", "))),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named! {
    /// A storage engine.
    EngineKind {
        /// The log-structured one, which keeps data on disk.
        Bitcask = "bitcask",
        /// The one that keeps nothing.
        Memory = "memory",
        /// RocksDB, for data whose keys do not fit in memory; a feature of the build.
        RocksDb = "rocksdb"
    }
}

named! {
    /// When writes are synced.
    Sync {
        /// Before they are answered.
        Always = "always",
        /// At most a second later.
        Interval = "interval",
        /// When the system likes.
        Never = "never"
    }
}

named! {
    /// A kind of thread pool.
    PoolKind {
        /// A thread for each job.
        Naive = "naive",
        /// Threads that share a queue.
        Shared = "shared",
        /// Rayon.
        Rayon = "rayon"
    }
}

named! {
    /// The form of log records.
    LogFormat {
        /// Lines for people.
        Text = "text",
        /// JSON for programs.
        Json = "json"
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let wrong = || format!("{text:?} is no size: write a number and B, KiB, MiB, GiB or TiB");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(wrong()),
        };
        number.checked_mul(1 << shift).map(Size).ok_or_else(wrong)
    }
}

impl Size {
    /// As a length in memory.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = |shift: u32| self.0 > 0 && self.0.trailing_zeros() >= shift;
        match units.into_iter().find(|(shift, _)| whole(*shift)) {
            Some((shift, unit)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Period, String> {
        let wrong = || format!("{text:?} is no time: write a number and ms, s, m, h or d");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" if number == 0 => 0,
            _ => return Err(wrong()),
        };
        number.checked_mul(ms).map(|ms| Period(Duration::from_millis(ms))).ok_or_else(wrong)
    }
}

/// A number and the unit behind it.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// Reads a number within limits.
pub(super) fn count(
    min: usize,
    max: usize,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + core::marker::Sync {
    move |text| match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("{text:?} is no number from {min} to {max}")),
    }
}

/// Reads a size within limits.
pub(super) fn size(
    min: &'static str,
    max: &'static str,
) -> impl Fn(&str) -> Result<Size, String> + Clone + Send + core::marker::Sync {
    move |text| {
        let size: Size = text.parse()?;
        let limit = |text: &str| text.parse().expect("the limits are sizes");
        if (limit(min)..=limit(max)).contains(&size) {
            Ok(size)
        } else {
            Err(format!("{text:?} is not between {min} and {max}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["127.0.0.1:0", "localhost:6380", "[::1]:7", "off", "a-b.c:65535"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for bad in ["", "6380", ":6380", "a:", "a:65536", "a:-1", "::1:7", "[x]:1", "a b:1", "On"] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn members() {
        let members: Members = "2=b:2, 1=127.0.0.1:1,".parse().unwrap();
        assert_eq!(members.to_string(), "1=127.0.0.1:1,2=b:2");
        assert_eq!("".parse::<Members>(), Ok(Members::default()));
        for bad in ["1", "0=a:1", "a=a:1", "1=off", "1=a", "1=a:1,1=b:1", "-1=a:1"] {
            assert!(bad.parse::<Members>().is_err(), "{bad:?}");
        }
        assert_eq!("".parse(), Ok(OptionalAddress(None)));
        assert_eq!("a:1".parse(), Ok(OptionalAddress(Some("a:1".to_owned()))));
        assert!("off".parse::<OptionalAddress>().is_err());
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!("64MiB".parse::<Size>(), Ok(Size(64 << 20)));
        assert_eq!("1kb".parse::<Size>().unwrap().to_string(), "1KiB");
        assert_eq!("1000".parse::<Size>().unwrap().to_string(), "1000B");
        for bad in ["", "MiB", "-1", "1.5MiB", "1XB", "99999999999999999999", "17179869184GiB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
        assert_eq!("10m".parse::<Period>(), Ok(Period(Duration::from_secs(600))));
        assert_eq!("0".parse::<Period>(), Ok(Period(Duration::ZERO)));
        for bad in ["", "5", "s", "1 week", "1.5s", "99999999999999999d"] {
            assert!(bad.parse::<Period>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn limits_hold() {
        assert!(count(1, 4)("0").is_err() && count(1, 4)("5").is_err());
        assert_eq!(count(1, 4)("4"), Ok(4));
        assert!(size("1KiB", "1MiB")("1B").is_err() && size("1KiB", "1MiB")("1GiB").is_err());
    }
}
