//! MQTT 3.1.1: one connection a channel, kept up while it is configured. What is published is answered
//! by the broker's PUBACK, and by nothing else; nothing is sent a second time behind the sender's back.
//!
//! The packets are those of `rumqttc`. Its client is not used: it looks a host up and connects by
//! itself, past the guard, and does not say which PUBACK belongs to which message.
//!
//! Owner: an MQTT channel; its task ends with it. Cost: a ping in [`KEEP_ALIVE`].

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::v4::{Connect, ConnectReturnCode, LastWill, Packet, Publish};
use rumqttc::mqttbytes::{Error as PacketError, QoS};
use taimat_base::backoff::Backoff;
use taimat_base::clock;
use taimat_base::tasks::{Stop, Tasks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};

use crate::address::Address;
use crate::exchange::Reach;
use crate::failure::{Failure, Outcome};
use crate::spec::MqttSpec;
use crate::tls::Connection;

/// A broker that hears nothing for one and a half of it tells the last will.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// We ask so often, and wait as long for a word.
const PING: Duration = Duration::from_secs(20);
/// From the connection to CONNACK, and from a message to its PUBACK.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a message waits in all: for a connection, and its answer.
pub(crate) const WHOLE: Duration = Duration::from_secs(15);
/// A connection that held so long was a good one, even if nobody published.
const HELD: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// The broker has only acknowledgements for us.
const MAX_INCOMING: usize = 4 << 10;
const MAX_OUTGOING: usize = 21 << 20;
/// Messages without their PUBACK at most. Brokers hold up to 20 by default.
const MAX_IN_FLIGHT: usize = 8;

/// A message for the broker.
struct Job {
    topic: String,
    payload: Vec<u8>,
    retain: bool,
    answer: oneshot::Sender<Result<(), Failure>>,
}

/// An MQTT channel's connection.
pub(crate) struct Mqtt {
    spec: MqttSpec,
    jobs: mpsc::Sender<Job>,
    state: Arc<State>,
    tasks: Tasks,
}

impl fmt::Debug for Mqtt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mqtt").field("state", &self.state).finish()
    }
}

/// What is known of the connection.
#[derive(Debug, Default)]
struct State {
    connected: AtomicBool,
    /// Why there is none.
    trouble: Mutex<Option<Failure>>,
}

/// What the task tells while it runs.
pub(crate) trait Watch: Send + Sync + fmt::Debug {
    /// The connection is there, or is there no more.
    fn connected(&self, is: bool);
}

struct Task {
    address: Address,
    spec: MqttSpec,
    reach: Reach,
    tls: Arc<rustls::ClientConfig>,
    jobs: mpsc::Receiver<Job>,
    state: Arc<State>,
    connections: Arc<AtomicU64>,
    watch: Arc<dyn Watch>,
}

impl Mqtt {
    pub(crate) fn start(
        address: Address,
        spec: MqttSpec,
        reach: Reach,
        tls: Arc<rustls::ClientConfig>,
        connections: Arc<AtomicU64>,
        watch: Arc<dyn Watch>,
    ) -> Self {
        // As many as may be sent at once; nobody else writes to it.
        let (sender, jobs) = mpsc::channel(crate::rate::AT_ONCE);
        let state = Arc::new(State::default());
        let tasks = Tasks::under(reach.tasks.stop_signal());
        let task = Task {
            address,
            spec: spec.clone(),
            reach,
            tls,
            jobs,
            state: Arc::clone(&state),
            connections,
            watch,
        };
        drop(
            tasks.spawn("outbound-mqtt", tracing::Span::current(), |stop| {
                task.run(stop)
            }),
        );
        Self {
            spec,
            jobs: sender,
            state,
            tasks,
        }
    }

    /// Whether a plugin may publish to a topic.
    pub(crate) fn admits(&self, topic: &str) -> bool {
        let below = |prefix: &str| {
            let rest = topic
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|rest| !rest.is_empty())
        };
        let own = status_topic(&self.spec.prefix);
        let discovery = self.spec.discovery_prefix.as_deref();
        topic != own && (below(&self.spec.prefix) || discovery.is_some_and(below))
    }

    /// Publishes once, and waits for the PUBACK.
    pub(crate) async fn publish(
        &self,
        topic: &str,
        payload: Vec<u8>,
        retain: bool,
    ) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            topic: topic.to_owned(),
            payload,
            retain,
            answer,
        };
        let ended = || Failure::new(Outcome::Unready, "the channel is being changed");
        let waiting = async {
            self.jobs.send(job).await.map_err(|_ended| ended())?;
            answered.await.unwrap_or_else(|_ended| Err(ended()))
        };
        match tokio::time::timeout(WHOLE, waiting).await {
            Ok(answer) => answer,
            Err(_late) => Err(self.trouble().unwrap_or_else(|| {
                Failure::new(
                    Outcome::Late,
                    "the broker does not confirm; it may have arrived",
                )
            })),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state.connected.load(Ordering::Relaxed)
    }

    /// Why there is no connection.
    pub(crate) fn trouble(&self) -> Option<Failure> {
        let trouble = self.state.trouble.lock();
        trouble.unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Says that the router is gone, and leaves.
    pub(crate) async fn stop(&self) {
        self.tasks.stop(Duration::from_secs(2)).await;
    }
}

impl Drop for Mqtt {
    fn drop(&mut self) {
        self.tasks.stop_signal().cancel();
    }
}

fn status_topic(prefix: &str) -> String {
    format!("{prefix}/status")
}

/// How a connection ended.
struct End {
    failure: Failure,
    /// It did what it is for.
    good: bool,
}

impl Task {
    async fn run(mut self, stop: Stop) {
        let seed = rand::random();
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, seed);
        loop {
            let end = tokio::select! {
                () = stop.cancelled() => return,
                connected = self.connect() => match connected {
                    Ok(connection) => self.serve(connection, &stop).await,
                    Err(failure) => Some(End { failure, good: false }),
                },
            };
            self.now_connected(false);
            let Some(End { failure, good }) = end else {
                return;
            };
            tracing::debug!(why = %failure.text, "no connection with the broker");
            *self.state.trouble.lock().unwrap_or_else(|e| e.into_inner()) = Some(failure);
            if good {
                backoff.succeed();
            }
            let due = clock::now() + backoff.fail();
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock::sleep_until(due) => {}
            }
        }
    }

    fn now_connected(&self, is: bool) {
        self.state.connected.store(is, Ordering::Relaxed);
        self.watch.connected(is);
    }

    async fn connect(&self) -> Result<Wire, Failure> {
        let late = |_| Failure::new(Outcome::Late, "the broker does not answer");
        let connecting = Box::pin(self.connect_in_time());
        tokio::time::timeout(ANSWER, connecting)
            .await
            .map_err(late)?
    }

    async fn connect_in_time(&self) -> Result<Wire, Failure> {
        let (host, port) = (self.address.host(), self.address.port());
        let stream = self
            .reach
            .guard
            .connect(&self.reach.commune, host, port)
            .await?;
        let connection = match self.address.is_tls() {
            true => Connection::secured(stream, host, Arc::clone(&self.tls)).await?,
            false => Connection::plain(stream)?,
        };
        let mut wire = Wire::new(connection);
        let mut connect = Connect::new(&self.spec.client_id);
        connect.keep_alive = u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or(u16::MAX);
        let topic = status_topic(&self.spec.prefix);
        connect.last_will = Some(LastWill::new(topic, "offline", QoS::AtLeastOnce, true));
        if let Some(login) = &self.spec.login {
            connect.set_login(&login.user, login.password.reveal());
        }
        wire.write(Packet::Connect(connect)).await?;
        match wire.read().await? {
            Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => Ok(wire),
            Packet::ConnAck(ack) => {
                let why = match ack.code {
                    ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                        "the broker does not let it sign in"
                    }
                    ConnectReturnCode::BadClientId => "the broker does not like the client-id",
                    ConnectReturnCode::ServiceUnavailable => "the broker is not available",
                    _ => "the broker does not speak MQTT 3.1.1",
                };
                Err(Failure::new(Outcome::Refused, why))
            }
            _ => Err(garbage()),
        }
    }

    /// Serves until the connection ends; none when the channel ends.
    async fn serve(&mut self, mut wire: Wire, stop: &Stop) -> Option<End> {
        let began = clock::now();
        let mut flight = Flight::default();
        let born = self.status(&mut flight, "online");
        let failure = match wire.write(born).await {
            Ok(()) => {
                self.connections.fetch_add(1, Ordering::Relaxed);
                *self.state.trouble.lock().unwrap_or_else(|e| e.into_inner()) = None;
                self.now_connected(true);
                tokio::select! {
                    () = stop.cancelled() => None,
                    failure = self.work(&mut wire, &mut flight) => Some(failure),
                }
            }
            Err(failure) => Some(failure),
        };
        let Some(failure) = failure else {
            // Who leaves in good order has no last will, so it says it itself.
            let gone = self.status(&mut flight, "offline");
            let leaving = async {
                wire.write(gone).await?;
                wire.write(Packet::Disconnect).await
            };
            let _left = tokio::time::timeout(Duration::from_secs(1), leaving).await;
            return None;
        };
        let good = flight.confirmed || clock::now().saturating_duration_since(began) >= HELD;
        for (_, sent) in flight.sent {
            let Some(answer) = sent.answer else { continue };
            let text = format!("{}; it may have arrived", failure.text);
            let failure = Failure::new(failure.outcome, text);
            // Who does not wait any more has an answer already.
            let _gone = answer.send(Err(failure));
        }
        Some(End { failure, good })
    }

    fn status(&self, flight: &mut Flight, word: &'static str) -> Packet {
        let topic = status_topic(&self.spec.prefix);
        flight.publish(topic, Bytes::from_static(word.as_bytes()), true, None)
    }

    async fn work(&mut self, wire: &mut Wire, flight: &mut Flight) -> Failure {
        let mut heard = clock::now();
        let mut ping = heard + PING;
        let mut asked = false;
        loop {
            let room = flight.sent.len() < MAX_IN_FLIGHT;
            let overdue = flight.overdue();
            let step = tokio::select! {
                packet = wire.read() => match packet {
                    Ok(packet) => {
                        heard = clock::now();
                        asked = false;
                        flight.heard(&packet)
                    }
                    Err(failure) => Err(failure),
                },
                job = self.jobs.recv(), if room => match job {
                    // Who gave up meanwhile is told nothing, and tells nothing.
                    Some(job) if job.answer.is_closed() => Ok(()),
                    Some(job) => {
                        let packet = flight.publish(job.topic, job.payload.into(), job.retain, Some(job.answer));
                        wire.write(packet).await
                    }
                    // The channel is gone, and the stop signal comes.
                    None => std::future::pending().await,
                },
                () = clock::until(overdue) => {
                    Err(Failure::new(Outcome::Late, "the broker does not confirm"))
                }
                () = clock::sleep_until(ping) => {
                    ping = clock::now() + PING;
                    match asked && clock::now().saturating_duration_since(heard) > PING {
                        true => Err(Failure::new(Outcome::Late, "the broker is silent")),
                        false => {
                            asked = true;
                            wire.write(Packet::PingReq).await
                        }
                    }
                }
            };
            if let Err(failure) = step {
                return failure;
            }
        }
    }
}

/// A message that waits for its PUBACK.
struct Sent {
    /// None for the router's own.
    answer: Option<oneshot::Sender<Result<(), Failure>>>,
    at: Instant,
}

/// Messages on their way, by the number that their PUBACK will have.
#[derive(Default)]
struct Flight {
    sent: HashMap<u16, Sent>,
    last: u16,
    /// A plugin's message was confirmed over this connection.
    confirmed: bool,
}

impl Flight {
    fn publish(
        &mut self,
        topic: String,
        payload: Bytes,
        retain: bool,
        answer: Option<oneshot::Sender<Result<(), Failure>>>,
    ) -> Packet {
        // There are never as many in flight as there are numbers.
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.sent.contains_key(&self.last) {
                break;
            }
        }
        let at = clock::now();
        self.sent.insert(self.last, Sent { answer, at });
        let mut publish = Publish::from_bytes(topic, QoS::AtLeastOnce, payload);
        publish.pkid = self.last;
        publish.retain = retain;
        Packet::Publish(publish)
    }

    fn overdue(&self) -> Option<Instant> {
        self.sent.values().map(|sent| sent.at + ANSWER).min()
    }

    fn heard(&mut self, packet: &Packet) -> Result<(), Failure> {
        match packet {
            Packet::PubAck(ack) => {
                if let Some(answer) = self.sent.remove(&ack.pkid).and_then(|sent| sent.answer) {
                    self.confirmed = true;
                    let _gone = answer.send(Ok(()));
                }
                Ok(())
            }
            Packet::PingResp => Ok(()),
            // We subscribe to nothing, so nothing else is for us.
            _ => Err(garbage()),
        }
    }
}

fn garbage() -> Failure {
    Failure::new(Outcome::Garbage, "what the broker says is not MQTT 3.1.1")
}

/// Packets over a connection.
struct Wire {
    connection: Connection,
    came: BytesMut,
}

impl Wire {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            came: BytesMut::with_capacity(MAX_INCOMING),
        }
    }

    /// The next packet. Bytes that came are not lost if somebody stops waiting.
    async fn read(&mut self) -> Result<Packet, Failure> {
        loop {
            if !self.came.is_empty() {
                match Packet::read(&mut self.came, MAX_INCOMING) {
                    Ok(packet) => return Ok(packet),
                    Err(PacketError::InsufficientBytes(_)) => {}
                    Err(_) => return Err(garbage()),
                }
            }
            let came = self.connection.read_buf(&mut self.came).await;
            match came {
                Ok(0) => {
                    let text = "the broker ended the connection";
                    return Err(Failure::new(Outcome::Unreachable, text));
                }
                Ok(_) => {}
                Err(error) => return Err(ended(&error)),
            }
        }
    }

    async fn write(&mut self, packet: Packet) -> Result<(), Failure> {
        let mut bytes = BytesMut::new();
        let written = packet.write(&mut bytes, MAX_OUTGOING);
        written
            .map_err(|_large| Failure::new(Outcome::Unfit, "the message is too large for MQTT"))?;
        let writing = async {
            self.connection.write_all(&bytes).await?;
            self.connection.flush().await
        };
        match tokio::time::timeout(ANSWER, writing).await {
            Ok(written) => written.map_err(|error| ended(&error)),
            Err(_late) => Err(Failure::new(Outcome::Late, "the broker takes nothing")),
        }
    }
}

fn ended(error: &std::io::Error) -> Failure {
    let text = format!("the connection with the broker ended: {}", error.kind());
    Failure::new(Outcome::Unreachable, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_again_only_when_it_is_free() {
        let mut flight = Flight {
            last: u16::MAX - 1,
            ..Flight::default()
        };
        let mut number = || match flight.publish("a".into(), Bytes::new(), false, None) {
            Packet::Publish(publish) => publish.pkid,
            _ => 0,
        };
        assert_eq!([number(), number(), number()], [u16::MAX, 1, 2]);
        flight.last = 0;
        let packet = flight.publish("a".into(), Bytes::new(), false, None);
        assert!(matches!(packet, Packet::Publish(publish) if publish.pkid == 3));
    }
}
