//! What keeps known devices.

use std::sync::Arc;

use chrono::TimeDelta;

use super::now;
use crate::model::{Device, Tag};
use crate::repository::DeviceRepository;

/// Devices of two accounts, one seen a day.
pub(super) async fn device_suite(devices: Arc<dyn DeviceRepository>) {
    let tag = |number: u8| Tag::new([number; 32]);
    let device = |account, device| Device { account: tag(account), device: tag(device) };
    let day = |n: i64| now() + TimeDelta::days(n);
    for n in 0..5 {
        devices.remember(device(1, n), 3, day(n.into())).await.unwrap();
    }
    devices.remember(device(2, 0), 3, day(0)).await.unwrap();
    let known = async |found, since| devices.is_known(found, since).await.unwrap();
    assert!(!known(device(1, 1), day(0)).await, "only the newest stay known");
    assert!(known(device(1, 2), day(0)).await);
    assert!(!known(device(1, 2), day(3)).await, "it was not seen for long");
    assert!(known(device(2, 0), day(0)).await, "another account's devices are its own");
    assert!(!known(device(2, 4), day(0)).await);
    devices.remember(device(1, 2), 3, day(9)).await.unwrap();
    assert!(known(device(1, 2), day(9)).await, "it was seen again");
    devices.remember(device(1, 2), 3, day(8)).await.unwrap();
    assert!(known(device(1, 2), day(9)).await, "by a clock that is behind");
    assert!(known(device(1, 3), day(0)).await, "which makes no other one old");
    assert_eq!(devices.purge(day(4), 1).await.unwrap(), 1);
    assert_eq!(devices.purge(day(4), 10).await.unwrap(), 1);
    assert!(known(device(1, 4), day(0)).await);
}
