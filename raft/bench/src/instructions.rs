//! Instructions a unit, counted by callgrind: two runs of this program that differ in nothing but
//! how much they do.

use std::process::Command;

use crate::SIDES;
use crate::cases::CASES;

/// The cases of the goals.
const COUNTED: [usize; 3] = [0, 1, 11];

/// Prints a line for each counted case.
pub(crate) fn print() {
    println!();
    println!(
        "{:36} {:>10} {:>10} {:>10} {:>10}",
        "instructions", SIDES[0], SIDES[1], SIDES[2], SIDES[3]
    );
    for case in COUNTED {
        let counts = SIDES.map(|side| match count(case, side) {
            Some(count) => format!("{count:10.0}"),
            None => format!("{:>10}", "-"),
        });
        println!("{:36} {}", CASES[case].name(), counts.join(" "));
    }
}

/// Returns the instructions of one unit, if valgrind is there.
fn count(case: usize, side: &str) -> Option<f64> {
    let (few, many) = (3_200, 9_600);
    let sum = |units| run(case, side, units);
    Some((sum(many)? - sum(few)?) / f64::from(many - few))
}

fn run(case: usize, side: &str, units: u32) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--one", &case.to_string(), side, &units.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.trim().parse().ok()
}
