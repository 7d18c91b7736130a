//! The simulation has teeth: each deliberate defect of the engine is found within few seeds.
//!
//! `cargo test --features defects --test engine -- teeth --nocapture` prints which seed found what.

use openmetadata_bulksink::engine::defects::Defect;

use crate::{chance, run};

const SEEDS: u64 = 5000;

#[test]
fn each_defect_is_found() {
    let mut missed = Vec::new();
    for defect in Defect::ALL {
        let found = (1..=SEEDS).find_map(|seed| {
            let mut setup = chance::setup(seed);
            setup.config.defect = Some(defect);
            run(setup, false).err().map(|text| (seed, text))
        });
        match found {
            Some((seed, text)) => {
                let text: String = text.chars().take(150).collect();
                eprintln!("{:<24} seed {seed:>4}: {text}", format!("{defect:?}"));
            }
            None => missed.push(defect),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}
