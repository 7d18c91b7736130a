//! The simulation has teeth: each deliberate defect is found within few seeds, be it in the engine or in what it hears.
//!
//! `cargo test --features defects --test engine -- teeth --nocapture` prints which seed found what.

#[cfg(feature = "defects")]
use openmetadata_bulksink::engine::defects::Defect;

use crate::sabotage::Sabotage;
use crate::setup::Setup;
use crate::{chance, run};

/// For needless loss.
const FEW: u64 = 2000;

/// The first of so many seeds that finds what is done to each run.
fn finds(name: &str, seeds: u64, spoil: impl Fn(&mut Setup)) -> bool {
    let found = (1..=seeds).find_map(|seed| {
        let mut setup = chance::setup(seed);
        spoil(&mut setup);
        run(setup, false).err().map(|text| (seed, text))
    });
    if let Some((seed, text)) = &found {
        let text: String = text.chars().take(150).collect();
        eprintln!("{name:<24} seed {seed:>4}: {text}");
    }
    found.is_some()
}

#[cfg(feature = "defects")]
#[test]
fn each_defect_is_found() {
    const SEEDS: u64 = 5000;
    let spoiled = |defect| move |setup: &mut Setup| setup.config.defect = Some(defect);
    let missed = Defect::ALL.into_iter();
    let missed: Vec<Defect> = missed
        .filter(|defect| !finds(&format!("{defect:?}"), SEEDS, spoiled(*defect)))
        .collect();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}

#[test]
fn each_needless_loss_is_found() {
    let spoiled = |sabotage| move |setup: &mut Setup| setup.sabotage = Some(sabotage);
    let missed = Sabotage::ALL.into_iter();
    let missed: Vec<Sabotage> = missed
        .filter(|sabotage| !finds(&format!("{sabotage:?}"), FEW, spoiled(*sabotage)))
        .collect();
    assert!(missed.is_empty(), "not found within {FEW} seeds: {missed:?}");
}
