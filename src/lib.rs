//! spotctl turns one AWS Spot GPU worker on and off.
//!
//! # Bird's-eye view
//!
//! One file describes a worker. `up` makes everything it needs in AWS and launches one cheapest Spot instance that comes
//! alive by itself; `down` ends it; between the two nothing is left that costs money. There is no state file: AWS is the
//! state, found again by names that are derived and by the tag `spotctl:stack`.
//!
//! Data flows one way:
//!
//! ```text
//! arguments + file → settings → spec → desired + observed + market → plan → apply → outcome → report
//! ```
//!
//! # Map
//!
//! | module | owns |
//! |---|---|
//! | [`cli`] | one file a verb: arguments, then load → plan → apply → report |
//! | [`settings`] | what a run is told from outside the file: flag, environment, file, default |
//! | [`config`] | the file and the `.env`: parsed, defaulted, validated, all findings at once |
//! | [`spec`] | what the user wants, in types that cannot hold a wrong value |
//! | [`decide`] | pure: ranking, refusals, quotas, slots and duplicates, tokens, policies, user data, phases and last words |
//! | [`market`] | reads: types, offerings, prices, quotas, subnets, images |
//! | [`resource`] | the five kinds of things: desired, observe, diff, apply, destroy |
//! | [`plan`] | the one plan that `plan` shows and `up` carries out |
//! | [`apply`] | carries it out: along AWS's own dependencies, then launches and waits |
//! | [`doctor`] | the checks that prove that `up` would work: each by itself, over reads that they share |
//! | [`journal`] | what a run has done so far, for the moment it fails or is killed |
//! | [`cloud`] | the edge to AWS: the only maker of clients, one wrapper round every call, the one poll loop |
//! | [`report`] | what users read on stdout, text and JSON from the same value |
//! | [`ui`] | the only module that writes to the terminal |
//! | [`error`] | failures as users meet them: kind, sentence, hints, what exists |
//! | [`sandbox`] | the embedded AWS |
//! | `templates/box/` | what runs on the box: the guard that boots the worker and ends the box, in Python's own library |
//!
//! # Invariants
//!
//! Each has a test that was seen to fail without it.
//!
//! 1. *Killed at any call, run again, it converges.* Client tokens are deterministic ([`decide::names::TokenOf`]); no clock
//!    and no price is a launch parameter; two workers of one slot become one, unless one of them
//!    drains ([`decide::workers::duplicates`]); `up` never ends what it did not launch.
//! 2. *An error says what was being done, to what, what exists now and how to remove it.* [`error::Error`], [`journal`].
//! 3. *The next offer is tried only when AWS has refused the last.* [`decide::refusal`].
//! 4. *No secret in user data, arguments, logs, errors, plans or JSON.* Values are `SecretString`; [`cloud::call`] logs no
//!    input and no output; the tracing filter lets no other crate speak.
//! 5. *Values reach shell, JSON and YAML quoted by construction.* Templates' formatters, serializers.
//! 6. *`plan` and `up` share one plan; a second `up` changes nothing.*
//! 7. *AWS types stay at the edge.* `decide` is pure; only [`ui`] prints, only `main` exits, only [`cloud::poll`] sleeps
//!    (`.clippy.toml` holds that).
//!
//! What is absent on purpose: a state file, an inbound rule, a NAT gateway, SDK waiters (they poll every 15 seconds), a
//! trait for each AWS call, SDK retries on `RunInstances`.
//!
//! # Build cost
//!
//! The EC2 crate dominates. See `Cargo.toml` for the profile and the README for what was measured.

pub mod apply;
pub mod cli;
pub mod cloud;
pub mod config;
pub mod decide;
pub mod doctor;
pub mod error;
pub mod journal;
pub mod market;
pub mod plan;
pub mod report;
pub mod resource;
pub mod sandbox;
pub mod settings;
pub mod spec;
pub mod ui;
