//! The body of a call comes within a time, or the call ends: until then what has come of it is held in memory.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;

/// How long the whole of a body may take: the largest manifests over a slow line.
pub const BODY_TIME: Duration = Duration::from_secs(30);

/// A body that must come in time.
pub(super) struct InTime {
    body: Body,
    until: Pin<Box<Sleep>>,
}

impl InTime {
    /// From now on.
    pub(super) fn body(body: Body) -> Body {
        Body::new(Self { body, until: Box::pin(tokio::time::sleep(BODY_TIME)) })
    }
}

impl HttpBody for InTime {
    type Data = <Body as HttpBody>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending if self.until.as_mut().poll(context).is_ready() => {
                let message = format!("the call did not come whole within {} s: try again", BODY_TIME.as_secs());
                Poll::Ready(Some(Err(Status::deadline_exceeded(message))))
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// So many bytes, one a second.
    fn drip(bytes: usize) -> Body {
        let bytes = stream::unfold(bytes, async |left| {
            let rest = left.checked_sub(1)?;
            sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Status>(Frame::data("x".into())), rest))
        });
        Body::new(StreamBody::new(bytes))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_slow_but_it_has_to_end() {
        assert_eq!(InTime::body(drip(20)).collect().await.unwrap().to_bytes().len(), 20);
        let began = Instant::now();
        let late = InTime::body(drip(1_000_000)).collect().await.unwrap_err();
        assert_eq!((late.code(), began.elapsed()), (tonic::Code::DeadlineExceeded, BODY_TIME));
    }
}
