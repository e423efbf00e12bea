//! What a user has in front of and behind `knockd`: the recipes of `examples/firewalls`, every
//! client, and the way of a new user through the documentation. All in network namespaces.

mod baseline;
mod bench;
mod firewalls;
mod new_user;
mod recipe;
mod stage;
mod zoo;
