//! How good the diagnosis is: recorded incidents, generated scenarios and
//! healthy traces, each with what a person knows about it, held against what
//! the rules say.

mod cases;
mod classes;
mod dice;
mod families;
mod lines;
mod run;
mod score;
mod trace;
mod world;
