//! Taking a signed message of the provider.

use chassis::{failpoint, mutant};
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
        if mutant!("callback_signature_over_reserialized_body") {
            let body = reserialized(&command.body);
            self.keys.verify(&command.signature, &body, now, tolerance)?;
        } else {
            self.keys.verify(&command.signature, &command.body, now, tolerance)?;
        }
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
        if record.ruling == Ruling::Applied {
            failpoint!("payment.callback.committed");
        }
        Ok(())
    }

    fn record(&self, id: String, body: &[u8], ruling: Ruling) -> CallbackRecord {
        let received_at = self.clock.now();
        CallbackRecord { id, payment_id: None, body: body.to_vec(), ruling, received_at }
    }
}

/// What the body would be if it were read and written again: a bug that a test plants.
fn reserialized(body: &[u8]) -> Vec<u8> {
    let read = serde_json::from_slice::<serde_json::Value>(body);
    read.map_or_else(|_| body.to_vec(), |value| value.to_string().into_bytes())
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
    async fn the_signature_covers_the_bytes_as_they_came() {
        let bench = Bench::new([]);
        let payment = pending(&bench).await;
        let body = format!(
            "{{\"type\" : \"payment.succeeded\",\n \"id\":\"evt_1\", \"reference\": \"{}\", \
             \"currency\":\"CNY\",\"amount\":19900}}\n",
            payment.id()
        );
        bench.service.handle_callback(bench.signed(body.into_bytes())).await.unwrap();
        assert_eq!(status(&bench, &payment).await, PaymentStatus::Succeeded);
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
}
