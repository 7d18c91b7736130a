//! The same work once, for a tool that counts instructions: `instructions CASE SIZE`, with the cases of `CASES`.
//!
//! Counts do not depend on how busy the machine is. Whoever counts runs a case with two sizes and takes the difference,
//! so that starting the process costs nothing.

use std::process::ExitCode;

#[allow(dead_code)]
mod catalogue;

type Case = fn(usize) -> usize;

/// Each does `size` times the same thing and gives the number of things done.
const CASES: [(&str, Case); 4] = [
    ("record", catalogue::write),
    ("edges", |size| catalogue::pend_with_edges(size, 9).1),
    ("fence-on-nothing", |size| fences(size, catalogue::fence_on_nothing)),
    ("fence-on-pending", |size| fences(size, catalogue::fence_on_pending)),
];

const PENDING: usize = 5_000;

fn fences(size: usize, fence: fn(&mut openmetadata_bulksink::engine::Engine, usize) -> bool) -> usize {
    let mut engine = catalogue::pending(PENDING);
    for number in 0..size {
        fence(&mut engine, number * 7_919 % PENDING);
    }
    size
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let names = CASES.map(|(name, _)| name).join(" | ");
    let [name, size] = arguments.as_slice() else {
        println!("usage: instructions {{{names}}} SIZE (benchmarks/instructions.py runs it)");
        return ExitCode::SUCCESS;
    };
    let case = CASES.iter().find(|(known, _)| known == name);
    let (Some((_, case)), Ok(size)) = (case, size.parse::<usize>()) else {
        eprintln!("there are the cases {names}, with a number behind them");
        return ExitCode::FAILURE;
    };
    let done = case(size);
    if done < size {
        eprintln!("{name}: {size} wanted, {done} done");
        return ExitCode::FAILURE;
    }
    println!("{done}");
    ExitCode::SUCCESS
}
