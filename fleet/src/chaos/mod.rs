//! The prover: breaks a private fleet under load, and checks that it kept its promises.
//!
//! A run has six phases. The load warms up; faults strike while it goes on; everything is healed;
//! the fleet comes to rest within a limit; new work is offered and has to be served; the verdict
//! follows. The verdict has two judges: the clients' own records ([`checks`]) and the audit of
//! everything that is stored.
//!
//! Reading order:
//!
//! 1. [`catalogue`]: the faults, those that cannot be made here included;
//! 2. [`draw`], [`plan`], [`schedule`], [`act`]: from a seed to a list of acts, without a fleet;
//! 3. [`arena`], [`links`], [`broker`], [`provider`]: acts become deeds;
//! 4. [`load`], [`new_work`], [`history`]: what clients do, and what they saw;
//! 5. [`standing`], [`checks`], [`verdict`], [`figures`], [`report`], [`evidence`]: what came of
//!    it;
//! 6. [`setup`], [`run`]: all of it in order;
//! 7. [`kills`]: each failpoint in turn, with nothing left to chance.

pub mod act;
pub mod arena;
pub mod broker;
pub mod catalogue;
pub mod checks;
pub mod draw;
pub mod evidence;
pub mod figures;
pub mod history;
pub mod kills;
pub mod links;
pub mod load;
pub mod new_work;
pub mod plan;
pub mod provider;
pub mod report;
pub mod run;
pub mod schedule;
pub mod setup;
pub mod standing;
pub mod verdict;
