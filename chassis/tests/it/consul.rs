//! Registration and discovery with a real Consul agent (`EH_TEST_CONSUL_URL`).

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::config::DiscoveryConfig;
use chassis::discovery::consul::ConsulRegistry;
use chassis::discovery::{Endpoint, InstanceStatus, Registration, Registry};
use chassis::http::{HttpApp, HttpServerConfig};
use chassis::id::new_id;
use chassis::shutdown::Shutdown;
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::support::eventually;

#[expect(clippy::disallowed_methods, reason = "tests are told about middleware by the environment")]
fn config() -> DiscoveryConfig {
    let url = std::env::var("EH_TEST_CONSUL_URL").expect("EH_TEST_CONSUL_URL is not set");
    DiscoveryConfig { consul_url: url, wait_ms: 2_000, ..DiscoveryConfig::default() }
}

fn registry() -> (ConsulRegistry, DropGuard) {
    let stop = CancellationToken::new();
    let registry = ConsulRegistry::new(&config(), TaskTracker::new(), stop.clone()).unwrap();
    (registry, stop.drop_guard())
}

/// A process that says that it is ready.
struct Instance {
    endpoint: Endpoint,
    _task: JoinSet<()>,
}

impl Instance {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().unwrap().port());
        let router = Router::new().route("/readyz", get(|| async { "ready" }));
        let mut task = JoinSet::new();
        let app = HttpApp::new(router, HttpServerConfig::default());
        task.spawn(chassis::http::serve(listener, app, Shutdown::new()));
        Self { endpoint, _task: task }
    }

    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }
}

fn registration(service: &str, endpoint: Endpoint) -> Registration {
    let ready_url = format!("http://{endpoint}/readyz");
    Registration::new(service, endpoint, ready_url)
}

async fn wait_for(registry: &ConsulRegistry, service: &str, wanted: &[Endpoint]) {
    let mut wanted = wanted.to_vec();
    wanted.sort();
    let mut endpoints = registry.watch(service);
    let found = endpoints.wait_for(|found| **found == *wanted);
    let found = tokio::time::timeout(Duration::from_secs(15), found).await;
    assert!(found.is_ok(), "{service} is not at {wanted:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Consul: cargo ehub test"]
async fn instances_come_and_go() {
    let (registry, _guard) = registry();
    let service = format!("test-{}", new_id());
    let (one, two) = (Instance::start().await, Instance::start().await);
    let register = |server: &Instance| {
        let registration = registration(&service, server.endpoint());
        let id = registration.instance_id.clone();
        (registry.register(registration), id)
    };
    let (registered, id_one) = register(&one);
    registered.await.unwrap();
    let (registered, id_two) = register(&two);
    registered.await.unwrap();
    wait_for(&registry, &service, &[one.endpoint(), two.endpoint()]).await;

    let views = registry.services().await.unwrap();
    let view = views.iter().find(|view| view.name == service).unwrap();
    assert_eq!(view.instances.len(), 2);
    assert!(view.instances.iter().all(|it| it.status == InstanceStatus::Passing));

    registry.deregister(&id_one).await.unwrap();
    wait_for(&registry, &service, &[two.endpoint()]).await;
    registry.deregister(&id_two).await.unwrap();
    eventually("the service leaves the catalogue", || async {
        registry.services().await.unwrap().iter().all(|view| view.name != service)
    })
    .await;
    let kept = registry.watch(&service).borrow().clone();
    assert_eq!(*kept, [two.endpoint()], "an empty answer keeps the last good set");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Consul: cargo ehub test"]
async fn an_instance_that_consul_lost_is_registered_again() {
    let (registry, _guard) = registry();
    let service = format!("test-{}", new_id());
    let server = Instance::start().await;
    let registration = registration(&service, server.endpoint());
    let id = registration.instance_id.clone();
    registry.register(registration).await.unwrap();
    wait_for(&registry, &service, &[server.endpoint()]).await;

    // Another client removes it behind the registry's back, as a wiped agent would.
    let (other, _other_guard) = self::registry();
    other.deregister(&id).await.unwrap();
    let is_known = || async {
        let views = other.services().await.unwrap();
        views.iter().any(|view| view.name == service)
    };
    assert!(!is_known().await);
    eventually("the instance is known again", is_known).await;
    registry.deregister(&id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Consul: cargo ehub test"]
async fn what_starts_again_at_its_address_takes_the_place_of_what_died_there() {
    let service = format!("test-{}", new_id());
    let server = Instance::start().await;
    let (killed, guard) = registry();
    killed
        .register(Registration::new(&service, server.endpoint(), "http://127.0.0.1:9/"))
        .await
        .unwrap();
    eventually("the first one is in the catalogue", || async {
        killed.services().await.unwrap().iter().any(|view| view.name == service)
    })
    .await;
    drop(guard);

    let (registry, _guard) = registry();
    let again = registration(&service, server.endpoint());
    let id = again.instance_id.clone();
    registry.register(again).await.unwrap();
    // Only what was registered the second time is ever ready.
    wait_for(&registry, &service, &[server.endpoint()]).await;
    let views = registry.services().await.unwrap();
    let view = views.iter().find(|view| view.name == service).unwrap();
    assert_eq!(view.instances.len(), 1, "{view:?}");
    registry.deregister(&id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Consul: cargo ehub test"]
async fn an_instance_that_is_not_ready_gets_no_calls() {
    let (registry, _guard) = registry();
    let service = format!("test-{}", new_id());
    let (ready, silent) = (Instance::start().await, Endpoint::new("127.0.0.1", 9));
    for endpoint in [ready.endpoint(), silent] {
        let registration = registration(&service, endpoint);
        registry.register(registration).await.unwrap();
    }
    wait_for(&registry, &service, &[ready.endpoint()]).await;
    let instances = async || {
        let views = registry.services().await.unwrap();
        views.into_iter().find(|view| view.name == service).map(|view| view.instances)
    };
    eventually("both are in the catalogue", || async {
        instances().await.is_some_and(|instances| instances.len() == 2)
    })
    .await;
    for instance in instances().await.unwrap() {
        registry.deregister(&instance.id).await.unwrap();
    }
}

#[tokio::test]
async fn an_absent_agent_holds_nobody_up() {
    let config = DiscoveryConfig {
        consul_url: "http://127.0.0.1:9".to_owned(),
        ..DiscoveryConfig::default()
    };
    let stop = CancellationToken::new();
    let registry = ConsulRegistry::new(&config, TaskTracker::new(), stop.clone()).unwrap();
    let endpoint = Endpoint::new("127.0.0.1", 1);
    let registration = registration("order-service", endpoint);
    let registered = registry.register(registration).now_or_never();
    registered.expect("the agent is not waited for").unwrap();
    assert!(registry.watch("order-service").borrow().is_empty());
    assert!(registry.services().await.is_err());
    stop.cancel();
}
