//! The crates that are built, against `deny.toml` and `Cargo.lock`.

use std::collections::BTreeSet;

use fleet::dependencies::{self, Lock, Package};
use fleet::services::Service;

use crate::licence::is_allowed;
use crate::policy::Policy;
use crate::root;

#[tokio::test]
async fn a138_licences_that_are_accepted() {
    let (policy, tree) = (Policy::read(), dependencies::all(&root()).await.unwrap());
    let refused: Vec<String> = tree
        .packages()
        .filter(|package| !is_allowed(tree.licence(package), &policy.licences))
        .map(|package| format!("{package}: {:?}", tree.licence(package)))
        .collect();
    assert_eq!(refused, [""; 0]);
}

#[tokio::test]
async fn a138_no_banned_crates() {
    let (policy, tree) = (Policy::read(), dependencies::all(&root()).await.unwrap());
    let names: BTreeSet<&str> = tree.packages().map(|package| package.name.as_str()).collect();
    for (banned, wrappers) in &policy.banned {
        let users: BTreeSet<&str> =
            tree.users_of(banned).map(|package| package.name.as_str()).collect();
        let others: Vec<_> =
            users.iter().filter(|user| wrappers.iter().all(|known| known != *user)).collect();
        assert!(others.is_empty(), "{banned} is needed by {others:?}");
        assert!(!wrappers.is_empty() || !names.contains(banned.as_str()), "{banned} is there");
    }
}

/// Every part of a binary, its digest and what it needs are what `Cargo.lock` says, and each binary
/// that is shipped has its bill.
#[tokio::test]
async fn a138_bills_of_materials_equal_the_lock() {
    let (lock, tree) =
        (Lock::read(&root()).unwrap(), dependencies::shipped(&root()).await.unwrap());
    let bills = dependencies::bills(&root()).await.unwrap();
    let binaries: BTreeSet<&str> = bills.iter().map(|bill| bill.binary().name.as_str()).collect();
    let services = Service::ALL.iter().map(|service| service.name);
    let shipped: BTreeSet<&str> = services.chain(["fleet"]).collect();
    assert_eq!(binaries, shipped);
    for bill in &bills {
        let document = bill.document();
        let components = document["components"].as_array().unwrap();
        assert_eq!(components.len(), tree.below(bill.binary()).len(), "{}", bill.binary());
        for component in components {
            let text = |member: &str| component[member].as_str().unwrap().to_owned();
            let package = Package { name: text("name"), version: text("version") };
            let locked = lock.get(&package).unwrap();
            let digest = component["hashes"][0]["content"].as_str();
            assert_eq!(digest, locked.checksum.as_deref(), "{package}");
            let unlocked: Vec<_> =
                tree.needs(&package).filter(|needed| !locked.needs.contains(needed)).collect();
            assert!(unlocked.is_empty(), "{package} needs {unlocked:?}, and the lock knows not");
        }
    }
}

#[tokio::test]
async fn a_bill_is_the_same_each_time() {
    let [one, two] = [dependencies::bills(&root()).await, dependencies::bills(&root()).await];
    let documents = |bills: anyhow::Result<Vec<dependencies::Bill>>| {
        bills.unwrap().iter().map(|bill| bill.document().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(documents(one), documents(two));
}
