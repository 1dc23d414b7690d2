//! What runs on a node beside its services: `hcnode`. Each service of it says how it stands in a [`part`] of its own;
//! `status` puts the parts together. Decisions are functions over values with scenario tables; ports are thin, with a
//! fake each.

pub mod artifact;
pub mod boot;
pub mod burn;
pub mod card;
pub mod clock;
pub mod disk;
pub mod file;
pub mod first_boot;
pub mod health;
pub mod identity;
pub mod join;
pub mod kube;
pub mod notify;
pub mod part;
pub mod place;
pub mod render;
pub mod say;
pub mod settings;
pub mod status;
pub mod supervisor;
pub mod token;
pub mod update;
