//! The rules E7 to E9 as a caller sees them, with an engine driven by hand.

mod answers;
mod blame;
mod deadlines;
mod faults;
mod figures;
mod needless;
mod second_form;
mod splitting;
mod world;
