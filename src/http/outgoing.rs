//! The request body that tells how far it got, so that a broken connection can be told apart: before the whole request was
//! handed over the server cannot have acted on it, after that it may have. It decides nothing itself.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// Handed to the connection at a time. Small against the socket's buffer, so that the last piece of a large body is taken
/// only when most of it is on its way.
const PIECE: usize = 64 << 10;

/// How far a request got; shared with its body, which lives inside the HTTP client.
#[derive(Debug, Default)]
pub(super) struct Progress {
    moved: Mutex<Option<Instant>>,
    whole: AtomicBool,
}

impl Progress {
    /// When the connection last took a piece of the request; None while there is no connection yet.
    pub(super) fn moved(&self) -> Option<Instant> {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connection took all of it. The server may have it, or the operating system's buffers.
    pub(super) fn whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    fn step(&self, whole: bool) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if whole {
            self.whole.store(true, Ordering::Release);
        }
    }
}

/// A body of known length in pieces.
#[derive(Debug)]
pub(super) struct Outgoing {
    left: Bytes,
    empty: bool,
    progress: Arc<Progress>,
}

impl Outgoing {
    pub(super) fn new(body: Bytes, progress: Arc<Progress>) -> Self {
        Self {
            empty: body.is_empty(),
            left: body,
            progress,
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.left.len().min(PIECE);
        let piece = self.left.split_to(length);
        self.progress.step(self.left.is_empty());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

impl Drop for Outgoing {
    /// An empty body is never asked for a piece: the connection drops it when it writes the request's head.
    fn drop(&mut self) {
        if self.empty {
            self.progress.step(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(body: &mut Outgoing) -> Option<usize> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Ready(frame) => frame.map(|frame| frame.unwrap().into_data().unwrap().len()),
            Poll::Pending => unreachable!(),
        }
    }

    #[test]
    fn it_is_whole_with_its_last_piece() {
        let progress = Arc::new(Progress::default());
        let mut body = Outgoing::new(Bytes::from(vec![0; PIECE + 1]), Arc::clone(&progress));
        assert_eq!(body.size_hint().exact(), Some(PIECE as u64 + 1));
        assert_eq!(progress.moved(), None);
        assert_eq!(next(&mut body), Some(PIECE));
        assert!(progress.moved().is_some());
        assert!(!progress.whole());
        assert_eq!(next(&mut body), Some(1));
        assert!(progress.whole());
        assert!(body.is_end_stream());
        assert_eq!(next(&mut body), None);
    }

    #[test]
    fn a_dropped_body_is_whole_only_if_it_was_empty() {
        let progress = Arc::new(Progress::default());
        drop(Outgoing::new(Bytes::from_static(b"x"), Arc::clone(&progress)));
        assert!(!progress.whole());
        drop(Outgoing::new(Bytes::new(), Arc::clone(&progress)));
        assert!(progress.whole());
    }
}
