//! One entry of the route table: an operation with its demands, from which both the router and the
//! documentation are made, so that they cannot differ.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;
use http::Method;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem, Paths};
use utoipa::openapi::{RefOr, Schema};

use crate::limit::Class;
use crate::middleware::admission::Worth;
use crate::middleware::guard::{Access, Guard, guard};
use crate::middleware::rate_limit::Policy;
use crate::shedding::Priority;
use crate::state::Shared;

type Schemas = Vec<(String, RefOr<Schema>)>;

/// One operation: a path and a method.
pub(crate) struct Route {
    pub(crate) access: Access,
    /// `None`: not limited, because the answer costs next to nothing and must always come.
    pub(crate) class: Option<Class>,
    /// What it is worth under overload, if that does not follow from its method.
    priority: Option<Priority>,
    /// Whether the gateway answers without any service.
    pub(crate) is_local: bool,
    /// Codes beyond those that follow from the operation's form.
    pub(crate) codes: &'static [&'static str],
    /// Whether the body is JSON that the gateway itself reads.
    pub(crate) has_strict_body: bool,
    /// Whether the body that is described may be absent.
    pub(crate) is_body_optional: bool,
    pub(crate) schemas: Schemas,
    pub(crate) paths: Paths,
    handler: MethodRouter<Shared>,
}

impl Route {
    /// Open to anyone.
    pub(super) fn open(route: (Schemas, Paths, MethodRouter<Shared>)) -> Self {
        Self::new(Access::Anyone, route)
    }

    /// For whoever has a token of ours, be it over or revoked.
    pub(super) fn holder(route: (Schemas, Paths, MethodRouter<Shared>)) -> Self {
        Self::new(Access::Holder, route)
    }

    /// For users.
    pub(super) fn user(route: (Schemas, Paths, MethodRouter<Shared>)) -> Self {
        Self::new(Access::User, route)
    }

    /// For administrators.
    pub(super) fn admin(route: (Schemas, Paths, MethodRouter<Shared>)) -> Self {
        Self::new(Access::Admin, route)
    }

    fn new(
        access: Access,
        (schemas, paths, handler): (Schemas, Paths, MethodRouter<Shared>),
    ) -> Self {
        Self {
            access,
            class: Some(Class::Default),
            priority: None,
            is_local: false,
            codes: &[],
            has_strict_body: true,
            is_body_optional: false,
            schemas,
            paths,
            handler,
        }
    }

    /// Counts against the quota of this class.
    pub(super) fn counts(self, class: Class) -> Self {
        Self { class: Some(class), ..self }
    }

    /// Is worth more under overload than its method tells.
    pub(super) fn matters(self, priority: Priority) -> Self {
        Self { priority: Some(priority), ..self }
    }

    /// Is answered by the gateway alone, and not limited unless it counts against a class.
    pub(super) fn served_locally(self) -> Self {
        Self { class: None, is_local: true, ..self }
    }

    /// Passes its body on unread.
    pub(super) fn takes_any_body(self) -> Self {
        Self { has_strict_body: false, ..self }
    }

    /// Does without the body that is described.
    pub(super) fn needs_no_body(self) -> Self {
        Self { is_body_optional: true, ..self }
    }

    /// Also answers with these codes.
    pub(super) fn answers(self, codes: &'static [&'static str]) -> Self {
        Self { codes, ..self }
    }

    /// The path, the method and the documentation of this operation.
    pub(crate) fn operation(&self) -> Option<(&str, Method, &Operation)> {
        let (path, item) = self.paths.paths.iter().next()?;
        let (method, operation) = operations(item).into_iter().next()?;
        Some((path, method, operation))
    }

    /// What the operation is worth under overload.
    pub(crate) fn worth(&self) -> Option<(String, Method, Worth)> {
        let (path, method, _) = self.operation()?;
        let usual = if method == Method::GET { Priority::Read } else { Priority::Order };
        let is_probe = self.is_local && self.class.is_none();
        let worth = (!is_probe).then(|| self.priority.unwrap_or(usual));
        Some((path.to_owned(), method, worth))
    }

    /// Adds this operation, behind its guard, to a router.
    pub(crate) fn mount(self, router: Router<Shared>, gateway: &Shared) -> Router<Shared> {
        let Some((path, _, operation)) = self.operation() else { return router };
        let path = path.to_owned();
        let guarded = Guard {
            gateway: Arc::clone(gateway),
            access: self.access,
            policy: self.class.map(|class| Policy::new(class, &gateway.limiter)),
            parameters: query_parameters(operation),
        };
        // On the route, not on the router: a wrong method is answered before anything is counted.
        let layer = from_fn_with_state(Arc::new(guarded), guard);
        router.route(&path, self.handler.route_layer(layer))
    }
}

/// The operations of a path, by method.
pub(crate) fn operations(item: &PathItem) -> Vec<(Method, &Operation)> {
    let all = [
        (Method::GET, &item.get),
        (Method::POST, &item.post),
        (Method::PUT, &item.put),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ];
    let present = all.into_iter().filter_map(|(method, found)| Some((method, found.as_ref()?)));
    present.collect()
}

/// The parameters of an operation.
pub(crate) fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

fn query_parameters(operation: &Operation) -> BTreeSet<String> {
    let in_query = parameters(operation)
        .filter(|parameter| matches!(parameter.parameter_in, ParameterIn::Query));
    in_query.map(|parameter| parameter.name.clone()).collect()
}
