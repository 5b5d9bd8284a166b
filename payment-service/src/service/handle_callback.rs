//! Taking a signed message of the provider.

use sha2::{Digest, Sha256};
use tracing::instrument;

use crate::model::{Callback, CallbackRecord, Charge, Notice, Payment, PaymentError, Ruling};
use crate::service::PaymentService;
use crate::service::settle::{Effect, Source};

/// Hands over a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandleCallback {
    /// The body, byte for byte as received.
    pub body: Vec<u8>,
    /// The signature header.
    pub signature: String,
}

impl PaymentService {
    /// Verifies a callback and applies what it says.
    ///
    /// What is not signed leaves no trace. Everything signed is kept with what became of it.
    /// Repetitions, and news that the payment is past, are accepted without effect.
    #[instrument(name = "payment.callback", skip_all, fields(callback.id, payment.id))]
    pub async fn handle_callback(&self, command: HandleCallback) -> Result<(), PaymentError> {
        let (now, tolerance) = (self.clock.now(), self.policy.callback_tolerance);
        self.keys.verify(&command.signature, &command.body, now, tolerance)?;
        let callback = match Callback::parse(&command.body) {
            Ok(callback) => callback,
            Err(error) => {
                let record = self.record(digest(&command.body), &command.body, Ruling::Invalid);
                self.repository.record_callback(&record).await?;
                return Err(error);
            }
        };
        tracing::Span::current().record("callback.id", &callback.id);
        let mut record = self.record(callback.id.clone(), &command.body, Ruling::Applied);
        let result = self.apply(&callback.notice, &mut record).await;
        // A callback that moved its payment was recorded together with the move.
        if record.ruling != Ruling::Applied {
            self.repository.record_callback(&record).await?;
        }
        result
    }

    /// Applies a notice, and writes down in `record` what became of it.
    async fn apply(
        &self,
        notice: &Notice,
        record: &mut CallbackRecord,
    ) -> Result<(), PaymentError> {
        let Notice::Charge { reference, .. } = notice else {
            record.ruling = Ruling::Ignored;
            return Ok(());
        };
        let found = match reference {
            Some(id) => self.repository.find(*id).await?,
            None => None,
        };
        let Some(payment) = found else {
            record.ruling = Ruling::UnknownPayment;
            return Err(PaymentError::NotFound);
        };
        tracing::Span::current().record("payment.id", tracing::field::display(payment.id()));
        record.payment_id = Some(payment.id());
        match notice.charge_of(&payment) {
            Ok(Some(charge)) => self.rule(payment, &charge, record).await,
            Ok(None) => Ok(()),
            Err(error) => {
                record.ruling = Ruling::Mismatch;
                tracing::error!(payment.id = %payment.id(), %error, "callback differs from payment");
                Err(error)
            }
        }
    }

    async fn rule(
        &self,
        payment: Payment,
        charge: &Charge,
        record: &mut CallbackRecord,
    ) -> Result<(), PaymentError> {
        let (_, effect) = self.settle(payment, charge, Source::Callback(record)).await?;
        record.ruling = match effect {
            Effect::Moved => Ruling::Applied,
            Effect::Nothing => Ruling::Duplicate,
            Effect::Contradiction => Ruling::Contradiction,
        };
        Ok(())
    }

    fn record(&self, id: String, body: &[u8], ruling: Ruling) -> CallbackRecord {
        let received_at = self.clock.now();
        CallbackRecord { id, payment_id: None, body: body.to_vec(), ruling, received_at }
    }
}

/// Stands in for the id of a body that has none to be read.
fn digest(body: &[u8]) -> String {
    use std::fmt::Write;

    let mut id = "sha256:".to_owned();
    for byte in Sha256::digest(body) {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

#[cfg(test)]
mod tests {
    use chassis::clock::Clock;
    use chassis::error::ServiceError;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::client::scripted::Step;
    use crate::model::{Outcome, PaymentId, PaymentStatus};
    use crate::testing::{Bench, callback, create};

    async fn pending(bench: &Bench) -> Payment {
        bench.provider.then(Step::Answer(Outcome::Pending));
        bench.service.create_payment(create("pm_pending_then_ok")).await.unwrap()
    }

    async fn send(bench: &Bench, body: &Value) -> Result<(), &'static str> {
        let command = bench.signed(body.to_string().into_bytes());
        bench.service.handle_callback(command).await.map_err(|error| error.code().reason)
    }

    async fn status(bench: &Bench, payment: &Payment) -> PaymentStatus {
        bench.service.load(payment.id()).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_callback_settles_a_pending_payment() {
        let bench = Bench::new([]);
        let payment = pending(&bench).await;
        send(&bench, &callback("evt_1", "payment.succeeded", &payment)).await.unwrap();
        assert_eq!(status(&bench, &payment).await, PaymentStatus::Succeeded);
        assert_eq!(bench.repository.deliveries("evt_1", Ruling::Applied), 1);
        assert_eq!(bench.event_names(payment.id()), ["payment.succeeded"]);
    }

    #[tokio::test]
    async fn a_hundred_deliveries_move_once() {
        let bench = Bench::new([]);
        let payment = pending(&bench).await;
        let body = callback("evt_1", "payment.succeeded", &payment);
        for _ in 0..100 {
            send(&bench, &body).await.unwrap();
        }
        assert_eq!(bench.repository.postings(payment.id()).len(), 1);
        assert_eq!(bench.event_names(payment.id()), ["payment.succeeded"]);
        assert_eq!(bench.repository.deliveries("evt_1", Ruling::Applied), 1);
        assert_eq!(bench.repository.deliveries("evt_1", Ruling::Duplicate), 99);
    }

    #[tokio::test]
    async fn an_id_that_moved_one_payment_moves_no_other() {
        let bench = Bench::new([]);
        let (first, second) = (pending(&bench).await, pending(&bench).await);
        send(&bench, &callback("evt_1", "payment.succeeded", &first)).await.unwrap();
        send(&bench, &callback("evt_1", "payment.succeeded", &second)).await.unwrap();
        assert_eq!(status(&bench, &second).await, PaymentStatus::Pending);
    }

    #[tokio::test]
    async fn the_settled_state_wins() {
        let bench = Bench::new([]);
        let payment = pending(&bench).await;
        send(&bench, &callback("evt_1", "payment.succeeded", &payment)).await.unwrap();
        send(&bench, &callback("evt_2", "payment.failed", &payment)).await.unwrap();
        send(&bench, &callback("evt_3", "payment.pending", &payment)).await.unwrap();
        assert_eq!(status(&bench, &payment).await, PaymentStatus::Succeeded);
        assert_eq!(bench.repository.deliveries("evt_2", Ruling::Contradiction), 1);
        assert_eq!(bench.repository.deliveries("evt_3", Ruling::Duplicate), 1);
    }

    #[tokio::test]
    async fn another_amount_or_currency_changes_nothing() {
        let bench = Bench::new([]);
        let payment = pending(&bench).await;
        for (member, value) in
            [("amount", json!(1)), ("amount", json!(-5)), ("currency", json!("USD"))]
        {
            let mut body = callback("evt_1", "payment.succeeded", &payment);
            body[member] = value;
            assert_eq!(send(&bench, &body).await, Err("AMOUNT_MISMATCH"));
        }
        assert_eq!(status(&bench, &payment).await, PaymentStatus::Pending);
        assert_eq!(bench.repository.deliveries("evt_1", Ruling::Mismatch), 3);
        // The corrected callback may come under the same id.
        send(&bench, &callback("evt_1", "payment.succeeded", &payment)).await.unwrap();
        assert_eq!(status(&bench, &payment).await, PaymentStatus::Succeeded);
    }

    #[tokio::test]
    async fn strange_callbacks_are_told_apart() {
        let bench = Bench::new([]);
        let mut unknown = callback("evt_1", "payment.succeeded", &pending(&bench).await);
        unknown["reference"] = json!(PaymentId::generate());
        assert_eq!(send(&bench, &unknown).await, Err("PAYMENT_NOT_FOUND"));
        assert_eq!(send(&bench, &json!({"id": "evt_2", "type": "dispute.opened"})).await, Ok(()));
        assert_eq!(send(&bench, &json!(["not", "a", "callback"])).await, Err("CALLBACK_INVALID"));
        assert_eq!(bench.repository.deliveries("evt_1", Ruling::UnknownPayment), 1);
        assert_eq!(bench.repository.deliveries("evt_2", Ruling::Ignored), 1);
    }

    #[tokio::test]
    async fn what_is_not_signed_leaves_no_trace() {
        let bench = Bench::new([]);
        let payment = pending(&bench).await;
        let body = callback("evt_1", "payment.succeeded", &payment).to_string().into_bytes();
        let stale = bench.keys.sign(&body, bench.clock.now() - chrono::TimeDelta::seconds(301));
        let other = bench.keys.sign(b"another body", bench.clock.now());
        for (signature, code) in [
            (String::new(), "SIGNATURE_MISSING"),
            (stale, "TIMESTAMP_OUT_OF_RANGE"),
            (other, "SIGNATURE_INVALID"),
        ] {
            let command = HandleCallback { body: body.clone(), signature };
            let error = bench.service.handle_callback(command).await.unwrap_err();
            assert_eq!(error.code().reason, code);
        }
        assert_eq!(status(&bench, &payment).await, PaymentStatus::Pending);
        assert_eq!(bench.repository.deliveries("evt_1", Ruling::Applied), 0);
    }

    /// Deliveries in any order and number, among provider answers and reconciliations.
    #[derive(Clone, Copy, Debug)]
    enum Happening {
        Callback(&'static str, u8),
        Reconcile,
    }

    fn happening() -> impl Strategy<Value = Happening> {
        prop_oneof![
            (
                prop_oneof![
                    Just("payment.pending"),
                    Just("payment.succeeded"),
                    Just("payment.failed"),
                    Just("payment.from_the_future"),
                ],
                0..4_u8
            )
                .prop_map(|(kind, id)| Happening::Callback(kind, id)),
            Just(Happening::Reconcile),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Answer(Outcome::Pending)),
            Just(Step::Answer(Outcome::Captured)),
            Just(Step::LoseAnswer(Outcome::Captured)),
            Just(Step::LoseAnswer(Outcome::Pending)),
            Just(Step::LoseCall),
        ]
    }

    async fn play(first: Step, happenings: Vec<Happening>) -> (Bench, PaymentId) {
        let bench = Bench::new([first]);
        let payment = bench.service.create_payment(create("pm_x")).await.unwrap();
        for happening in happenings {
            bench.clock.advance(chrono::TimeDelta::seconds(120));
            match happening {
                Happening::Callback(kind, id) => {
                    let body = callback(&format!("evt_{kind}_{id}"), kind, &payment);
                    send(&bench, &body).await.unwrap();
                }
                Happening::Reconcile => {
                    bench.service.reconcile().await.unwrap();
                }
            }
        }
        (bench, payment.id())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_schedule_of_callbacks_follows_a_legal_path(
            first in step(),
            happenings in proptest::collection::vec(happening(), 0..24),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let (bench, id) = runtime.unwrap().block_on(play(first, happenings));
            let history = bench.repository.history(id);
            for (at, pair) in history.windows(2).enumerate() {
                let (from, to) = (pair[0].2, pair[1].2);
                let legal = crate::model::TRANSITIONS.iter().any(|(f, _, t)| (*f, *t) == (from, to));
                prop_assert!(legal, "{from} to {to}");
                prop_assert_eq!(pair[1].0, at as u64 + 2);
            }
            let last = history.last().unwrap().2;
            let captured = usize::from(last == PaymentStatus::Succeeded);
            let told = usize::from(matches!(last, PaymentStatus::Succeeded | PaymentStatus::Failed));
            prop_assert_eq!(bench.repository.postings(id).len(), captured);
            prop_assert_eq!(bench.event_names(id).len(), told);
        }
    }
}
