//! The supervisor's promises: in scenarios that tell a story, and over random worlds.

mod fuzz;
mod happening;
mod random;
mod stories;
mod world;
