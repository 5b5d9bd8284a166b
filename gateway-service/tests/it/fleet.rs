//! A stand-in for every service behind the gateway: one gRPC server that answers each rpc as its
//! service would, unless a test wants otherwise, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use chassis::error::{ErrorCode, grpc};
use chassis::grpc::GrpcApp;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::service::Routes;
use tonic::{Code, Status};

use crate::samples;

/// How one rpc is answered.
#[derive(Clone)]
pub(crate) enum Answer {
    /// As its service would.
    Usual,
    /// With these bytes.
    Reply(Vec<u8>),
    /// With an error.
    Refusal(Status),
    /// Never.
    Silence,
}

impl Answer {
    pub(crate) fn reply(message: &impl Message) -> Self {
        Self::Reply(message.encode_to_vec())
    }

    /// An error of a service, under its code.
    pub(crate) fn code(code: ErrorCode) -> Self {
        Self::Refusal(grpc::status(code, "what happened this time", Vec::new(), None))
    }

    /// The same, with the time after which another try makes sense.
    pub(crate) fn later(code: ErrorCode, after: Duration) -> Self {
        Self::Refusal(grpc::status(code, "what happened this time", Vec::new(), Some(after)))
    }

    /// An error of whatever stands between the gateway and the service.
    pub(crate) fn foreign(code: Code) -> Self {
        Self::Refusal(Status::new(code, "tcp connect to 10.0.0.7 failed"))
    }
}

/// What one rpc was asked.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) rpc: String,
    pub(crate) metadata: HeaderMap,
    message: Bytes,
}

impl Call {
    pub(crate) fn decode<M: Message + Default>(&self) -> M {
        M::decode(self.message.clone()).unwrap()
    }

    pub(crate) fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(|value| value.to_str().unwrap())
    }

    /// Whether both ask the same.
    pub(crate) fn repeats(&self, other: &Self) -> bool {
        self.rpc == other.rpc && self.message == other.message
    }
}

/// The services. Clones share what they remember.
#[derive(Clone, Default)]
pub(crate) struct Fleet {
    state: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    calls: Vec<Call>,
    scripts: HashMap<&'static str, VecDeque<Answer>>,
}

impl Fleet {
    pub(crate) fn app(&self) -> GrpcApp {
        let router = Router::new().fallback(serve).with_state(self.clone());
        GrpcApp::new(Routes::from(router))
    }

    /// Lets an rpc answer like this, in this order; the last answer stays in force.
    pub(crate) fn script(&self, rpc: &'static str, answers: impl IntoIterator<Item = Answer>) {
        self.memory().scripts.insert(rpc, answers.into_iter().collect());
    }

    /// What was asked since the last look.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.memory().calls)
    }

    /// The one call since the last look.
    pub(crate) fn take_call(&self) -> Call {
        let calls = self.take_calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.into_iter().next().unwrap()
    }

    /// The names of the rpcs that were called since the last look.
    pub(crate) fn take_rpcs(&self) -> Vec<String> {
        self.take_calls().into_iter().map(|call| call.rpc).collect()
    }

    pub(crate) fn has_calls(&self) -> bool {
        !self.memory().calls.is_empty()
    }

    fn answer(&self, call: Call) -> Answer {
        let mut memory = self.memory();
        let answer = match memory.scripts.get_mut(call.rpc.as_str()) {
            Some(script) if script.len() > 1 => script.pop_front(),
            Some(script) => script.front().cloned(),
            None => None,
        };
        memory.calls.push(call);
        answer.unwrap_or(Answer::Usual)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.state.lock().unwrap()
    }
}

async fn serve(State(fleet): State<Fleet>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = parts.uri.path().to_owned();
    let rpc = path.rsplit('/').next().unwrap().to_owned();
    // A unary call is one message behind five bytes of framing.
    let call = Call { rpc, metadata: parts.headers, message: body.slice(5..) };
    match fleet.answer(call) {
        Answer::Usual => samples::answer(&path).map_or_else(
            || Status::unimplemented(path.clone()).into_http(),
            |message| reply(&message),
        ),
        Answer::Reply(message) => reply(&message),
        Answer::Refusal(status) => status.into_http(),
        Answer::Silence => std::future::pending().await,
    }
}

fn reply(message: &[u8]) -> Response {
    let mut frame = BytesMut::from(&[0][..]);
    frame.put_u32(message.len().try_into().unwrap());
    frame.extend_from_slice(message);
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let body = Full::new(frame.freeze()).with_trailers(async { Some(Ok(trailers)) });
    let content_type = (http::header::CONTENT_TYPE, "application/grpc");
    Response::builder().header(content_type.0, content_type.1).body(Body::new(body)).unwrap()
}
