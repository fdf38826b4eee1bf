//! One streamed answer, frame by frame, at its plan's pace.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::counters::{Counters, Sent};
use crate::plan::{Fault, Plan};
use crate::text::{Random, reasoning, tokens};

/// What the body's stream carries; an error breaks the connection.
pub(crate) type Piece = Result<Bytes, std::io::Error>;

/// Between the pieces of a cut character: long enough that each is a write of its own.
const BETWEEN_PIECES: Duration = Duration::from_millis(2);

/// The client has left, and this many bytes were made for nobody.
struct Left(usize);

pub(crate) struct Answer {
    pub(crate) plan: Plan,
    pub(crate) question: String,
    pub(crate) key: String,
    pub(crate) out: Sender<Piece>,
    pub(crate) counters: Arc<Counters>,
}

fn frame(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn delta(delta: &Value, finish: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-mock", "object": "chat.completion.chunk", "model": "mock",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
}

impl Answer {
    /// Says all of it, and counts how it went.
    pub(crate) async fn run(self) {
        let sent = self.counters.began(&self.question);
        match self.say(&sent).await {
            Ok(()) => self.counters.ended(),
            Err(Left(unsent)) => self.counters.left(unsent),
        }
    }

    async fn say(&self, sent: &Sent) -> Result<(), Left> {
        let all = tokens(&self.plan, &self.question);
        let (thoughts, early) = (reasoning(&self.plan), self.plan.fault.is_early());
        let mut random = Random::new(self.plan.seed.wrapping_add(1), &self.question);
        let mut due = Instant::now();
        self.send(frame(&delta(&json!({"role": "assistant", "content": ""}), None))).await?;
        for (index, token) in all.iter().enumerate() {
            if early && index == self.plan.at {
                return self.fail().await;
            }
            due += self.pause(&mut random);
            self.wait_until(due).await?;
            let key = if index < thoughts { "reasoning_content" } else { "content" };
            let bytes = frame(&delta(&json!({ key: token }), None));
            self.counters.sending(sent, token);
            self.noise(index).await?;
            self.send(bytes).await?;
        }
        if early {
            return self.fail().await;
        }
        self.finish().await
    }

    fn pause(&self, random: &mut Random) -> Duration {
        if self.plan.rate <= 0.0 {
            return Duration::ZERO;
        }
        #[allow(clippy::cast_precision_loss, reason = "a share of a pause")]
        let share = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        let spread = 1.0 + self.plan.jitter.clamp(0.0, 1.0) * (2.0 * share - 1.0);
        Duration::from_secs_f64(spread / self.plan.rate)
    }

    /// Waits for the next token's time, unless the client leaves.
    async fn wait_until(&self, due: Instant) -> Result<(), Left> {
        tokio::select! {
            biased;
            () = self.out.closed() => Err(Left(0)),
            () = sleep_until(due) => Ok(()),
        }
    }

    async fn noise(&self, index: usize) -> Result<(), Left> {
        if self.plan.fault != Fault::Comments {
            return Ok(());
        }
        let noise = match index % 4 {
            0 => ": keep-alive\n\n",
            1 => "\n",
            2 => "event: ping\ndata: {\"type\":\"ping\"}\n\n",
            _ => "data: {\"choices\":[],\"x_vendor\":{\"deep\":[1,2,3]}}\r\n\r\n",
        };
        self.send(noise.to_owned()).await
    }

    async fn send(&self, text: String) -> Result<(), Left> {
        if self.plan.fault != Fault::SplitUtf8 {
            return self.write(text.into_bytes()).await;
        }
        let bytes = text.into_bytes();
        // The second byte of the first character that has one is where the cut hurts.
        let cut = bytes.iter().position(|byte| byte & 0xc0 == 0x80).unwrap_or(bytes.len() / 2);
        let (head, tail) = bytes.split_at(cut);
        self.write(head.to_vec()).await?;
        sleep(BETWEEN_PIECES).await;
        self.write(tail.to_vec()).await
    }

    async fn write(&self, bytes: Vec<u8>) -> Result<(), Left> {
        let size = bytes.len();
        self.out.send(Ok(bytes.into())).await.map_err(|_| Left(size))
    }

    async fn fail(&self) -> Result<(), Left> {
        match self.plan.fault {
            Fault::Stall => {
                self.out.closed().await;
                Err(Left(0))
            }
            Fault::Broken => {
                self.write(b"data: {\"choices\":[{\"delta\":{\"content\":\"ha".to_vec()).await?;
                sleep(BETWEEN_PIECES).await;
                let broken = std::io::Error::other("broken on purpose");
                self.out.send(Err(broken)).await.map_err(|_| Left(0))
            }
            Fault::ErrorFrame => {
                let message = format!("The model is overloaded for {}.", self.key);
                let error = json!({"error": {"message": message, "type": "server_error"}});
                self.send(frame(&error)).await
            }
            _ => Ok(()),
        }
    }

    async fn finish(&self) -> Result<(), Left> {
        let reason = match self.plan.fault {
            Fault::OddFinish => Some("eos_token"),
            Fault::EmptyUsage => None,
            Fault::Tools => {
                self.tools().await?;
                Some("tool_calls")
            }
            _ => Some("stop"),
        };
        self.send(frame(&delta(&json!({}), reason))).await?;
        let usage = match self.plan.fault {
            Fault::EmptyUsage => json!({}),
            _ => {
                json!({"prompt_tokens": 1, "completion_tokens": self.plan.tokens, "total_tokens": 1 + self.plan.tokens})
            }
        };
        self.send(frame(&json!({"choices": [], "usage": usage}))).await?;
        if self.plan.fault == Fault::NoDone {
            return Ok(());
        }
        self.send("data: [DONE]\n\n".to_owned()).await
    }

    async fn tools(&self) -> Result<(), Left> {
        let begin = json!({"index": 0, "id": "call-1", "function": {"name": "weather", "arguments": ""}});
        self.send(frame(&delta(&json!({"tool_calls": [begin]}), None))).await?;
        for piece in ["{\"pla", "ce\":\"Gr", "üße\",\"days\"", ":3}"] {
            let call = json!({"index": 0, "function": {"arguments": piece}});
            self.send(frame(&delta(&json!({"tool_calls": [call]}), None))).await?;
        }
        Ok(())
    }
}
